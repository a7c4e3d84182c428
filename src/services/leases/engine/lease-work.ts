import type { TenantRef } from "#kernel/tenancy/types.ts";
import { decide, type Step } from "../rules/decide.ts";
import type { Lease } from "../rules/lease.ts";
import {
  claim,
  expire,
  finish,
  isUnseen,
  postpone,
  provision,
  type Sight,
  warned,
} from "../rules/moves.ts";
import { setDue } from "../store/due.ts";
import { extendStep } from "../store/leases.ts";
import { stopStep } from "./ending.ts";
import { failureOf } from "./failures.ts";
import { whileHeld } from "./hold.ts";
import { observeLease } from "./observe.ts";
import { forgetWish, pauseStep, resumeStep } from "./pausing.ts";
import { giveUp, observeStart, provisionStep, type StepWork, undoUnknown } from "./provision.ts";
import { type Held, note, settle, withLease, write } from "./settle.ts";
import { withSlot } from "./slots.ts";
import { holdMs, type Works } from "./works.ts";

/** More than a lease ever has to do in a row. */
const roundsMost = 20;
const wishAttemptsMost = 5;

/**
 * Brings a lease on as far as it can be brought now: decides under its lock, does what only the
 * runtime can do, writes down what came of it, and looks again.
 */
export async function workOnLease(works: Works, tenant: TenantRef, id: string): Promise<void> {
  let sight: Sight | null = "unseen";
  for (let round = 0; round < roundsMost && sight !== null; round += 1) {
    sight = await workOnce(works, { tenant, id, sight });
    if (works.stopping.aborted) return;
  }
}

interface Looked {
  readonly tenant: TenantRef;
  readonly id: string;
  /** Of its container, in this round. */
  readonly sight: Sight;
}

/** What is known of its container, if there may be more to do at once; else null. */
function workOnce(works: Works, { tenant, id, sight }: Looked): Promise<Sight | null> {
  const wanted = { tenantId: tenant.id, kind: "lease", id } as const;
  return withSlot(works.slots, wanted, async (takeSlot) => {
    const next = await decideNow(works, { tenant, id, sight }, takeSlot);
    if (next === "rest" || works.stopping.aborted) return null;
    if (next === "again") return sight;
    if (next === "look") return look(works, tenant, id);
    return (await takeStep(works, tenant, next)) ? sight : null;
  });
}

/** Before its end is decided: its container may have died when nobody was there to see it. */
async function look(works: Works, tenant: TenantRef, id: string): Promise<Sight> {
  try {
    await observeLease(works, tenant, id);
    return "alive";
  } catch (error) {
    works.log.warn({ err: error, lease: id }, "a lease ends whose container can't be looked at");
    return "unknown";
  }
}

interface Claimed {
  readonly lease: Lease;
  readonly step: Step;
  readonly token: string;
}

function decideNow(
  works: Works,
  { tenant, id, sight }: Looked,
  takeSlot: () => boolean,
): Promise<"rest" | "again" | "look" | Claimed> {
  return withLease(works, tenant, id, async (held, tx) => {
    if (held === null) {
      await tx.batch([setDue(tx, "lease", id, null)]);
      return "rest";
    }
    const { lease, nowMs, waitsFor } = held;
    const decision = decide(lease, nowMs, waitsFor);
    switch (decision.kind) {
      case "rest":
        await tx.batch([setDue(tx, "lease", id, decision.dueAtMs)]);
        return "rest";
      case "expire": {
        const { reason, atMs } = decision.deadline;
        if (sight === "unseen" && isUnseen(lease, decision.deadline)) {
          return takeSlot() ? "look" : "rest";
        }
        tx.afterCommit(() => {
          works.gauges.expiryLagSeconds.observe({ reason }, (nowMs - atMs) / 1_000);
          if (reason === "failed") observeStart({ works, lease }, "failed", nowMs);
        });
        await write(works, held, expire(lease, decision.deadline, nowMs, sight), {
          action: "lease.expire",
          event: "lease.stopping",
        });
        return "again";
      }
      case "warn":
        await write(works, held, warned(lease, decision.endMs, nowMs), {
          action: null,
          event: "lease.expiring",
        });
        return "again";
      case "abandon":
        await abandon(works, held);
        return "again";
      case "step":
        // Without room it stays due, for whoever has room first: this process or another one.
        return takeSlot() ? takeInHand(works, held, decision.step) : "rest";
    }
  });
}

