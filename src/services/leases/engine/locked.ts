import type { Statement, Tx } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";
import { onBehalf, type Works } from "./works.ts";

/** Runs `work` with the row that `lock` locks, as of a moment; null when there is none. */
export function withLocked<Row, T>(
  { db, clock }: Pick<Works, "db" | "clock">,
  tenant: TenantRef,
  lock: Statement,
  work: (row: Row | null, nowMs: number, tx: Tx) => Promise<T>,
): Promise<T> {
  return db.inTenant(
    tenant,
    async (tx) => {
      const [locked, moment] = await tx.batch([lock, selectNow(clock)]);
      return work((locked?.rows[0] ?? null) as Row | null, nowMsIn(moment), tx);
    },
    onBehalf,
  );
}
