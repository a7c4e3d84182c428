import { type Clock, isoOf } from "../clock.ts";
import type { Db } from "../db/types.ts";
import type { Tenants } from "../tenancy/tenants.ts";
import { deleteEventsBefore } from "./store.ts";

const keepMs = 30 * 24 * 60 * 60_000;
const rowsAtOnce = 1_000;

/**
 * Forgets events that happened more than 30 days ago, with their deliveries; answers how many. For
 * a daily job; in small transactions.
 */
export async function pruneEvents(deps: {
  db: Db;
  clock: Clock;
  tenants: Pick<Tenants, "each">;
  signal: AbortSignal;
}): Promise<number> {
  const { db, clock, tenants, signal } = deps;
  const before = isoOf(clock.nowMs() - keepMs);
  let total = 0;
  for await (const tenant of tenants.each()) {
    let count = rowsAtOnce;
    while (count === rowsAtOnce) {
      signal.throwIfAborted();
      count = await db.inTenant(tenant, (tx) => deleteEventsBefore(tx, before, rowsAtOnce));
      total += count;
    }
  }
  return total;
}
