import { audit } from "#kernel/audit/audit.ts";
import { isoOf } from "#kernel/clock.ts";
import type { Statement, Tx } from "#kernel/db/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import { emit } from "#kernel/events/emit.ts";
import type { Random } from "#kernel/random.ts";
import { dueAtMs } from "../rules/decide.ts";
import type { Lease } from "../rules/lease.ts";
import type { Moved } from "../rules/moves.ts";
import { shareOf } from "../rules/quota.ts";
import { shownLease } from "../rules/views.ts";
import { setDue } from "../store/due.ts";
import { updateLease } from "../store/leases.ts";
import { returnShare, wholeTenant } from "../store/quota.ts";
import { closeInterval, openInterval } from "../store/usage.ts";

/** What changes of leases need of the world. */
export interface ChangeDeps {
  readonly random: Random;
  readonly publicUrl: string;
}

/** What is told of a change, and to which moment it belongs. */
export interface Told {
  readonly nowMs: number;
  /** In the audit, such as `lease.renew`; null: it is no change that anybody has to know of. */
  readonly action: string | null;
  readonly event: string | null;
  /** What the audit keeps besides. */
  readonly noted?: Readonly<Record<string, unknown>>;
  /** Until when an ending lease waits for snapshots. */
  readonly waitsFor?: number | null;
}

/** Of a lease, what its audit records: how it stands, and never a value of its environment. */
const auditedOf = (lease: Lease) => ({
  state: lease.state,
  version: lease.version,
  generation: lease.generation,
  endsAt: isoOf(lease.endsAtMs),
  ...(lease.reason !== null && { reason: lease.reason }),
  ...(lease.message !== null && { message: lease.message }),
});

/** As audit records and events name it. */
export const leaseResource = ({ id }: Pick<Lease, "id">) => ({ type: "lease", id });

/**
 * Writes a move of a locked lease: the lease, its interval, its quota and when it is due again, in
 * one flight; audit and event travel with COMMIT. Throws `conflict` where the lease is no longer as
 * `before` was, which a lock makes impossible.
 */
export async function applyMove(
  tx: Tx,
  { random, publicUrl }: ChangeDeps,
  before: Lease,
  moved: Moved,
  told: Told,
): Promise<Lease> {
  const { lease, closed, opened, released } = moved;
  const { nowMs, waitsFor = null } = told;
  const closing = closed ? [closeInterval(lease.id, closed.atMs, closed.costMicros)] : [];
  const opening = opened ? [openInterval(tx, random.id(), lease, opened.flatMicros)] : [];
  const statements: Statement[] = [
    ...closing,
    updateLease(before, lease),
    ...opening,
    setDue(tx, "lease", lease.id, dueAtMs(lease, nowMs, waitsFor)),
    ...(released
      ? [
          returnShare(tx, wholeTenant, shareOf(lease)),
          returnShare(tx, lease.ownerId, shareOf(lease)),
        ]
      : []),
  ];
  const answers = await tx.batch(statements);
  if (answers[closing.length]?.rowCount !== 1) throw requestErrors.conflict();
  if (told.action !== null) {
    audit(tx, {
      action: told.action,
      resource: leaseResource(lease),
      before: auditedOf(before),
      after: { ...auditedOf(lease), ...told.noted },
    });
  }
  if (told.event !== null) tellLease(tx, publicUrl, told.event, lease, nowMs);
  return lease;
}

/** Tells what has happened to a lease, to who may see it. */
export function tellLease(
  tx: Tx,
  publicUrl: string,
  type: string,
  lease: Lease,
  nowMs: number,
): void {
  const data = shownLease(lease, nowMs, { tenantId: tx.tenant.id, publicUrl });
  emit(tx, { type, resource: leaseResource(lease), data, ownerId: lease.ownerId });
}
