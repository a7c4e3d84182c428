import type { Tx } from "#kernel/db/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import type { Expected } from "#kernel/versions.ts";
import { leasesErrors } from "../errors.ts";
import type { Caller } from "../rules/callers.ts";
import type { Lease } from "../rules/lease.ts";
import { isEnding } from "../rules/lifecycle.ts";
import { desire, type Moved, renew, restart, stop, touch } from "../rules/moves.ts";
import { assertRanges, ttlRange } from "../rules/request.ts";
import type { LeasesDeps } from "../types.ts";
import { applyMove, type Told } from "./apply.ts";
import { assertAsk, lockFor } from "./asked.ts";
import type { Made } from "./create.ts";
import { readLimits } from "./limits.ts";

/** Who asks for a change of a lease, and perhaps of which version. */
export interface AskedChange {
  readonly id: string;
  readonly caller: Caller;
  readonly version?: Expected;
}

async function write(
  tx: Tx,
  deps: LeasesDeps,
  before: Lease,
  moved: Moved,
  told: Told,
): Promise<Made> {
  const { random, config } = deps;
  const context = { random, publicUrl: config.publicUrl };
  const lease = await applyMove(tx, context, before, moved, told);
  return { lease, nowMs: told.nowMs };
}

function nudgeAfter(tx: Tx, { engine }: Pick<LeasesDeps, "engine">, id: string): void {
  tx.afterCommit(() => engine.nudge(tx.tenant.id, "lease", id));
}

/**
 * Moves a lease's end to `ttlSeconds` from now, never past the hard cap. Of a renewal and an expiry
 * exactly one wins: both need the row. Throws `over`, `wrong_state` and `beyond_limit`.
 */
export async function renewLease(
  tx: Tx,
  deps: LeasesDeps,
  asked: AskedChange & { ttlSeconds?: number },
): Promise<Made> {
  const limits = await readLimits(tx, deps);
  const permission = "lease:renew";
  const { lease, nowMs } = await lockFor(tx, asked.id, { ...asked, clock: deps.clock, permission });
  assertAsk(lease, "renew", nowMs);
  const ttlSeconds = asked.ttlSeconds ?? lease.ttlSeconds;
  assertRanges([ttlRange(ttlSeconds, limits)]);
  const made = await write(tx, deps, lease, renew(lease, ttlSeconds, nowMs), {
    nowMs,
    action: "lease.renew",
    event: "lease.renewed",
    noted: { ttlSeconds },
  });
  await deps.faults.at("leases.renew.commit");
  return made;
}

/**
 * Says that a lease is in use: its idleness begins anew. Not audited, as nothing is changed by it.
 * Throws `over` and `wrong_state`.
 */
export async function keepLeaseAlive(tx: Tx, deps: LeasesDeps, asked: AskedChange): Promise<Made> {
  const permission = "lease:renew";
  const { lease, nowMs } = await lockFor(tx, asked.id, { ...asked, clock: deps.clock, permission });
  assertAsk(lease, "keepalive", nowMs);
  return write(tx, deps, lease, touch(lease, nowMs), { nowMs, action: null, event: null });
}

const wishes = {
  pause: { ask: "pause", desired: "paused", action: "lease.pause", event: "lease.pausing" },
  resume: { ask: "resume", desired: "running", action: "lease.resume", event: "lease.resuming" },
} as const;

/**
 * Wants a lease to pause or to go on; the engine does it. Throws `over`, `wrong_state` and, where
 * the runtime can't, `not_supported`.
 */
export async function wishLease(
  tx: Tx,
  deps: LeasesDeps,
  wish: "pause" | "resume",
  asked: AskedChange,
): Promise<Made> {
  const { ask, desired, action, event } = wishes[wish];
  const permission = "lease:control";
  const { lease, nowMs } = await lockFor(tx, asked.id, { ...asked, clock: deps.clock, permission });
  assertAsk(lease, ask, nowMs);
  if (lease.desired === desired) return { lease, nowMs };
  if (wish === "pause") await assertPausable(deps, lease);
  const told = { nowMs, action, event };
  const made = await write(tx, deps, lease, desire(lease, desired, nowMs), told);
  nudgeAfter(tx, deps, lease.id);
  return made;
}

async function assertPausable({ fleet }: Pick<LeasesDeps, "fleet">, lease: Lease): Promise<void> {
  const { canPause, name } = await fleet.at(lease).info();
  if (canPause) return;
  throw leasesErrors.not_supported({ detail: `The runtime ${name} can't pause a container.` });
}

/**
 * Gives up a lease's container for a new one, which begins as the first one did. Its deadlines
 * stay. Throws `over` and `wrong_state`.
 */
export async function restartLease(tx: Tx, deps: LeasesDeps, asked: AskedChange): Promise<Made> {
  const permission = "lease:control";
  const { lease, nowMs } = await lockFor(tx, asked.id, { ...asked, clock: deps.clock, permission });
  assertAsk(lease, "restart", nowMs);
  const why = { isAutomatic: false, atMs: nowMs, exitCode: null, message: null };
  const made = await write(tx, deps, lease, restart(lease, why, nowMs), {
    nowMs,
    action: "lease.restart",
    event: "lease.restarting",
  });
  tx.afterCommit(() => deps.gauges.restarts.inc({ kind: "asked" }));
  nudgeAfter(tx, deps, lease.id);
  return made;
}

/** Ends a lease, in any state; one whose end is decided already stays as it is. */
export async function releaseLease(tx: Tx, deps: LeasesDeps, asked: AskedChange): Promise<Made> {
  const permission = "lease:delete";
  const { lease, nowMs } = await lockFor(tx, asked.id, { ...asked, clock: deps.clock, permission });
  if (isEnding(lease)) return { lease, nowMs };
  const reason = lease.ownerId === asked.caller.id ? "released" : "admin";
  const made = await write(tx, deps, lease, stop(lease, { reason, atMs: nowMs }, nowMs), {
    nowMs,
    action: "lease.delete",
    event: "lease.stopping",
  });
  nudgeAfter(tx, deps, lease.id);
  return made;
}

/** Throws the kernel's `not_found` for null: what is hidden and what is not there are alike. */
export function found<Thing>(thing: Thing | null): Thing {
  if (thing === null) throw requestErrors.not_found();
  return thing;
}
