import type { Tx } from "#kernel/db/types.ts";
import { audit } from "#kernel/audit/audit.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { snapshotResource, tellSnapshot } from "../changes/snapshots.ts";
import { snapshotShare } from "../rules/quota.ts";
import {
  decideSnapshot,
  notTaken,
  postponed,
  type StoredSnapshot,
  taken,
} from "../rules/snapshots.ts";
import { setDue, setDueBy } from "../store/due.ts";
import { getLease, lockLease } from "../store/leases.ts";
import { returnShare, wholeTenant } from "../store/quota.ts";
import {
  deleteSnapshot,
  extendSnapshotStep,
  lockSnapshot,
  updateSnapshot,
} from "../store/snapshots.ts";
import { failureOf } from "./failures.ts";
import { whileHeld } from "./hold.ts";
import { withLocked } from "./locked.ts";
import { withSlot } from "./slots.ts";
import { holdMs, type Works } from "./works.ts";

/** A snapshot as the engine has it in hand: locked, as of a moment. */
interface Held {
  readonly tx: Tx;
  readonly snapshot: StoredSnapshot;
  readonly nowMs: number;
}

function withSnapshot<T>(
  works: Works,
  tenant: TenantRef,
  id: string,
  work: (held: Held | null, tx: Tx) => Promise<T>,
): Promise<T> {
  return withLocked<StoredSnapshot, T>(works, tenant, lockSnapshot(id), (snapshot, nowMs, tx) =>
    work(snapshot && { tx, snapshot, nowMs }, tx),
  );
}

interface Claimed {
  readonly snapshot: StoredSnapshot;
  readonly step: "take" | "remove";
  readonly token: string;
}

/** Takes or removes a snapshot, as far as it can be done now. */
export function workOnSnapshot(works: Works, tenant: TenantRef, id: string): Promise<void> {
  return withSlot(works.slots, { tenantId: tenant.id, kind: "snapshot", id }, async (takeSlot) => {
    const claimed = await decideNow(works, tenant, id, takeSlot);
    if (claimed !== null) await takeStep(works, tenant, claimed);
  });
}

async function takeStep(works: Works, tenant: TenantRef, claimed: Claimed): Promise<void> {
  const { snapshot, step, token } = claimed;
  const { id } = snapshot;
  const { db, clock } = works;
  const extend = () => extendSnapshotStep(db, tenant, { id, token, holdMs, clock });
  try {
    await whileHeld(works, extend, (signal) =>
      step === "take"
        ? take(works, tenant, { snapshot, token }, signal)
        : remove(works, tenant, { snapshot, token }, signal),
    );
  } catch (error) {
    const { kind, code, message } = failureOf(error);
    works.gauges.failures.inc({ step: `snapshot_${step}`, code });
    works.log.warn({ err: error, snapshot: id, tenant: tenant.id, step }, "a snapshot failed");
    const isFinal = step === "take" && kind !== "later";
    await settle(works, tenant, claimed, (held) =>
      isFinal
        ? fail(held, message)
        : change(held, postponed(held.snapshot, message, held.nowMs), null),
    );
  }
}

function decideNow(
  works: Works,
  tenant: TenantRef,
  id: string,
  takeSlot: () => boolean,
): Promise<Claimed | null> {
  return withSnapshot(works, tenant, id, async (held, tx) => {
    if (held === null) {
      await tx.batch([setDue(tx, "snapshot", id, null)]);
      return null;
    }
    const { snapshot, nowMs } = held;
    const decision = decideSnapshot(snapshot, nowMs);
    if (decision.kind === "rest") {
      await tx.batch([setDue(tx, "snapshot", id, decision.dueAtMs)]);
      return null;
    }
    if (decision.kind === "give_up") {
      if (snapshot.state === "deleting") await finishRemoval(held);
      else await fail(held, "It could not be taken in time.");
      return null;
    }
    // Without room it stays due, for whoever has room first.
    if (!takeSlot()) return null;
    const token = works.random.id();
    const claimed = { ...snapshot, stepToken: token, stepUntilMs: nowMs + holdMs };
    await change(held, claimed, null);
    return { snapshot: claimed, step: decision.step, token };
  });
}

async function settle(
  works: Works,
  tenant: TenantRef,
  { snapshot, token }: Pick<Claimed, "snapshot" | "token">,
  work: (held: Held) => Promise<void>,
): Promise<boolean> {
  return withSnapshot(works, tenant, snapshot.id, async (held) => {
    if (held?.snapshot.stepToken !== token) return false;
    await work(held);
    held.tx.afterCommit(() => {
      works.changed(snapshot.id);
      works.changed(snapshot.leaseId);
    });
    return true;
  });
}

