import { isoOf, type ManualClock, manualClock } from "#kernel/clock.ts";
import type { Tx } from "#kernel/db/types.ts";
import { addJob } from "#kernel/jobs/add-job.ts";
import { systemRandom } from "#kernel/random.ts";
import type { KernelDeps } from "#kernel/service.ts";
import { applyMove } from "../changes/apply.ts";
import { createLease } from "../changes/create.ts";
import { createTemplate } from "../changes/templates.ts";
import { runtimeVariables } from "../engine/open.ts";
import { leasesConfigOf } from "../rules/config.ts";
import { allowedImage } from "../rules/images.ts";
import type { Lease } from "../rules/lease.ts";
import { finish, type Moved, provision, run, stop } from "../rules/moves.ts";
import type { Container } from "../runtimes/types.ts";
import { findTemplate } from "../store/templates.ts";
import type { Chosen, LeasesDeps } from "../types.ts";
import { demoHistory, demoTemplates, type PastLease } from "./leases.ts";

/** The server is there by then: nobody waits for engines and containers. */
const leasesAfterMs = 1_000;
const hourMs = 3_600_000;
const minuteMs = 60_000;

/** Templates at once; leases, which need an engine, in a job of their own a little later. */
export async function leasesDemo(tx: Tx, deps: KernelDeps): Promise<void> {
  const { config, clock } = deps;
  const leases = leasesConfigOf(config.service, runtimeVariables);
  for (const template of demoTemplates) {
    if (allowedImage(template.image, leases.allowedImages) === null) continue;
    await createTemplate(tx, { ...deps, leases }, template, false);
  }
  if (!leases.hasDemoLeases) return;
  addJob(tx, "leases.demo", {}, { runAt: isoOf(clock.nowMs() + leasesAfterMs) });
}

/** Of an engine that is asked for nothing. */
const noEngine = { runtime: { name: "process" }, place: "", info: {} } as unknown as Chosen;

/** The demo's last six days, by the same changes as everybody's, on a clock that is put back. */
export async function pastLeases(tx: Tx, deps: LeasesDeps): Promise<void> {
  const clock = manualClock(deps.clock.nowMs());
  const past: LeasesDeps = {
    ...deps,
    clock,
    random: systemRandom(clock),
    fleet: { ...deps.fleet, choose: async () => noEngine },
    engine: { ...deps.engine, nudge: () => {} },
  };
  for (const one of demoHistory) {
    if (!(await findTemplate(tx, one.lease.template))) continue;
    clock.set(deps.clock.nowMs() - one.hoursAgo * hourMs);
    await live(tx, past, clock, one);
  }
}

async function live(tx: Tx, deps: LeasesDeps, clock: ManualClock, one: PastLease): Promise<void> {
  const { random, config } = deps;
  const { publicUrl } = config;
  let { lease } = await createLease(tx, deps, one.lease);
  const move = async (moved: Moved, action: string | null, event: string) => {
    const told = { nowMs: clock.nowMs(), action, event };
    lease = await applyMove(tx, { random, publicUrl }, lease, moved, told);
  };
  await move(provision(lease, clock.nowMs()), null, "lease.starting");
  clock.advance(400);
  await move(ran(lease, clock.nowMs()), "lease.start", "lease.running");
  clock.advance(one.minutes * minuteMs);
  const { reason, exitCode = null, message = null } = one;
  const ending = { reason, atMs: clock.nowMs(), exitCode, message };
  const isAsked = reason === "released" || reason === "admin";
  const action = isAsked ? "lease.delete" : "lease.expire";
  await move(stop(lease, ending, clock.nowMs()), action, "lease.stopping");
  clock.advance(600);
  await move(finish(lease, clock.nowMs()), "lease.end", "lease.ended");
}

/** What isolation it had, nobody can tell any more. */
function ran(lease: Lease, nowMs: number): Moved {
  const moved = run(lease, { id: "demo", isolation: null } as unknown as Container, nowMs);
  return { ...moved, lease: { ...moved.lease, containerId: null } };
}
