import type { Tx } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { applyMove, type Told } from "../changes/apply.ts";
import { overdue } from "../rules/deadlines.ts";
import { dueAtMs } from "../rules/decide.ts";
import type { Lease } from "../rules/lease.ts";
import type { Moved } from "../rules/moves.ts";
import { setDue } from "../store/due.ts";
import { leaseOf } from "../store/lease-row.ts";
import { lockLease, selectWaiting, updateLease } from "../store/leases.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";
import { onBehalf, type Works } from "./works.ts";

/** A lease as the engine has it in hand: locked, as of a moment. */
export interface Held {
  readonly tx: Tx;
  readonly lease: Lease;
  readonly nowMs: number;
  /** Until when an ending lease waits for snapshots of it. */
  readonly waitsFor: number | null;
}

/** Runs `work` with the lease locked; null when there is no such lease. */
export async function withLease<T>(
  works: Pick<Works, "db" | "clock">,
  tenant: TenantRef,
  id: string,
  work: (held: Held | null, tx: Tx) => Promise<T>,
): Promise<T> {
  return works.db.inTenant(
    tenant,
    async (tx) => {
      const [locked, waiting, moment] = await tx.batch([
        lockLease(id),
        selectWaiting(id),
        selectNow(works.clock),
      ]);
      const row = locked?.rows[0];
      if (!row) return work(null, tx);
      const waitsFor = (waiting?.rows[0]?.untilMs ?? null) as number | null;
      return work({ tx, lease: leaseOf(row), nowMs: nowMsIn(moment), waitsFor }, tx);
    },
    onBehalf,
  );
}

/** What is told of a move, besides its moment. */
export type Announced = Omit<Told, "nowMs" | "waitsFor">;

/** Writes a move of a lease that is in hand, and whoever waits for it hears of it. */
export async function write(
  works: Pick<Works, "random" | "publicUrl" | "changed">,
  { tx, lease, nowMs, waitsFor }: Held,
  moved: Moved,
  announced: Announced,
): Promise<Lease> {
  const after = await applyMove(tx, works, lease, moved, { ...announced, nowMs, waitsFor });
  tx.afterCommit(() => works.changed(lease.id));
  return after;
}

/** Writes what nobody else has to know of: who has it in hand, when it is tried again. */
export async function note({ tx, lease, nowMs, waitsFor }: Held, after: Lease): Promise<void> {
  await tx.batch([
    updateLease(lease, after),
    setDue(tx, "lease", lease.id, dueAtMs(after, nowMs, waitsFor)),
  ]);
}

/**
 * Ends a step: runs `work` if the lease is still held under this token, which is the fence that
 * keeps whoever lost it from writing anything. False: it was lost.
 */
export async function settle(
  works: Works,
  tenant: TenantRef,
  step: { id: string; token: string },
  work: (held: Held) => Promise<void>,
): Promise<boolean> {
  return withLease(works, tenant, step.id, async (held) => {
    if (held?.lease.stepToken !== step.token) return false;
    await work(held);
    return true;
  });
}

/**
 * The same for a step that brings a lease to a state in which it lives: where its deadline has
 * passed meanwhile, it is given back as it is, to be ended.
 */
export function settleAlive(
  works: Works,
  tenant: TenantRef,
  step: { id: string; token: string },
  work: (held: Held) => Promise<void>,
): Promise<boolean> {
  return settle(works, tenant, step, async (held) => {
    const { lease, nowMs } = held;
    if (overdue(lease, nowMs) === null) return work(held);
    await note(held, { ...lease, stepToken: null, stepUntilMs: null });
  });
}

/** The same in the middle of a step: throws where it was lost, so that nothing more is done. */
export async function settlePart(
  works: Works,
  tenant: TenantRef,
  step: { id: string; token: string },
  work: (held: Held) => Promise<void>,
): Promise<void> {
  if (await settle(works, tenant, step, work)) return;
  throw new Error("The step is not ours any more");
}
