import { isoOf } from "#kernel/clock.ts";
import { maskedValue } from "../schemas/common.ts";
import type { Expiry, Lease as ShownLease } from "../schemas/leases.ts";
import type { Snapshot } from "../schemas/snapshots.ts";
import { deadlinesOf, earliest, warnAtMs } from "./deadlines.ts";
import type { Lease } from "./lease.ts";
import { allowedAsks, isEnding, isOver, type TerminationReason } from "./lifecycle.ts";
import { estimateMicros, minorOf, totalCostMicros } from "./money.ts";
import type { StoredSnapshot } from "./snapshots.ts";

/** Where a lease is seen: whose it is, and under which address the API is reached. */
export interface Surroundings {
  readonly tenantId: string;
  readonly publicUrl: string;
}

const isoOrNull = (ms: number | null): string | null => (ms === null ? null : isoOf(ms));

const secondsUntil = (atMs: number, nowMs: number): number =>
  Math.max(0, Math.ceil((atMs - nowMs) / 1_000));

/** A lease as its tenant sees it at `nowMs`. */
export function shownLease(
  lease: Lease,
  nowMs: number,
  { tenantId, publicUrl }: Surroundings,
): ShownLease {
  const { id, name, ownerId, image, command, state, preStop, isolation } = lease;
  return {
    id,
    name,
    tenantId,
    ownerId,
    template: lease.templateName,
    restoredFrom: lease.restoredFrom,
    image,
    command: command && [...command],
    state,
    desiredState: lease.desired,
    allowed: allowedAsks(state),
    cpuMillis: lease.cpuMillis,
    memoryMb: lease.memoryMb,
    diskMb: lease.diskMb,
    env: Object.fromEntries(lease.envNames.map((variable) => [variable, maskedValue])),
    ports: lease.ports.map((container) => ({
      container,
      url: `${publicUrl}/api/v1/leases/${id}/ports/${container}/`,
    })),
    ttlSeconds: lease.ttlSeconds,
    idleTtlSeconds: lease.idleTtlSeconds,
    expiresAt: isoOf(lease.endsAtMs),
    hardExpiresAt: isoOf(lease.hardExpiresAtMs),
    expiresInSeconds: isEnding(lease) ? 0 : secondsUntil(lease.endsAtMs, nowMs),
    generation: lease.generation,
    restarts: lease.restarts,
    maxRestarts: lease.maxRestarts,
    snapshotOnEnd: lease.snapshotOnEnd,
    preStop: preStop && { ...preStop, command: [...preStop.command] },
    createdAt: isoOf(lease.createdAtMs),
    startedAt: isoOrNull(lease.startedAtMs),
    lastActivityAt: isoOf(lease.lastActivityAtMs),
    endedAt: isoOrNull(lease.endedAtMs),
    terminationReason: lease.reason,
    exitCode: lease.exitCode,
    message: lease.message,
    runtime: lease.runtime,
    isolation: isolation && {
      ...isolation,
      capabilities: [...isolation.capabilities],
      notes: [...isolation.notes],
    },
    costMinor: minorOf(totalCostMicros(lease, Math.min(nowMs, lease.endsAtMs))),
    estimatedCostMinor: minorOf(estimateMicros(lease, lease.ttlSeconds)),
    currency: lease.currency,
    snapshotId: lease.snapshotId,
    version: lease.version,
    updatedAt: isoOf(lease.updatedAtMs),
  };
}

const endedBecause: Readonly<Record<TerminationReason, string>> = {
  expired: "Its time to live, or the time for which it may be paused, was over.",
  idle: "Nobody used it for too long.",
  released: "It was released, or its program ended by itself.",
  hard_cap: "No lease of this tenant lives longer.",
  budget: "The month's budget was spent.",
  oom: "It used more memory than it may, more often than it may be restarted.",
  crashed: "Its program crashed more often than it may be restarted.",
  failed: "Its container could not be had.",
  admin: "An administrator ended it.",
};

/** When and why a lease will end, as far as is known; or why it has. */
export function explainExpiry(lease: Lease, nowMs: number): Expiry {
  const deadlines = deadlinesOf(lease).sort((a, b) => a.atMs - b.atMs);
  const first = earliest(deadlinesOf(lease));
  const warnMs = warnAtMs(lease);
  const isPending = !isEnding(lease) && lease.startedAtMs === null;
  const detail = isPending
    ? `It has not begun; its clock of ${lease.ttlSeconds} s starts when it runs.`
    : (first?.why ?? (lease.reason === null ? "" : endedBecause[lease.reason]));
  return {
    state: lease.state,
    expiresAt: isoOf(lease.endsAtMs),
    expiresInSeconds: isEnding(lease) ? 0 : secondsUntil(lease.endsAtMs, nowMs),
    reason: isPending ? "expired" : (first?.reason ?? lease.reason),
    detail,
    clocksRun: !isOver(lease) && !isPending && lease.state !== "paused" && !isEnding(lease),
    deadlines: deadlines.map(({ reason, atMs, why }) => ({
      reason,
      at: isoOf(atMs),
      inSeconds: secondsUntil(atMs, nowMs),
      detail: why,
    })),
    warnedAt: isoOrNull(warnMs),
  };
}

/** A snapshot as its tenant sees it. */
export function shownSnapshot(snapshot: StoredSnapshot, tenantId: string): Snapshot {
  return {
    id: snapshot.id,
    name: snapshot.name,
    description: snapshot.description,
    tenantId,
    ownerId: snapshot.ownerId,
    leaseId: snapshot.leaseId,
    state: snapshot.state,
    automatic: snapshot.automatic,
    runtime: snapshot.runtime,
    sourceImage: snapshot.settings.image,
    sizeBytes: snapshot.sizeBytes,
    message: snapshot.message,
    version: snapshot.version,
    createdAt: isoOf(snapshot.createdAtMs),
    updatedAt: isoOf(snapshot.updatedAtMs),
  };
}
