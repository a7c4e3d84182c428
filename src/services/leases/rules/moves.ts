import type { Container, Isolation } from "../runtimes/types.ts";
import { type Deadline, endsAtMs, overdue, renewedUntilMs } from "./deadlines.ts";
import type { Lease } from "./lease.ts";
import { canMove, type MoveName, moves, type TerminationReason } from "./lifecycle.ts";
import { openCostMicros } from "./money.ts";

/** What a move does besides changing the lease: all of it in one transaction. */
export interface Moved {
  readonly lease: Lease;
  /** The open interval ends then and costs so much. */
  readonly closed?: { readonly atMs: number; readonly costMicros: bigint };
  /** An interval begins at the lease's `runningSinceMs`, with the flat price if it is the first. */
  readonly opened?: { readonly flatMicros: bigint };
  /** What was reserved for it is given back. */
  readonly released?: true;
}

/** How long a container may take to come up, its image to be fetched included. */
export const startSeconds = 300;
/** How long an ending lease is tried to be cleaned up before the reconciler takes over. */
export const stopSeconds = 900;

const idleStep = {
  stepToken: null,
  stepUntilMs: null,
  attempts: 0,
  retryAtMs: null,
} as const;

/** Throws for a move that the state does not allow: whoever decides must have looked. */
function assertMove(lease: Lease, move: MoveName): void {
  if (canMove(move, lease.state)) return;
  throw new Error(`A lease that is ${lease.state} can't ${move}`);
}

function finished(before: Lease, change: Partial<Lease>, nowMs: number): Lease {
  const after = { ...before, ...change, updatedAtMs: nowMs, version: before.version + 1 };
  return { ...after, endsAtMs: endsAtMs(after) };
}

/** The end of what is being paid for: not after now, and not before it began. */
function closedAt(lease: Lease, atMs: number, nowMs: number): Moved["closed"] {
  if (lease.runningSinceMs === null) return undefined;
  const endMs = Math.max(lease.runningSinceMs, Math.min(atMs, nowMs));
  return { atMs: endMs, costMicros: openCostMicros(lease, endMs) };
}

const billed = (lease: Lease, closed: Moved["closed"]) => ({
  runningSinceMs: null,
  costMicros: lease.costMicros + (closed?.costMicros ?? 0n),
});

const withClosed = (closed: Moved["closed"]) => (closed ? { closed } : {});

/** Somebody begins to make its container. */
export function provision(lease: Lease, nowMs: number): Moved {
  assertMove(lease, "provision");
  return { lease: finished(lease, { state: moves.provision.to }, nowMs) };
}

/**
 * Its container runs. The first time, its clocks begin now: what it took to make the container is
 * not the tenant's.
 */
export function run(lease: Lease, container: Container, nowMs: number): Moved {
  assertMove(lease, "run");
  const isFirst = lease.startedAtMs === null;
  const firstTimes = {
    startedAtMs: nowMs,
    expiresAtMs: renewedUntilMs(lease, lease.ttlSeconds, nowMs),
    lastActivityAtMs: nowMs,
  };
  const change = {
    ...idleStep,
    ...(isFirst && firstTimes),
    state: moves.run.to,
    deadlineMs: null,
    containerId: container.id,
    isolation: container.isolation,
    runningSinceMs: nowMs,
    seenAtMs: nowMs,
    message: null,
  };
  const flatMicros = isFirst ? lease.flatMicros : 0n;
  return { lease: finished(lease, change, nowMs), opened: { flatMicros } };
}

/** It stands still, and with it the clocks of TTL, of idleness and of money. */
export function pause(lease: Lease, nowMs: number): Moved {
  assertMove(lease, "pause");
  const closed = closedAt(lease, nowMs, nowMs);
  const change = {
    ...idleStep,
    ...billed(lease, closed),
    state: moves.pause.to,
    pausedAtMs: nowMs,
    pausedUntilMs: nowMs + lease.pauseSeconds * 1_000,
    seenAtMs: nowMs,
  };
  return { lease: finished(lease, change, nowMs), ...withClosed(closed) };
}

/** What the clocks missed while it was paused is added to them; the hard cap does not move. */
function clocksAfterPause(lease: Lease, nowMs: number): Partial<Lease> {
  if (lease.pausedAtMs === null) return {};
  const pausedMs = nowMs - lease.pausedAtMs;
  return {
    pausedAtMs: null,
    pausedUntilMs: null,
    expiresAtMs: Math.min(lease.expiresAtMs + pausedMs, lease.hardExpiresAtMs),
    lastActivityAtMs: Math.min(lease.lastActivityAtMs + pausedMs, nowMs),
  };
}