async function abandon(works: Works, held: Held): Promise<void> {
  const message = "Its container could not be removed in time; it will be when that is possible.";
  works.gauges.cleanups.inc({ result: "abandoned" });
  works.log.warn({ lease: held.lease.id }, "a container could not be removed in time");
  const moved = finish(held.lease, held.nowMs, message);
  const isFailed = moved.lease.state === "failed";
  await write(works, held, moved, {
    action: "lease.abandon",
    event: isFailed ? "lease.failed" : "lease.ended",
  });
}

/** From here on nobody else works on the lease, until the token is given back or too old. */
async function takeInHand(works: Works, held: Held, step: Step): Promise<Claimed> {
  const { lease, nowMs } = held;
  const token = works.random.id();
  const untilMs = nowMs + holdMs;
  if (lease.state === "pending") {
    const moved = provision(lease, nowMs);
    const claimed = claim(moved.lease, token, untilMs);
    await write(
      works,
      held,
      { lease: claimed },
      {
        action: null,
        event: "lease.starting",
      },
    );
    return { lease: claimed, step, token };
  }
  const claimed = claim(lease, token, untilMs);
  await note(held, claimed);
  return { lease: claimed, step, token };
}

const steps: Readonly<Record<Step, (step: StepWork) => Promise<void>>> = {
  provision: provisionStep,
  pause: pauseStep,
  resume: resumeStep,
  stop: stopStep,
};

/** Whether there may be more to do at once. */
async function takeStep(
  works: Works,
  tenant: TenantRef,
  { lease, step, token }: Claimed,
): Promise<boolean> {
  const { db, clock, fleet, gauges } = works;
  const extend = () => extendStep(db, tenant, { id: lease.id, token, holdMs, clock });
  const startedMs = clock.monotonicMs();
  const observe = (result: string) =>
    gauges.steps.observe({ step, result }, (clock.monotonicMs() - startedMs) / 1_000);
  let work: StepWork | null = null;
  try {
    await whileHeld(works, extend, async (signal) => {
      work = { works, tenant, lease, token, runtime: fleet.at(lease), signal };
      await steps[step](work);
    });
    observe("done");
    return true;
  } catch (error) {
    observe("failed");
    return settleFailure(works, { tenant, lease, step, token, work }, error);
  }
}

interface Failed extends Claimed {
  readonly tenant: TenantRef;
  /** Null where there was not even a runtime. */
  readonly work: StepWork | null;
}

async function settleFailure(works: Works, failed: Failed, error: unknown): Promise<boolean> {
  const { tenant, lease, step, token, work } = failed;
  const { kind, code, message } = failureOf(error);
  works.gauges.failures.inc({ step, code });
  if (step === "stop") works.gauges.cleanups.inc({ result: "failed" });
  const level = code === "unknown" ? "error" : "warn";
  works.log[level]({ err: error, lease: lease.id, tenant: tenant.id, step }, "a step failed");
  const isWish = step === "pause" || step === "resume";
  if (work && step === "provision" && kind === "never") {
    await giveUp(work, message);
    return true;
  }
  if (work && isWish && (kind === "never" || lease.attempts >= wishAttemptsMost)) {
    await forgetWish(work, message);
    return true;
  }
  const isOurs = await settle(works, tenant, { id: lease.id, token }, (held) =>
    note(held, postpone(held.lease, message, held.nowMs)),
  );
  if (!isOurs && work && step === "provision") await undoUnknown(work);
  if (isWish && kind === "look") await observeLease(works, tenant, lease.id);
  return false;
}
