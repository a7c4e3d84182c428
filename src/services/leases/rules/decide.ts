import { type Deadline, deadlinesOf, earliest, endsAtMs, overdue, warnAtMs } from "./deadlines.ts";
import type { Lease } from "./lease.ts";
import { isOver } from "./lifecycle.ts";

/** What only the engine can do, with the container's help. */
export type Step = "provision" | "pause" | "resume" | "stop";

/** What is to be done about a lease now. */
export type Decision =
  /** Nothing, until `dueAtMs`; null: never again. */
  | { readonly kind: "rest"; readonly dueAtMs: number | null }
  | { readonly kind: "expire"; readonly deadline: Deadline }
  | { readonly kind: "warn"; readonly endMs: number }
  | { readonly kind: "step"; readonly step: Step }
  /** It can't be cleaned up: the lease ends, and the reconciler goes on trying. */
  | { readonly kind: "abandon" };

/** The engine's part, by what the lease is and what it is to be; null: they agree. */
function stepOf({ state, desired }: Lease): Step | null {
  if (state === "pending" || state === "starting") return "provision";
  if (state === "running" && desired === "paused") return "pause";
  if (state === "paused" && desired === "running") return "resume";
  return state === "stopping" ? "stop" : null;
}

const firstOf = (...moments: readonly (number | null)[]): number | null => {
  const known = moments.filter((moment) => moment !== null);
  return known.length === 0 ? null : Math.min(...known);
};

/**
 * What is to be done about a lease at `nowMs`. Its deadlines come before everything, also while
 * somebody works on it: whoever does finds out that it was too late. `waitsFor` is the moment until
 * which a lease that ends or is restarted waits for snapshots that are being taken of it.
 */
export function decide(lease: Lease, nowMs: number, waitsFor: number | null = null): Decision {
  if (isOver(lease)) return { kind: "rest", dueAtMs: null };
  const passed = overdue(lease, nowMs);
  if (passed) return { kind: "expire", deadline: passed };
  const endMs = earliest(deadlinesOf(lease))?.atMs ?? lease.deadlineMs;
  if (lease.state === "stopping" && endMs !== null && endMs <= nowMs) return { kind: "abandon" };
  const held = lease.stepUntilMs !== null && lease.stepUntilMs > nowMs ? lease.stepUntilMs : null;
  const warnMs = warnAtMs(lease);
  if (warnMs !== null && warnMs <= nowMs) return { kind: "warn", endMs: endOf(lease) };
  const snapshotsMs = waitsUntilMs(lease, waitsFor);
  const blockedUntilMs = held ?? laterThan(nowMs, lease.retryAtMs, snapshotsMs);
  const step = stepOf(lease);
  if (step !== null && blockedUntilMs === null) return { kind: "step", step };
  return { kind: "rest", dueAtMs: firstOf(endMs, warnMs, step === null ? held : blockedUntilMs) };
}

/** Of the time to start again, what is left for starting whatever is waited for. */
const startReserveMs = 120_000;

/**
 * Until when the container of now is needed for snapshots: one that ends, or is given up for a new
 * one, stays for so long.
 */
function waitsUntilMs(lease: Lease, waitsFor: number | null): number | null {
  if (lease.state === "stopping") return waitsFor;
  const isRestarted = lease.state === "starting" && lease.startedAtMs !== null;
  if (!isRestarted || waitsFor === null || lease.deadlineMs === null) return null;
  return Math.min(waitsFor, lease.deadlineMs - startReserveMs);
}

const endOf = (lease: Lease): number => earliest(deadlinesOf(lease))?.atMs ?? endsAtMs(lease);

/** The latest of the moments that are still to come. */
function laterThan(nowMs: number, ...moments: readonly (number | null)[]): number | null {
  const future = moments.filter((moment) => moment !== null && moment > nowMs) as number[];
  return future.length === 0 ? null : Math.max(...future);
}

/** When a lease has to be looked at again, as it is after a change; null: never. */
export function dueAtMs(
  lease: Lease,
  nowMs: number,
  waitsFor: number | null = null,
): number | null {
  const decision = decide(lease, nowMs, waitsFor);
  return decision.kind === "rest" ? decision.dueAtMs : nowMs;
}
