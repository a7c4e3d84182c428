import type { Transaction } from "./db/types.ts";
import { defineErrors } from "./errors.ts";

export const flagErrors = defineErrors("flags", {
  bad_name: { status: 422, title: "The flag's name is not valid" },
  too_many: { status: 409, title: "There are as many overrides of flags as there may be" },
  no_such_tenant: { status: 422, title: "The tenant of the override does not exist" },
});

const maxFlags = 500;
const maxTenantOverrides = 10_000;

/** What the database says about flags. */
export interface Overrides {
  byName: Map<string, boolean>;
  /** By flag, then by tenant. */
  byTenant: Map<string, Map<string, boolean>>;
}

/** All overrides, in one flight. */
export async function readOverrides(tx: Transaction): Promise<Overrides> {
  const [flags, tenants] = await tx.batch([
    { text: `select name, is_on as "on" from platform.flag limit ${maxFlags}` },
    {
      text: `select name, of_tenant as "tenantId", is_on as "on" from platform.flag_tenant
              order by name, of_tenant limit ${maxTenantOverrides}`,
    },
  ]);
  const byName = new Map<string, boolean>();
  for (const row of flags?.rows ?? []) byName.set(row["name"] as string, row["on"] as boolean);
  const byTenant: Overrides["byTenant"] = new Map();
  for (const row of tenants?.rows ?? []) {
    setOfTenant(byTenant, row["name"] as string, row["tenantId"] as string, row["on"] as boolean);
  }
  return { byName, byTenant };
}

/** Keeps or, with null, forgets one tenant's override. */
export function setOfTenant(
  byTenant: Overrides["byTenant"],
  name: string,
  tenantId: string,
  on: boolean | null,
): void {
  const tenants = byTenant.get(name) ?? new Map<string, boolean>();
  if (on === null) tenants.delete(tenantId);
  else tenants.set(tenantId, on);
  if (tenants.size > 0) byTenant.set(name, tenants);
  else byTenant.delete(name);
}

/** Throws `ERR_FLAGS_TOO_MANY`. Null takes the override away. */
export async function storeForAll(
  tx: Transaction,
  name: string,
  on: boolean | null,
): Promise<void> {
  if (on === null) {
    await tx.query("delete from platform.flag where name = $1", [name]);
    return;
  }
  const { rowCount } = await tx.query(
    `insert into platform.flag as f (name, is_on)
     select $1, $2
      where exists (select from platform.flag where name = $1)
         or (select count(*) from platform.flag) < ${maxFlags}
         on conflict (name) do update set is_on = excluded.is_on, updated_at = now()`,
    [name, on],
  );
  if (rowCount === 0) throw flagErrors.too_many({ detail: `At most ${maxFlags} flags.` });
}

/** Throws `ERR_FLAGS_TOO_MANY` or `_NO_SUCH_TENANT`. Null takes the override away. */
export async function storeForTenant(
  tx: Transaction,
  name: string,
  on: boolean | null,
  tenantId: string,
): Promise<void> {
  if (on === null) {
    await tx.query("delete from platform.flag_tenant where name = $1 and of_tenant = $2", [
      name,
      tenantId,
    ]);
    return;
  }
  const tenant = await tx.query("select from platform.tenant where id = $1", [tenantId]);
  if (tenant.rowCount === 0) throw flagErrors.no_such_tenant();
  const { rowCount } = await tx.query(
    `insert into platform.flag_tenant as f (name, of_tenant, is_on)
     select $1, $2, $3
      where exists (select from platform.flag_tenant where name = $1 and of_tenant = $2)
         or (select count(*) from platform.flag_tenant) < ${maxTenantOverrides}
         on conflict (name, of_tenant) do update set is_on = excluded.is_on, updated_at = now()`,
    [name, tenantId, on],
  );
  if (rowCount === 0) {
    throw flagErrors.too_many({ detail: `At most ${maxTenantOverrides} overrides for tenants.` });
  }
}