/** It goes on where it stood. */
export function resume(lease: Lease, nowMs: number): Moved {
  assertMove(lease, "resume");
  const change = {
    ...idleStep,
    ...clocksAfterPause(lease, nowMs),
    state: moves.resume.to,
    runningSinceMs: nowMs,
    seenAtMs: nowMs,
  };
  return { lease: finished(lease, change, nowMs), opened: { flatMicros: 0n } };
}

/** Why a container is to be made anew. */
export interface Restart {
  /** By itself, after a crash: it counts, and waits a little longer each time. */
  readonly isAutomatic: boolean;
  /** Until when the old one is paid for. */
  readonly atMs: number;
  readonly exitCode: number | null;
  readonly message: string | null;
}

/** Its container is given up for a new one of the next generation. The time until then is free. */
export function restart(lease: Lease, why: Restart, nowMs: number): Moved {
  assertMove(lease, "restart");
  const closed = closedAt(lease, why.atMs, nowMs);
  const restarts = lease.restarts + (why.isAutomatic ? 1 : 0);
  const change = {
    ...idleStep,
    ...billed(lease, closed),
    ...clocksAfterPause(lease, nowMs),
    state: moves.restart.to,
    desired: "running" as const,
    generation: lease.generation + 1,
    restarts,
    exitCode: why.exitCode,
    message: why.message,
    retryAtMs: why.isAutomatic ? nowMs + restartDelayMs(restarts) : null,
    deadlineMs: nowMs + startSeconds * 1_000,
    preStopDone: false,
  };
  return { lease: finished(lease, change, nowMs), ...withClosed(closed) };
}

const firstRestartMs = 1_000;
const longestRestartMs = 30_000;

/** How long the nth restart in a row waits: 1, 2, 4 seconds and so on, up to 30. */
export const restartDelayMs = (restarts: number): number =>
  Math.min(firstRestartMs * 2 ** Math.max(0, restarts - 1), longestRestartMs);

/** Why a lease ends. */
export interface Ending {
  readonly reason: TerminationReason;
  /** Until when it is paid for: its deadline, or when its container was last alive. */
  readonly atMs: number;
  /** When it was over; the same unless it is said. */
  readonly endedAtMs?: number;
  readonly exitCode?: number | null;
  readonly message?: string | null;
}

/** Its end is decided: nobody can renew it any more, and it costs nothing from `atMs` on. */
export function stop(lease: Lease, why: Ending, nowMs: number): Moved {
  assertMove(lease, "stop");
  const closed = closedAt(lease, why.atMs, nowMs);
  const change = {
    ...idleStep,
    ...billed(lease, closed),
    state: moves.stop.to,
    desired: "ended" as const,
    pausedAtMs: null,
    pausedUntilMs: null,
    reason: why.reason,
    exitCode: why.exitCode ?? lease.exitCode,
    message: why.message ?? lease.message,
    deadlineMs: nowMs + stopSeconds * 1_000,
    endsAtMs: Math.min(why.endedAtMs ?? why.atMs, nowMs),
  };
  return { lease: finished(lease, change, nowMs), ...withClosed(closed) };
}

/** What is known of a container shortly before its lease's deadline. */
export type Sight = "alive" | "unseen" | "unknown";

/** Reconciling looks at every container once a minute. */
const unseenMs = 150_000;

/**
 * Whether nobody has looked at the container of a lease that runs for so long before its deadline
 * that it may have been dead for part of it: the servers were away, or its engine was.
 */
export const isUnseen = ({ state, seenAtMs }: Lease, { atMs }: Pick<Deadline, "atMs">): boolean =>
  state === "running" && atMs - (seenAtMs ?? atMs) > unseenMs;

/**
 * Ends a lease whose deadline has passed. It is paid for until then; where its container can't be
 * asked for what it did, until it was last seen alive.
 */
export const expire = (
  lease: Lease,
  deadline: Deadline,
  nowMs: number,
  sight: Sight = "alive",
): Moved =>
  stop(
    lease,
    {
      reason: deadline.reason,
      atMs: sight === "unknown" ? (lease.seenAtMs ?? deadline.atMs) : deadline.atMs,
      endedAtMs: deadline.atMs,
      message: deadline.reason === "failed" ? (lease.message ?? deadline.why) : null,
    },
    nowMs,
  );

