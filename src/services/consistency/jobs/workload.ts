import type { Clock } from "#kernel/clock.ts";
import { createChance } from "../engine/chance.ts";
import type { OpenStore, Who } from "../engines/registry-store.ts";
import { EngineFault, type EngineToken } from "../engines/types.ts";
import type { Done, Plan, Step } from "../rules/workload.ts";

/** A workload that is under way. */
export interface Performing {
  readonly open: OpenStore;
  readonly runId: string;
  readonly plan: Plan;
  readonly clock: Pick<Clock, "sleep">;
  readonly signal: AbortSignal;
  /** Each request, as it ends. */
  readonly done: Done[];
}

/** Lets clients ask and faults happen until the plan is over, and ends the faults. */
export async function perform(performing: Performing): Promise<void> {
  const { open, plan, clock, signal } = performing;
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const script = runScript(performing, until);
  const timer =
    plan.durationMs === null
      ? null
      : clock.sleep(plan.durationMs, until).then(
          () => over.abort(),
          () => {},
        );
  let asked = 0;
  const next = () => (asked < plan.operations && !until.aborted ? (asked += 1) : null);
  try {
    await Promise.all(
      Array.from({ length: plan.clients }, (_, at) => runClient(performing, at, next, until)),
    );
  } finally {
    over.abort();
    await script.catch(() => {
      // Its error is thrown below, once the faults are ended.
    });
    await timer;
    await open.engine.heal();
  }
  await script;
}

async function runScript(performing: Performing, until: AbortSignal): Promise<void> {
  const { plan, clock } = performing;
  const steps = plan.steps.toSorted((a, b) => a.atMs - b.atMs);
  let now = 0;
  for (const step of steps) {
    const isOver = await clock.sleep(step.atMs - now, until).then(
      () => false,
      () => true,
    );
    if (isOver) return;
    now = step.atMs;
    await take(performing, step);
  }
}

/** What some engines can do besides. */
interface Promotes {
  promote?(replica: string, meanwhile?: () => Promise<void>): Promise<void>;
}

/** How long clients still write to a primary in whose place another was put. */
const twoPrimariesMs = 500;

async function take({ open, clock }: Performing, step: Step): Promise<void> {
  const { engine } = open;
  if (step.do === "inject") return engine.inject(step.fault);
  if (step.do === "heal") return engine.heal();
  const { promote } = engine as Promotes;
  if (!promote) throw new EngineFault("No other replica can be made the primary.");
  return promote(step.replica, () => clock.sleep(twoPrimariesMs));
}

async function runClient(
  { open, runId, plan, clock, done }: Performing,
  at: number,
  next: () => number | null,
  until: AbortSignal,
): Promise<void> {
  const chance = createChance((plan.seed ^ Math.imul(at + 1, 0x9e3779b1)) >>> 0);
  const { replicas } = open.engine;
  let token: EngineToken | null = null;
  let who: Who = null;
  for (let number = next(); number !== null; number = next()) {
    const id = `${runId.slice(-12)}-${number}`;
    const isRead = chance.isHit(plan.readRatio);
    const key = plan.keys[chance.below(plan.keys.length)]!;
    const level = plan.levels[chance.below(plan.levels.length)]!;
    const roams = replicas[chance.below(replicas.length)]!;
    const pinned = replicas[at % replicas.length]!;
    const replica = plan.routing === "free" ? null : plan.routing === "pinned" ? pinned : roams;
    const value = isRead ? null : `v${id}`;
    const ask = { id, op: isRead ? "read" : "write", key, value, expected: null, level } as const;
    const asked = await open.ask({ ...ask, token, replica }, who);
    const { answer, operation, tookMs } = asked;
    const { status, stalenessMs } = answer;
    done.push({ operation, asked: replica, answer: { status, stalenessMs }, tookMs });
    if (asked.token) {
      token = asked.token.engine;
      who = asked.token;
    }
    await clock.sleep(plan.restMs, until).catch(() => {
      // It is over; there is no next request.
    });
  }
}
