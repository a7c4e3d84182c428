import type { Transaction } from "./db/types.ts";
import { defineErrors } from "./errors.ts";

export const flagErrors = defineErrors("flags", {
  bad_name: { status: 422, title: "The flag's name is not valid" },
  too_many: { status: 409, title: "There are as many overrides of flags as there may be" },
  no_such_tenant: { status: 422, title: "The tenant of the override does not exist" },
});

const maxFlags = 500;
const maxTenantOverrides = 10_000;

/** How one flag is overridden. */
export interface Override {
  /** For all; null where only tenants have overrides. */
  on: boolean | null;
  version: number;
  /** By tenant. */
  tenants: ReadonlyMap<string, boolean>;
}

const selectFlags = `select name, is_on as "on", version from platform.flag`;
const selectTenants = `select name, of_tenant as "tenantId", is_on as "on"
  from platform.flag_tenant`;

/** All overrides, by flag, in one flight. */
export async function readOverrides(tx: Transaction): Promise<Map<string, Override>> {
  const [flags, tenants] = await tx.batch([
    { text: `${selectFlags} limit ${maxFlags}` },
    { text: `${selectTenants} order by name, of_tenant limit ${maxTenantOverrides}` },
  ]);
  return overridesOf(flags?.rows ?? [], tenants?.rows ?? []);
}

/**
 * How one flag is overridden, null where it is not, with a lock: nobody else changes it, or makes
 * it, before this transaction has ended.
 */
export async function lockOverride(tx: Transaction, name: string): Promise<Override | null> {
  const [, flags, tenants] = await tx.batch([
    { text: "select pg_advisory_xact_lock(hashtextextended('flag ' || $1, 0))", values: [name] },
    { text: `${selectFlags} where name = $1`, values: [name] },
    { text: `${selectTenants} where name = $1 order by of_tenant`, values: [name] },
  ]);
  return overridesOf(flags?.rows ?? [], tenants?.rows ?? []).get(name) ?? null;
}

type Rows = readonly Record<string, unknown>[];

function overridesOf(flags: Rows, tenants: Rows): Map<string, Override> {
  const found = new Map<string, Override & { tenants: Map<string, boolean> }>();
  for (const { name, on, version } of flags as { name: string; on: null; version: number }[]) {
    found.set(name, { on, version, tenants: new Map() });
  }
  for (const { name, tenantId, on } of tenants as {
    name: string;
    tenantId: string;
    on: boolean;
  }[]) {
    found.get(name)?.tenants.set(tenantId, on);
  }
  // A tenant that is erased takes its overrides along, perhaps a flag's last ones.
  for (const [name, { on, tenants: own }] of found) {
    if (on === null && own.size === 0) found.delete(name);
  }
  return found;
}

/** Keeps an override for all, or, with null, takes it away. Throws `ERR_FLAGS_TOO_MANY`. */
export async function storeForAll(
  tx: Transaction,
  name: string,
  on: boolean | null,
): Promise<void> {
  const { rowCount } = await tx.query(
    `insert into platform.flag (name, is_on)
     select $1, $2::boolean
      where exists (select from platform.flag where name = $1)
         or (select count(*) from platform.flag) < ${maxFlags}
         on conflict (name) do update set is_on = excluded.is_on, updated_at = now(),
           version = excluded.version`,
    [name, on],
  );
  if (rowCount === 0) throw flagErrors.too_many({ detail: `At most ${maxFlags} flags.` });
}

/** Keeps one tenant's override. Throws `ERR_FLAGS_TOO_MANY` or `_NO_SUCH_TENANT`. */
export async function storeForTenant(
  tx: Transaction,
  name: string,
  on: boolean,
  tenantId: string,
): Promise<void> {
  const tenant = await tx.query("select from platform.tenant where id = $1", [tenantId]);
  if (tenant.rowCount === 0) throw flagErrors.no_such_tenant();
  const { rowCount } = await tx.query(
    `insert into platform.flag_tenant (name, of_tenant, is_on)
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

/** Takes one tenant's override away. */
export async function forgetForTenant(
  tx: Transaction,
  name: string,
  tenantId: string,
): Promise<void> {
  await tx.query("delete from platform.flag_tenant where name = $1 and of_tenant = $2", [
    name,
    tenantId,
  ]);
}

/** Forgets a flag that nobody overrides any more. */
export async function forgetUnused(tx: Transaction, name: string): Promise<void> {
  await tx.query(
    `delete from platform.flag f where name = $1 and is_on is null
       and not exists (select from platform.flag_tenant where name = f.name)`,
    [name],
  );
}
