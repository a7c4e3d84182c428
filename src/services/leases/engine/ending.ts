import { Problem } from "#kernel/errors.ts";
import { takeSnapshotShare } from "../changes/quota.ts";
import { tellSnapshot } from "../changes/snapshots.ts";
import { readLimits } from "../changes/limits.ts";
import { leasesErrors } from "../errors.ts";
import { containerName, type Lease } from "../rules/lease.ts";
import { finish } from "../rules/moves.ts";
import { snapshotShare } from "../rules/quota.ts";
import { newSnapshot, notTaken, type StoredSnapshot, taken } from "../rules/snapshots.ts";
import type { Container } from "../runtimes/types.ts";
import { setDue } from "../store/due.ts";
import { updateLease } from "../store/leases.ts";
import { returnShare, wholeTenant } from "../store/quota.ts";
import { insertSnapshot, lockSnapshot, updateSnapshot } from "../store/snapshots.ts";
import { failureOf } from "./failures.ts";
import { type StepWork, stopGraceMs } from "./provision.ts";
import { type Held, settle, settlePart, write } from "./settle.ts";

type Part = "intent" | "stop" | "container" | "commit";
type Points = Readonly<Record<Part, (step: StepWork) => Promise<void>>>;

/** Fault points are told apart by who wanted the end. */
const deletePoints: Points = {
  intent: ({ works: { faults }, signal }) => faults.at("leases.delete.intent", signal),
  stop: ({ works: { faults }, signal }) => faults.at("leases.delete.stop", signal),
  container: ({ works: { faults }, signal }) => faults.at("leases.delete.container", signal),
  commit: ({ works: { faults }, signal }) => faults.at("leases.delete.commit", signal),
};
const expirePoints: Points = {
  intent: ({ works: { faults }, signal }) => faults.at("leases.expire.intent", signal),
  stop: ({ works: { faults }, signal }) => faults.at("leases.expire.stop", signal),
  container: ({ works: { faults }, signal }) => faults.at("leases.expire.container", signal),
  commit: ({ works: { faults }, signal }) => faults.at("leases.expire.commit", signal),
};
const pointsOf = ({ reason }: Lease): Points =>
  reason === "released" || reason === "admin" ? deletePoints : expirePoints;

/** Of the last command, nobody reads more. */
const outputBytesMax = 65_536;

/**
 * Brings a lease to its end: its last command, its snapshot, then its container goes and so does
 * what was reserved. Each part may be done again, since nobody knows where the one before us died.
 */
export async function stopStep(step: StepWork): Promise<void> {
  const { works, lease, runtime, token } = step;
  const points = pointsOf(lease);
  await points.intent(step);
  const container = await currentContainer(step);
  if (container) {
    await runLastCommand(step, container);
    if (container.state !== "created") await runtime.stop(container.id, stopGraceMs);
    await points.stop(step);
    if (lease.snapshotOnEnd && lease.startedAtMs !== null) await keep(step, container);
    await runtime.remove(container.id);
  }
  const old = lease.containerId;
  if (old !== null && old !== container?.id) await runtime.remove(old);
  await points.container(step);
  await settle(works, step.tenant, { id: lease.id, token }, async (held) => {
    const moved = finish(held.lease, held.nowMs);
    const isFailed = moved.lease.state === "failed";
    await write(works, held, moved, {
      action: isFailed ? "lease.failed" : "lease.end",
      event: isFailed ? "lease.failed" : "lease.ended",
      noted: { costMicros: String(moved.lease.costMicros) },
    });
    await points.commit(step);
  });
  works.gauges.cleanups.inc({ result: "removed" });
}

/** The container of the lease's generation, whether or not anybody wrote down that it is there. */
async function currentContainer({ works, lease, runtime }: StepWork): Promise<Container | null> {
  const name = containerName(works.installId, lease.id, lease.generation);
  const found = await runtime.inspect(name);
  return found?.identity.leaseId === lease.id ? found : null;
}

