import type { Db, Tx } from "./db/types.ts";
import type { TenantRef } from "./tenancy/types.ts";

export type SettingValues = Readonly<Record<string, unknown>>;

export interface SettingsRow {
  values: SettingValues;
  /** The tenant's. */
  version: number;
  updatedAt: string;
}

const columns = `settings as "values", version, updated_at as "updatedAt"`;

/** The transaction's own tenant. */
export async function findSettings(tx: Tx, lock: boolean): Promise<SettingsRow | null> {
  const { rows } = await tx.query<SettingsRow>(
    `select ${columns} from platform.tenant where id = $1 and deleted_at is null
     ${lock ? "for update" : ""}`,
    [tx.tenant.id],
  );
  return rows[0] ?? null;
}

/** Lock the row first. */
export async function storeSettings(tx: Tx, values: SettingValues): Promise<SettingsRow> {
  const { rows } = await tx.query<SettingsRow>(
    `update platform.tenant set settings = $2, version = version + 1, updated_at = now()
      where id = $1 returning ${columns}`,
    [tx.tenant.id, JSON.stringify(values)],
  );
  return rows[0] as SettingsRow;
}

/** Outside of any transaction, in one flight. */
export async function readSettings(db: Db, tenant: TenantRef): Promise<SettingValues> {
  const { rows } = await db.query<{ values: SettingValues }>(
    tenant,
    `select settings as "values" from platform.tenant where id = $1`,
    [tenant.id],
  );
  return rows[0]?.values ?? {};
}
