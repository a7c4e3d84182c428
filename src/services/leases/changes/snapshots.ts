import { audit } from "#kernel/audit/audit.ts";
import type { Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import { current } from "#kernel/versions.ts";
import { leasesErrors } from "../errors.ts";
import { ownerLimit } from "../rules/callers.ts";
import { assertWritable } from "../rules/request.ts";
import { deleting, newSnapshot, type StoredSnapshot } from "../rules/snapshots.ts";
import { shownSnapshot } from "../rules/views.ts";
import type { NewSnapshot } from "../schemas/snapshots.ts";
import { setDue } from "../store/due.ts";
import { selectRestored } from "../store/leases.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";
import {
  deleteSnapshot,
  insertSnapshot,
  lockSnapshot,
  updateSnapshot,
} from "../store/snapshots.ts";
import type { LeasesDeps } from "../types.ts";
import { assertAsk, lockFor } from "./asked.ts";
import type { AskedChange } from "./leases.ts";
import { readLimits } from "./limits.ts";
import { takeSnapshotShare } from "./quota.ts";

/** As audit records and events name it. */
export const snapshotResource = ({ id }: Pick<StoredSnapshot, "id">) => ({ type: "snapshot", id });

/** Tells what has happened to a snapshot, to who may see it. */
export function tellSnapshot(tx: Tx, type: string, snapshot: StoredSnapshot): void {
  const data = shownSnapshot(snapshot, tx.tenant.id);
  emit(tx, { type, resource: snapshotResource(snapshot), data, ownerId: snapshot.ownerId });
}

/**
 * Asks for a snapshot of a lease that runs or is paused: it is pending, and counts. Throws `over`,
 * `wrong_state`, `read_only`, `not_supported` and `quota_exceeded`.
 */
export async function createSnapshot(
  tx: Tx,
  deps: LeasesDeps,
  asked: AskedChange,
  said: NewSnapshot,
): Promise<StoredSnapshot> {
  const { clock, random, fleet, engine } = deps;
  const limits = await readLimits(tx, deps);
  const permission = "snapshot:create";
  const { lease, nowMs } = await lockFor(tx, asked.id, { ...asked, clock, permission });
  assertAsk(lease, "snapshot", nowMs);
  assertWritable(lease);
  const { canSnapshot, name: runtime } = await fleet.at(lease).info();
  if (!canSnapshot) {
    throw leasesErrors.not_supported({ detail: `The runtime ${runtime} can't take snapshots.` });
  }
  const { name = null, description = "" } = said;
  const wanted = { id: random.id(), name, description, automatic: false };
  const snapshot = newSnapshot(lease, wanted, nowMs);
  await takeSnapshotShare(tx, deps, lease, limits);
  await tx.batch([insertSnapshot(tx.tenant, snapshot), setDue(tx, "snapshot", snapshot.id, nowMs)]);
  const { leaseId, state, version } = snapshot;
  const after = { leaseId, name, description, state, version };
  audit(tx, { action: "snapshot.create", resource: snapshotResource(snapshot), after });
  tellSnapshot(tx, "snapshot.created", snapshot);
  tx.afterCommit(() => engine.nudge(tx.tenant.id, "snapshot", snapshot.id));
  return snapshot;
}

/**
 * Asks for a snapshot's end: its image goes, then it is gone. One that could not be taken goes at
 * once. Throws `snapshot_not_ready` while it is being taken, and `snapshot_in_use`.
 */
export async function removeSnapshot(
  tx: Tx,
  { clock, engine }: LeasesDeps,
  { id, caller, version = null }: AskedChange,
): Promise<void> {
  const [locked, restored, moment] = await tx.batch([
    lockSnapshot(id, ownerLimit(caller, "snapshot:delete")),
    selectRestored(id),
    selectNow(clock),
  ]);
  const before = current(locked?.rows[0] as StoredSnapshot | undefined, version);
  const nowMs = nowMsIn(moment);
  if (before.state === "deleting") return;
  assertRemovable(before, restored?.rows[0]?.id as string | undefined);
  const resource = snapshotResource(before);
  const { leaseId, name, state } = before;
  audit(tx, { action: "snapshot.delete", resource, before: { leaseId, name, state } });
  if (before.state === "failed") {
    await tx.batch([deleteSnapshot(id), setDue(tx, "snapshot", id, null)]);
    tellSnapshot(tx, "snapshot.deleted", before);
    return;
  }
  await tx.batch([
    updateSnapshot(before, deleting(before, nowMs)),
    setDue(tx, "snapshot", id, nowMs),
  ]);
  tx.afterCommit(() => engine.nudge(tx.tenant.id, "snapshot", id));
}

function assertRemovable({ state }: StoredSnapshot, restoredLease: string | undefined): void {
  if (state === "pending") {
    throw leasesErrors.snapshot_not_ready({
      detail: "The snapshot is being taken; it can be deleted when that is done.",
      extensions: { state },
    });
  }
  if (restoredLease === undefined) return;
  throw leasesErrors.snapshot_in_use({
    detail: `Lease ${restoredLease} was restored from it; end that one first.`,
    extensions: { leaseId: restoredLease },
  });
}