/** Its container is gone, or given up to the reconciler, and so is what was reserved for it. */
export function finish(lease: Lease, nowMs: number, message: string | null = null): Moved {
  const move = lease.reason === "failed" ? "fail" : "end";
  assertMove(lease, move);
  const change = {
    ...idleStep,
    state: moves[move].to,
    deadlineMs: null,
    endedAtMs: nowMs,
    message: message ?? lease.message,
  };
  return { lease: finished(lease, change, nowMs), released: true };
}

/** Its end is moved. It is no use of it: idleness goes on. */
export function renew(lease: Lease, ttlSeconds: number, nowMs: number): Moved {
  const expiresAtMs = renewedUntilMs(lease, ttlSeconds, nowMs);
  return { lease: finished(lease, { ttlSeconds, expiresAtMs }, nowMs) };
}

/** Somebody says that it is in use. No new version: nothing of it is changed by that. */
export function touch(lease: Lease, nowMs: number): Moved {
  const touched = { ...lease, lastActivityAtMs: Math.max(lease.lastActivityAtMs, nowMs) };
  return { lease: { ...touched, endsAtMs: endsAtMs(touched) } };
}

/** What the engine is to bring it to. */
export const desire = (lease: Lease, desired: "running" | "paused", nowMs: number): Moved => ({
  lease: finished(lease, { desired, attempts: 0, retryAtMs: null, message: null }, nowMs),
});

/** Its owner was told that it will end at `endMs`. */
export const warned = (lease: Lease, endMs: number, nowMs: number): Moved => ({
  lease: finished(lease, { warnedForMs: endMs }, nowMs),
});

/** Somebody takes the lease in hand: nobody else may until `untilMs`. */
export const claim = (lease: Lease, token: string, untilMs: number): Lease => ({
  ...lease,
  stepToken: token,
  stepUntilMs: untilMs,
});

const firstRetryMs = 250;
const longestRetryMs = 15_000;

/** How long to wait after the nth attempt at a step: ¼, ½, 1 second and so on, up to 15. */
export const retryDelayMs = (attempts: number): number =>
  Math.min(firstRetryMs * 2 ** Math.max(0, attempts - 1), longestRetryMs);

/** A step did not work out; it is tried again in a while. */
export function postpone(lease: Lease, message: string, nowMs: number): Lease {
  const attempts = lease.attempts + 1;
  return {
    ...lease,
    ...idleStep,
    attempts,
    retryAtMs: nowMs + retryDelayMs(attempts),
    message,
    updatedAtMs: nowMs,
  };
}

/** What its container turned out to be like when somebody looked. */
export type Observation =
  | { readonly kind: "as_expected"; readonly isolation: Isolation | null }
  | { readonly kind: "died"; readonly restart: Restart }
  | { readonly kind: "over"; readonly ending: Ending }
  | { readonly kind: "should_be_paused" }
  | { readonly kind: "should_run" };

/** What follows from how the container of a lease that runs or is paused was found. */
export function observe(lease: Lease, container: Container | null, nowMs: number): Observation {
  const isExpected =
    container !== null && (container.state === "running" || container.state === "paused");
  if (isExpected && container.state === lease.state) {
    return { kind: "as_expected", isolation: container.isolation };
  }
  if (isExpected) return { kind: lease.state === "paused" ? "should_be_paused" : "should_run" };
  const exitCode = container?.exitCode ?? null;
  const exitedAtMs = Date.parse(container?.exitedAt ?? "");
  const lastSeenMs = lease.seenAtMs ?? lease.runningSinceMs ?? nowMs;
  const atMs = Number.isNaN(exitedAtMs) ? lastSeenMs : exitedAtMs;
  const passed = overdue(lease, nowMs);
  // It lived for longer than it may, which nobody had noticed: that is free, and no crash.
  if (passed !== null && passed.atMs <= atMs) {
    return { kind: "over", ending: { reason: passed.reason, atMs: passed.atMs, exitCode } };
  }
  if (container !== null && exitCode === 0 && !container.outOfMemory) {
    const message = "Its program ended by itself.";
    return { kind: "over", ending: { reason: "released", atMs, exitCode, message } };
  }
  const message = describeDeath(container);
  if (passed === null && lease.restarts < lease.maxRestarts) {
    return { kind: "died", restart: { isAutomatic: true, atMs, exitCode, message } };
  }
  const reason = container?.outOfMemory ? "oom" : "crashed";
  return { kind: "over", ending: { reason, atMs, exitCode, message } };
}

function describeDeath(container: Container | null): string {
  if (container === null) return "Its container has vanished.";
  if (container.outOfMemory) return "It used more memory than it may.";
  if (container.exitCode === null) return "Its program was ended from outside.";
  return `Its program ended with exit code ${container.exitCode}.`;
}
