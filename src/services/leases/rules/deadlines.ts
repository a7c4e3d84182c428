import type { Lease } from "./lease.ts";
import { isEnding, type TerminationReason } from "./lifecycle.ts";

/** Something that will end a lease at a moment, and why, in words for people. */
export interface Deadline {
  readonly reason: TerminationReason;
  readonly atMs: number;
  readonly why: string;
}

/** Whether the clocks of TTL and idleness run: they stand still before it first ran, and paused. */
const isTicking = ({ state, startedAtMs }: Lease): boolean =>
  state === "running" || (state === "starting" && startedAtMs !== null);

function tickingDeadlines({ ttlSeconds, expiresAtMs, ...lease }: Lease): Deadline[] {
  const why = `Its time to live of ${ttlSeconds} s will be over; renewing moves this.`;
  const expiry = { reason: "expired", atMs: expiresAtMs, why } as const;
  const seconds = lease.idleTtlSeconds;
  if (seconds === null) return [expiry];
  const idle = {
    reason: "idle",
    atMs: lease.lastActivityAtMs + seconds * 1_000,
    why: `Nobody will have used it for ${seconds} s; exec, attach and keepalive are use.`,
  } as const;
  return [expiry, idle];
}

/** Whatever may end a lease from now on, the more telling reason first; nothing once it ends. */
export function deadlinesOf(lease: Lease): Deadline[] {
  if (isEnding(lease)) return [];
  const found: Deadline[] = [
    {
      reason: "hard_cap",
      atMs: lease.hardExpiresAtMs,
      why: "No lease of this tenant lives longer, however often it is renewed.",
    },
  ];
  if (lease.state === "paused" && lease.pausedUntilMs !== null) {
    const why = `It may be paused for ${lease.pauseSeconds} s; resuming starts its clocks again.`;
    found.push({ reason: "expired", atMs: lease.pausedUntilMs, why });
  }
  if (isTicking(lease)) found.push(...tickingDeadlines(lease));
  if ((lease.state === "pending" || lease.state === "starting") && lease.deadlineMs !== null) {
    const why = "It will not have started in time.";
    found.push({ reason: "failed", atMs: lease.deadlineMs, why });
  }
  return found;
}

/** The first of several deadlines; of those at one moment, the one that stands first. */
export const earliest = (deadlines: readonly Deadline[]): Deadline | null =>
  deadlines.reduce<Deadline | null>(
    (first, one) => (first === null || one.atMs < first.atMs ? one : first),
    null,
  );

/** What has ended the lease by `nowMs` though nobody has noticed; null: it lives. */
export function overdue(lease: Lease, nowMs: number): Deadline | null {
  const first = earliest(deadlinesOf(lease));
  return first !== null && first.atMs <= nowMs ? first : null;
}

/**
 * When a lease will end as far as is known, or did, though its container went later: for lists and
 * countdowns. Before it first runs, that is its time to live from its making, though the clock
 * starts only when it runs.
 */
export function endsAtMs(lease: Lease): number {
  if (isEnding(lease)) return lease.endsAtMs;
  const lasting = deadlinesOf(lease).filter(({ reason }) => reason !== "failed");
  const end = (earliest(lasting) as Deadline).atMs;
  return lease.startedAtMs === null ? Math.min(end, lease.expiresAtMs) : end;
}

/** Part of a time of idleness that a warning may come before its end. */
const idleWarningPart = 5;

/** When the owner is to be warned of the end; null where the clocks stand still or it was told. */
export function warnAtMs(lease: Lease): number | null {
  if (!isTicking(lease) || lease.warnSeconds === 0) return null;
  const end = earliest(deadlinesOf(lease)) as Deadline;
  if (lease.warnedForMs === end.atMs || end.reason === "failed") return null;
  const idleSeconds = end.reason === "idle" ? lease.idleTtlSeconds : null;
  const mostSeconds = (idleSeconds ?? Number.POSITIVE_INFINITY) / idleWarningPart;
  const leadMs = Math.min(lease.warnSeconds, mostSeconds) * 1_000;
  return end.atMs - Math.floor(leadMs);
}

/** Where renewing for `ttlSeconds` moves the end: never past the hard cap. */
export const renewedUntilMs = (
  { hardExpiresAtMs }: Pick<Lease, "hardExpiresAtMs">,
  ttlSeconds: number,
  nowMs: number,
): number => Math.min(nowMs + ttlSeconds * 1_000, hardExpiresAtMs);
