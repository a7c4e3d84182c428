import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Lease } from "../rules/lease.ts";
import { claim, type Moved, observe, restart, stop } from "../rules/moves.ts";
import type { Container } from "../runtimes/types.ts";
import { getLease } from "../store/leases.ts";
import { type Announced, note, settle, withLease, write } from "./settle.ts";
import { holdMs, type Works } from "./works.ts";

/** What became of a lease that was looked at. */
export type Observed = "as_expected" | "moved" | "mended" | "busy" | "none";

/**
 * Looks at the container of a lease that runs or is paused, and does what follows: a crash is a
 * restart or the end, a container that stands still when it should run is told to go on. A lease
 * that somebody works on is left to them.
 */
export async function observeLease(works: Works, tenant: TenantRef, id: string): Promise<Observed> {
  const read = await getLease(works.db, tenant, { id, ownerId: null, clock: works.clock });
  if (!read || !isComparable(read.lease)) return "none";
  const runtime = works.fleet.at(read.lease);
  const container = await runtime.inspect(read.lease.containerId as string);
  const token = works.random.id();
  const found = await withLease(works, tenant, id, async (held) => {
    if (!held || !isSame(held.lease, read.lease)) return "none" as const;
    const { lease, nowMs } = held;
    if (lease.stepUntilMs !== null && lease.stepUntilMs > nowMs) return "busy" as const;
    const seen = observe(lease, container, nowMs);
    if (seen.kind === "as_expected") return "as_expected" as const;
    if (seen.kind === "died" || seen.kind === "over") {
      const moved =
        seen.kind === "died"
          ? restart(lease, seen.restart, nowMs)
          : stop(lease, seen.ending, nowMs);
      await write(works, held, moved, announcement(moved, container));
      if (seen.kind === "died") works.gauges.restarts.inc({ kind: "automatic" });
      return "moved" as const;
    }
    // What the lease wishes for is the engine's to bring about.
    if (lease.desired !== lease.state) return "busy" as const;
    await note(held, claim(lease, token, nowMs + holdMs));
    return seen.kind;
  });
  if (found !== "should_run" && found !== "should_be_paused") return found;
  const containerId = read.lease.containerId as string;
  if (found === "should_run") await runtime.resume(containerId);
  else await runtime.pause(containerId);
  await settle(works, tenant, { id, token }, (held) =>
    note(held, { ...held.lease, stepToken: null, stepUntilMs: null }),
  );
  return "mended";
}

const isComparable = ({ state, containerId }: Lease): boolean =>
  (state === "running" || state === "paused") && containerId !== null;

/** Whether nothing happened to the lease while its container was looked at. */
const isSame = (now: Lease, before: Lease): boolean =>
  now.state === before.state &&
  now.generation === before.generation &&
  now.containerId === before.containerId;

function announcement({ lease }: Moved, container: Container | null): Announced {
  const noted = { exitCode: lease.exitCode, outOfMemory: container?.outOfMemory ?? false };
  if (lease.state === "starting") {
    return { action: "lease.crash", event: "lease.restarting", noted };
  }
  const isDeadline = lease.reason === "expired" || lease.reason === "idle";
  const action = isDeadline || lease.reason === "hard_cap" ? "lease.expire" : "lease.crash";
  return { action, event: "lease.stopping", noted };
}