async function runLastCommand(step: StepWork, container: Container): Promise<void> {
  const { works, lease, runtime, signal, token } = step;
  const { preStop } = lease;
  const isUp = container.state === "running" || container.state === "paused";
  if (preStop === null || lease.preStopDone || !isUp || lease.reason === "failed") return;
  if (container.state === "paused") await runtime.resume(container.id);
  const { command, timeoutSeconds } = preStop;
  const timeoutMs = timeoutSeconds * 1_000;
  const request = { command, stdin: null, timeoutMs, outputBytesMax, signal };
  let outcome: Record<string, unknown>;
  try {
    const { exitCode, timedOut } = await runtime.exec(container.id, request);
    outcome = { exitCode, timedOut };
  } catch (error) {
    const { kind, message } = failureOf(error);
    if (kind === "later") throw error;
    outcome = { problem: message };
  }
  await settlePart(works, step.tenant, { id: lease.id, token }, async (held) => {
    const done = { ...held.lease, preStopDone: true };
    await write(
      works,
      held,
      { lease: done },
      {
        action: "lease.pre_stop",
        event: null,
        noted: outcome,
      },
    );
  });
}

/** Takes the snapshot that the lease's owner wants at its end. */
async function keep(step: StepWork, container: Container): Promise<void> {
  const { works, tenant, lease, runtime, signal } = step;
  const snapshot = await beginSnapshot(step);
  if (snapshot?.state !== "pending") return;
  await works.faults.at("leases.snapshot.intent", signal);
  let after: (nowMs: number) => StoredSnapshot;
  try {
    const request = {
      tenantId: tenant.id,
      snapshotId: snapshot.id,
      scrubEnv: lease.envNames,
    };
    const made = await runtime.snapshot(container.id, request);
    after = (nowMs) => taken(snapshot, made, nowMs);
  } catch (error) {
    const { kind, message } = failureOf(error);
    if (kind === "later") throw error;
    after = (nowMs) => notTaken(snapshot, message, nowMs);
  }
  await works.faults.at("leases.snapshot.image", signal);
  await settlePart(works, tenant, { id: lease.id, token: step.token }, (held) =>
    endSnapshot(held, snapshot, after(held.nowMs)),
  );
  await works.faults.at("leases.snapshot.commit", signal);
}

async function endSnapshot(
  { tx }: Held,
  before: StoredSnapshot,
  after: StoredSnapshot,
): Promise<void> {
  const isFailed = after.state === "failed";
  await tx.batch([
    updateSnapshot(before, after),
    setDue(tx, "snapshot", before.id, null),
    ...(isFailed
      ? [
          returnShare(tx, wholeTenant, snapshotShare),
          returnShare(tx, before.ownerId, snapshotShare),
        ]
      : []),
  ]);
  tellSnapshot(tx, isFailed ? "snapshot.failed" : "snapshot.ready", after);
}

/** The snapshot's row, made once; null where the quota has no place for it, which is told. */
async function beginSnapshot(step: StepWork): Promise<StoredSnapshot | null> {
  const { works, tenant, lease, token } = step;
  let begun: StoredSnapshot | null = null;
  const begin = async (held: Held) => {
    const known = held.lease.snapshotId;
    if (known !== null) {
      const [locked] = await held.tx.batch([lockSnapshot(known)]);
      begun = (locked?.rows[0] as StoredSnapshot | undefined) ?? null;
      return;
    }
    const said = { name: lease.name, description: "Taken by itself at the lease's end." };
    const wanted = { ...said, id: works.random.id(), automatic: true };
    const snapshot = newSnapshot(held.lease, wanted, held.nowMs);
    await takeSnapshotShare(held.tx, works, lease, await readLimits(held.tx, works));
    await held.tx.batch([
      insertSnapshot(tenant, snapshot),
      setDue(held.tx, "snapshot", snapshot.id, snapshot.deadlineMs),
      updateLease(held.lease, { ...held.lease, snapshotId: snapshot.id }),
    ]);
    tellSnapshot(held.tx, "snapshot.created", snapshot);
    begun = snapshot;
  };
  try {
    await settlePart(works, tenant, { id: lease.id, token }, begin);
  } catch (error) {
    const isFull = error instanceof Problem && error.code === leasesErrors.quota_exceeded.code;
    if (!isFull) throw error;
    works.log.info({ lease: lease.id, tenant: tenant.id }, "no quota for the last snapshot");
    return null;
  }
  return begun;
}
