import { isDeepStrictEqual } from "node:util";
import type { ContainerSpec, Identity } from "../runtimes/types.ts";
import type { QuotaLimits } from "./config.ts";
import { containerName, type LeaseTerms } from "./lease.ts";
import { type QuotaUse, sharesLess, sharesSum } from "./quota.ts";

export const warmStates = ["preparing", "ready", "removing"] as const;
export type WarmState = (typeof warmStates)[number];

/** All of a lease's terms that its container is made of. */
export type WarmSpec = Pick<
  LeaseTerms,
  | "image"
  | "command"
  | "runtime"
  | "runtimePlace"
  | "cpuMillis"
  | "memoryMb"
  | "diskMb"
  | "pidsMax"
  | "runAs"
  | "writable"
  | "egress"
  | "ociRuntime"
  | "ports"
>;

/** A container that nobody has leased yet, as it is stored. Its id is that of its lease to be. */
export interface StoredWarm {
  readonly id: string;
  readonly templateId: string;
  readonly spec: WarmSpec;
  readonly state: WarmState;
  readonly containerId: string | null;
  readonly message: string | null;
  readonly stepToken: string | null;
  readonly stepUntilMs: number | null;
  readonly attempts: number;
  readonly retryAtMs: number | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly updatedAtMs: number;
}

/** How long a container is kept warm before a fresh one takes its place. */
export const warmSeconds = 3_600;

/** Whether a container of the one is a container of the other. */
export const sameSpec = (one: WarmSpec, other: WarmSpec): boolean => isDeepStrictEqual(one, other);

/** What decides a container, of the terms that were agreed on. */
export const warmSpecOf = (terms: LeaseTerms): WarmSpec => ({
  image: terms.image,
  command: terms.command,
  runtime: terms.runtime,
  runtimePlace: terms.runtimePlace,
  cpuMillis: terms.cpuMillis,
  memoryMb: terms.memoryMb,
  diskMb: terms.diskMb,
  pidsMax: terms.pidsMax,
  runAs: terms.runAs,
  writable: terms.writable,
  egress: terms.egress,
  ociRuntime: terms.ociRuntime,
  ports: terms.ports,
});

/** What a runtime is asked for, whether or not anybody has leased it yet. */
export function containerSpecOf(
  spec: WarmSpec,
  identity: Identity,
  env: Readonly<Record<string, string>>,
): ContainerSpec {
  const { installId, leaseId, generation } = identity;
  return {
    name: containerName(installId, leaseId, generation),
    identity,
    image: spec.image,
    command: spec.command,
    env,
    cpuMillis: spec.cpuMillis,
    memoryMb: spec.memoryMb,
    diskMb: spec.diskMb,
    pidsMax: spec.pidsMax,
    user: spec.runAs,
    writable: spec.writable,
    egress: spec.egress,
    ociRuntime: spec.ociRuntime,
    ports: spec.ports,
  };
}

/**
 * What one takes of its tenant's quota until its end is decided. It is no lease, and nobody's: of
 * those the quota of leases and of its owner are taken when it is leased.
 */
export const warmShare = ({ cpuMillis, memoryMb, diskMb }: WarmSpec): QuotaUse => ({
  leases: 0,
  cpuMillis,
  memoryMb,
  diskMb: diskMb ?? 0,
  snapshots: 0,
});

/** One that is about to be made. */
export const newWarm = (
  { id, templateId, spec }: Pick<StoredWarm, "id" | "templateId" | "spec">,
  nowMs: number,
): StoredWarm => ({
  id,
  templateId,
  spec,
  state: "preparing",
  containerId: null,
  message: null,
  stepToken: null,
  stepUntilMs: null,
  attempts: 0,
  retryAtMs: null,
  createdAtMs: nowMs,
  expiresAtMs: nowMs + warmSeconds * 1_000,
  updatedAtMs: nowMs,
});

const idleStep = { stepToken: null, stepUntilMs: null, retryAtMs: null } as const;

/** It runs, and may be leased. Attempts stay: one that dies over and over waits ever longer. */
export const readied = (warm: StoredWarm, containerId: string, nowMs: number): StoredWarm => ({
  ...warm,
  ...idleStep,
  state: "ready",
  containerId,
  message: null,
  updatedAtMs: nowMs,
});

const firstRetryMs = 500;
const longestRetryMs = 300_000;

/** It could not be made or removed, or its program has ended: it is tried again in a while. */
export function putOff(warm: StoredWarm, message: string, nowMs: number): StoredWarm {
  const attempts = warm.attempts + 1;
  const retryAtMs = nowMs + Math.min(firstRetryMs * 2 ** Math.min(attempts, 20), longestRetryMs);
  const state = warm.state === "removing" ? "removing" : "preparing";
  return { ...warm, ...idleStep, state, attempts, retryAtMs, message, updatedAtMs: nowMs };
}

/** After so many attempts at removing one, what is left of it is for reconciling to find. */
const removalsMost = 12;

/** What is to be done about one now. */
export type WarmDecision =
  | { readonly kind: "rest"; readonly dueAtMs: number | null }
  | { readonly kind: "forget" }
  | { readonly kind: "step"; readonly step: "prepare" | "remove" };

/** The same as `decide` of leases. */
export function decideWarm(warm: StoredWarm, nowMs: number): WarmDecision {
  const { state, stepUntilMs, retryAtMs, attempts } = warm;
  // When it is too old, its tenant's pools are looked at.
  if (state === "ready") return { kind: "rest", dueAtMs: null };
  const blockedUntilMs = Math.max(stepUntilMs ?? 0, retryAtMs ?? 0);
  if (blockedUntilMs > nowMs) return { kind: "rest", dueAtMs: blockedUntilMs };
  if (state === "preparing") return { kind: "step", step: "prepare" };
  return attempts >= removalsMost ? { kind: "forget" } : { kind: "step", step: "remove" };
}

/** For sorting: first what can be leased, then what can't yet; of both the fresh ones first. */
export function byWorth(one: StoredWarm, other: StoredWarm): number {
  const rank = ({ state }: StoredWarm) => (state === "ready" ? 0 : 1);
  return rank(one) - rank(other) || other.createdAtMs - one.createdAtMs;
}

const sized = ["cpuMillis", "memoryMb", "diskMb"] as const;

const isOver = (use: QuotaUse, limits: QuotaLimits): boolean =>
  sized.some((name) => limits[name] !== null && use[name] > limits[name]);

/** How many of these, in this order, the tenant's quota has room for beside what it has. */
export function countFitting(
  shares: readonly QuotaUse[],
  use: QuotaUse,
  limits: QuotaLimits,
): number {
  const isTooMuch = (_: QuotaUse, at: number) =>
    isOver(sharesSum([use, ...shares.slice(0, at + 1)]), limits);
  const first = shares.findIndex(isTooMuch);
  return first === -1 ? shares.length : first;
}

/**
 * Which of them, of the first ones as few as will do, have to go so that the quota holds, which it
 * may without any; null: it would not hold without all of them either.
 */
export function givingWay<Warm extends { readonly spec: WarmSpec }>(
  warm: readonly Warm[],
  use: QuotaUse,
  limits: QuotaLimits,
): readonly Warm[] | null {
  for (let count = 0; count <= warm.length; count += 1) {
    const going = warm.slice(0, count);
    const sum = sharesSum(going.map(({ spec }) => warmShare(spec)));
    if (!isOver(sharesLess(use, sum), limits)) return going;
  }
  return null;
}
