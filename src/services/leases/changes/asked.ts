import type { Clock } from "#kernel/clock.ts";
import type { Tx } from "#kernel/db/types.ts";
import { current, type Expected } from "#kernel/versions.ts";
import { leasesErrors } from "../errors.ts";
import { type Caller, ownerLimit } from "../rules/callers.ts";
import { overdue } from "../rules/deadlines.ts";
import type { Lease } from "../rules/lease.ts";
import { allowedAsks, type Ask, asks, isEnding } from "../rules/lifecycle.ts";
import { leaseOf } from "../store/lease-row.ts";
import { lockLease } from "../store/leases.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";

/** Who asks, under which permission, and perhaps for which version. */
export interface Asked {
  readonly clock: Clock;
  readonly caller: Caller;
  readonly permission: string;
  readonly version?: Expected;
}

/**
 * A lease for who may ask something of it, locked, and the moment at which that is decided, which
 * is after the lock. Throws the kernel's `not_found` and `version_conflict`.
 */
export async function lockFor(
  tx: Tx,
  id: string,
  { clock, caller, permission, version = null }: Asked,
): Promise<{ lease: Lease; nowMs: number }> {
  const [locked, moment] = await tx.batch([
    lockLease(id, ownerLimit(caller, permission)),
    selectNow(clock),
  ]);
  const row = locked?.rows[0];
  const lease = current(row ? leaseOf(row) : null, version);
  return { lease, nowMs: nowMsIn(moment) };
}

/**
 * Throws `over` for a lease whose end is decided or whose deadline has passed, though nobody may
 * have noticed yet, and `wrong_state` where what is asked for does not go with its state.
 */
export function assertAsk(lease: Lease, ask: Ask, nowMs: number): void {
  const passed = overdue(lease, nowMs);
  if (isEnding(lease) || passed) {
    const reason = lease.reason ?? passed?.reason;
    const at = new Date(isEnding(lease) ? lease.endsAtMs : (passed?.atMs ?? nowMs));
    throw leasesErrors.over({
      detail: `Its end came at ${at.toISOString()} (${reason}); lease another one.`,
      extensions: { state: lease.state, terminationReason: reason },
    });
  }
  if ((asks[ask] as readonly string[]).includes(lease.state)) return;
  const allowed = allowedAsks(lease.state);
  const instead = allowed.length > 0 ? `what can be asked is ${allowed.join(", ")}` : "wait for it";
  throw leasesErrors.wrong_state({
    detail: `The lease is ${lease.state}, which does not allow "${ask}"; ${instead}.`,
    extensions: { state: lease.state, allowed },
  });
}