/** Writes how a snapshot stands; an ending lease that waits for it is due when it is done. */
async function change(
  { tx, snapshot, nowMs }: Held,
  after: StoredSnapshot,
  event: string | null,
): Promise<void> {
  const decision = decideSnapshot(after, nowMs);
  const dueAtMs = decision.kind === "rest" ? decision.dueAtMs : nowMs;
  const isDone = after.state !== "pending";
  await tx.batch([
    updateSnapshot(snapshot, after),
    setDue(tx, "snapshot", snapshot.id, dueAtMs),
    // Behind whoever decides about the lease, and may have seen the snapshot as it was before.
    ...(isDone && !snapshot.automatic ? [lockLease(snapshot.leaseId)] : []),
    ...(isDone ? [setDueBy(tx, "lease", snapshot.leaseId, nowMs)] : []),
  ]);
  if (event !== null) tellSnapshot(tx, event, after);
}

/** It can't be had: what was reserved for it is given back. */
async function fail(held: Held, message: string): Promise<void> {
  const { tx, snapshot, nowMs } = held;
  const after = notTaken(snapshot, message, nowMs);
  await change(held, after, "snapshot.failed");
  await tx.batch([
    returnShare(tx, wholeTenant, snapshotShare),
    returnShare(tx, snapshot.ownerId, snapshotShare),
  ]);
  audit(tx, {
    action: "snapshot.fail",
    resource: snapshotResource(snapshot),
    after: { state: after.state, message },
  });
}

async function take(
  works: Works,
  tenant: TenantRef,
  claimed: Pick<Claimed, "snapshot" | "token">,
  signal: AbortSignal,
): Promise<void> {
  const { snapshot } = claimed;
  const { faults, fleet, db, clock } = works;
  await faults.at("leases.snapshot.intent", signal);
  const read = await getLease(db, tenant, { id: snapshot.leaseId, ownerId: null, clock });
  const containerId = read?.lease.containerId ?? null;
  if (!read || containerId === null || read.lease.endedAtMs !== null) {
    await settle(works, tenant, claimed, (held) => fail(held, "Its container is gone."));
    return;
  }
  const runtime = fleet.at(read.lease);
  const made = await runtime.snapshot(containerId, {
    tenantId: tenant.id,
    snapshotId: snapshot.id,
    scrubEnv: read.lease.envNames,
  });
  await faults.at("leases.snapshot.image", signal);
  const isOurs = await settle(works, tenant, claimed, async (held) => {
    const after = taken(held.snapshot, made, held.nowMs);
    await change(held, after, "snapshot.ready");
    audit(held.tx, {
      action: "snapshot.take",
      resource: snapshotResource(snapshot),
      after: { state: after.state, sizeBytes: made.sizeBytes },
    });
    await faults.at("leases.snapshot.commit", signal);
  });
  if (!isOurs) await undoTake(works, tenant, snapshot, made.image);
}

/** Somebody else went on with it; only an image that nobody wants is removed again. */
async function undoTake(
  works: Works,
  tenant: TenantRef,
  { id, runtime, runtimePlace }: StoredSnapshot,
  image: string,
): Promise<void> {
  const isWanted = await withSnapshot(works, tenant, id, async (held) => {
    const state = held?.snapshot.state;
    return state === "pending" || (state === "ready" && held?.snapshot.image === image);
  });
  if (!isWanted) await works.fleet.at({ runtime, runtimePlace }).removeSnapshot(image);
}

async function remove(
  works: Works,
  tenant: TenantRef,
  claimed: Pick<Claimed, "snapshot" | "token">,
  signal: AbortSignal,
): Promise<void> {
  const { snapshot } = claimed;
  await works.faults.at("leases.snapshot.delete", signal);
  if (snapshot.image !== null) {
    await works.fleet.at(snapshot).removeSnapshot(snapshot.image);
  }
  await settle(works, tenant, claimed, finishRemoval);
}

async function finishRemoval({ tx, snapshot }: Held): Promise<void> {
  await tx.batch([
    deleteSnapshot(snapshot.id),
    setDue(tx, "snapshot", snapshot.id, null),
    returnShare(tx, wholeTenant, snapshotShare),
    returnShare(tx, snapshot.ownerId, snapshotShare),
  ]);
  tellSnapshot(tx, "snapshot.deleted", snapshot);
}
