import type { RuntimeName } from "../runtimes/types.ts";
import type { Lease } from "./lease.ts";
import { retryDelayMs } from "./moves.ts";
import type { Base } from "./request.ts";

export type SnapshotState = "pending" | "ready" | "failed" | "deleting";

/** What a lease that is made of a snapshot begins with. */
export type SnapshotSettings = Omit<Base, "restoredFrom"> & {
  /** Names of the environment variables that it had; their values are not kept. */
  readonly envNames: readonly string[];
};

/** A snapshot as it is stored. */
export interface StoredSnapshot {
  readonly id: string;
  readonly leaseId: string;
  readonly ownerId: string;
  readonly name: string | null;
  readonly description: string;
  readonly state: SnapshotState;
  readonly automatic: boolean;
  readonly runtime: RuntimeName;
  readonly runtimePlace: string;
  readonly image: string | null;
  readonly sizeBytes: number | null;
  readonly settings: SnapshotSettings;
  readonly message: string | null;
  readonly stepToken: string | null;
  readonly stepUntilMs: number | null;
  readonly attempts: number;
  readonly retryAtMs: number | null;
  readonly deadlineMs: number | null;
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** How long taking or removing one may be tried. */
export const takeSeconds = 300;
export const removeSeconds = 86_400;

const idleStep = { stepToken: null, stepUntilMs: null, attempts: 0, retryAtMs: null } as const;

/** A snapshot of a lease, about to be taken. */
export function newSnapshot(
  lease: Lease,
  said: { id: string; name: string | null; description: string; automatic: boolean },
  nowMs: number,
): StoredSnapshot {
  return {
    ...said,
    ...idleStep,
    leaseId: lease.id,
    ownerId: lease.ownerId,
    state: "pending",
    runtime: lease.runtime,
    runtimePlace: lease.runtimePlace,
    image: null,
    sizeBytes: null,
    settings: settingsOf(lease),
    message: null,
    deadlineMs: nowMs + takeSeconds * 1_000,
    version: 1,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  };
}

function settingsOf(lease: Lease): SnapshotSettings {
  const { templateId, templateName, image, command, cpuMillis, memoryMb, diskMb } = lease;
  const { ttlSeconds, idleTtlSeconds, pidsMax, runAs, writable, egress, ociRuntime } = lease;
  const { ports, preStop, snapshotOnEnd, maxRestarts, price, envNames } = lease;
  return {
    templateId,
    templateName,
    image,
    command,
    cpuMillis,
    memoryMb,
    diskMb,
    ttlSeconds,
    idleTtlSeconds,
    maxCpuMillis: null,
    maxMemoryMb: null,
    maxDiskMb: null,
    maxTtlSeconds: null,
    pidsMax,
    runAs,
    writable,
    egress,
    ociRuntime,
    ports,
    preStop,
    snapshotOnEnd,
    maxRestarts,
    price,
    envNames,
  };
}

function finished(
  before: StoredSnapshot,
  change: Partial<StoredSnapshot>,
  nowMs: number,
): StoredSnapshot {
  return { ...before, ...idleStep, ...change, version: before.version + 1, updatedAtMs: nowMs };
}

/** It was taken. */
export const taken = (
  snapshot: StoredSnapshot,
  { image, sizeBytes }: { image: string; sizeBytes: number },
  nowMs: number,
): StoredSnapshot =>
  finished(snapshot, { state: "ready", image, sizeBytes, deadlineMs: null, message: null }, nowMs);

/** It can't be taken: what was reserved for it is given back. */
export const notTaken = (
  snapshot: StoredSnapshot,
  message: string,
  nowMs: number,
): StoredSnapshot => finished(snapshot, { state: "failed", deadlineMs: null, message }, nowMs);

/** Somebody asked for its end. */
export const deleting = (snapshot: StoredSnapshot, nowMs: number): StoredSnapshot =>
  finished(snapshot, { state: "deleting", deadlineMs: nowMs + removeSeconds * 1_000 }, nowMs);

/** It is tried again in a while. */
export function postponed(
  snapshot: StoredSnapshot,
  message: string,
  nowMs: number,
): StoredSnapshot {
  const attempts = snapshot.attempts + 1;
  const retryAtMs = nowMs + retryDelayMs(attempts);
  return { ...snapshot, ...idleStep, attempts, retryAtMs, message, updatedAtMs: nowMs };
}

/** What is to be done about a snapshot now. */
export type SnapshotDecision =
  | { readonly kind: "rest"; readonly dueAtMs: number | null }
  | { readonly kind: "give_up" }
  | { readonly kind: "step"; readonly step: "take" | "remove" };

/** The same as `decide` of leases. */
export function decideSnapshot(snapshot: StoredSnapshot, nowMs: number): SnapshotDecision {
  const { state, deadlineMs, stepUntilMs, retryAtMs } = snapshot;
  if (state === "ready" || state === "failed") return { kind: "rest", dueAtMs: null };
  if (deadlineMs !== null && deadlineMs <= nowMs) return { kind: "give_up" };
  // Whoever ends the lease takes it.
  if (snapshot.automatic && state === "pending") return { kind: "rest", dueAtMs: deadlineMs };
  const blockedUntilMs = Math.max(stepUntilMs ?? 0, retryAtMs ?? 0);
  if (blockedUntilMs > nowMs) {
    return { kind: "rest", dueAtMs: Math.min(blockedUntilMs, deadlineMs ?? blockedUntilMs) };
  }
  return { kind: "step", step: state === "pending" ? "take" : "remove" };
}
