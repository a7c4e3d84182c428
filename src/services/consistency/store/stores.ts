import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { beforeId, type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Store, StoreFilter } from "../schemas/stores.ts";

/** A store with what is never shown. */
export interface StoredStore extends Store {
  readonly passwordSealed: string | null;
}

const storeColumns = `id, name, engine, mode, replicas, max_staleness_ms as "maxStalenessMs",
  max_staleness_versions as "maxStalenessVersions", operation_timeout_ms as "operationTimeoutMs",
  json_build_object('failures', breaker_failures, 'openMs', breaker_open_ms) as breaker, topology,
  version, created_at as "createdAt", updated_at as "updatedAt"`;

/** Newest first. */
export async function listStores(
  db: Db,
  tenant: TenantRef,
  { cursor, limit }: StoreFilter,
): Promise<Page<Store>> {
  const { rows } = await db.query<Store>(
    tenant,
    `select ${storeColumns} from store where id < $1 order by id desc limit $2`,
    [beforeId(cursor), limit + 1],
  );
  return page(rows, limit, ({ id }) => [id]);
}

/** Null when the tenant has no such store. */
export async function getStore(db: Db, tenant: TenantRef, id: string): Promise<Store | null> {
  const { rows } = await db.query<Store>(
    tenant,
    `select ${storeColumns} from store where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** The same with its sealed password, for whoever opens it. */
export async function getStoredStore(
  db: Db,
  tenant: TenantRef,
  id: string,
): Promise<StoredStore | null> {
  const { rows } = await db.query<StoredStore>(
    tenant,
    `select ${storeColumns}, password_sealed as "passwordSealed" from store where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** The store as it is, and as it stays until the transaction ends. */
export async function lockStore(tx: Tx, id: string): Promise<Store | null> {
  const { rows } = await tx.query<Store>(
    `select ${storeColumns} from store where id = $1 for no key update`,
    [id],
  );
  return rows[0] ?? null;
}

/** How many the tenant has. */
export async function countStores(tx: Tx): Promise<number> {
  const { rows } = await tx.query<{ count: number }>(
    "select count(*)::integer as count from store",
  );
  return rows[0]?.count ?? 0;
}

/** Violates `store_name_taken` when another has the name; so does `updateStore`. */
export const insertStore = (tenantId: string, store: StoredStore): Statement => ({
  text: `insert into store (tenant_id, id, name, engine, mode, replicas, max_staleness_ms,
           max_staleness_versions, operation_timeout_ms, breaker_failures, breaker_open_ms,
           topology, password_sealed, version, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13, $14, $15, $16)`,
  values: [
    tenantId,
    store.id,
    store.name,
    store.engine,
    store.mode,
    store.replicas,
    store.maxStalenessMs,
    store.maxStalenessVersions,
    store.operationTimeoutMs,
    store.breaker.failures,
    store.breaker.openMs,
    JSON.stringify(store.topology),
    store.passwordSealed,
    store.version,
    store.createdAt,
    store.updatedAt,
  ],
});

/** Overwrites what can be changed and raises the version; the row is locked by then. */
export async function updateStore(tx: Tx, id: string, store: Store): Promise<Store> {
  const { rows } = await tx.query<Store>(
    `update store
        set name = $2, max_staleness_ms = $3, max_staleness_versions = $4,
            operation_timeout_ms = $5, breaker_failures = $6, breaker_open_ms = $7,
            version = version + 1, updated_at = now()
      where id = $1
  returning ${storeColumns}`,
    [
      id,
      store.name,
      store.maxStalenessMs,
      store.maxStalenessVersions,
      store.operationTimeoutMs,
      store.breaker.failures,
      store.breaker.openMs,
    ],
  );
  return rows[0] as Store;
}

/** Forgets the store with its runs; its past stays in the audit, its checks stay. */
export async function deleteStore(tx: Tx, id: string): Promise<void> {
  await tx.query("delete from store where id = $1", [id]);
}
