import type { Db } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";

/** Who does not say so for this long has lost what it held. */
export const ownerLostSeconds = 15;

/**
 * Makes the process the one that holds the store, with a new generation; null where another one
 * does.
 */
export async function claimStore(
  db: Db,
  tenant: TenantRef,
  { storeId, process }: { storeId: string; process: string },
): Promise<number | null> {
  const { rows } = await db.query<{ generation: number }>(
    tenant,
    `insert into store_owner as o (tenant_id, store_id, process, generation, seen_at)
     values ($1, $2, $3, 1, clock_timestamp())
     on conflict (tenant_id, store_id) do update
       set process = excluded.process, generation = o.generation + 1, seen_at = excluded.seen_at
     where o.process = excluded.process
        or o.seen_at < clock_timestamp() - make_interval(secs => $4)
     returning generation`,
    [tenant.id, storeId, process, ownerLostSeconds],
  );
  return rows[0]?.generation ?? null;
}

export interface Held {
  readonly storeId: string;
  readonly process: string;
  readonly generation: number;
}

/** Says that the process still holds the store; false where it does not. */
export async function keepStore(db: Db, tenant: TenantRef, held: Held): Promise<boolean> {
  const { rowCount } = await db.query(
    tenant,
    `update store_owner set seen_at = clock_timestamp()
      where store_id = $1 and process = $2 and generation = $3`,
    [held.storeId, held.process, held.generation],
  );
  return rowCount > 0;
}

/** Lets another process have it at once. */
export async function releaseStore(db: Db, tenant: TenantRef, held: Held): Promise<void> {
  await db.query(
    tenant,
    `update store_owner set seen_at = '-infinity'
      where store_id = $1 and process = $2 and generation = $3`,
    [held.storeId, held.process, held.generation],
  );
}
