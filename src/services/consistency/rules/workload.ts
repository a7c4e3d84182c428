import type { EngineAnswer, FaultSpec } from "../engines/types.ts";
import { consistencyErrors } from "../errors.ts";
import type { NewWorkload, RunSummary } from "../schemas/runs.ts";
import type { Store } from "../schemas/stores.ts";
import { faultOf } from "./faults.ts";
import type { BreakerEvent, Fault, LevelName, Operation } from "./history.ts";
import { usualLevel } from "./stores.ts";

export const operationsMost = 100_000;

/** What happens at a moment of a workload; `heal` ends every fault. */
export type Step =
  | { readonly atMs: number; readonly do: "inject"; readonly fault: FaultSpec }
  | { readonly atMs: number; readonly do: "heal" }
  | { readonly atMs: number; readonly do: "promote"; readonly replica: string };

/** Who asks what, and what happens meanwhile. */
export interface Plan {
  readonly clients: number;
  readonly operations: number;
  readonly durationMs: number | null;
  readonly readRatio: number;
  readonly keys: readonly string[];
  readonly levels: readonly LevelName[];
  readonly seed: number;
  /** The engine decides, each client has a replica, or asks another one each time. */
  readonly routing: "free" | "pinned" | "roaming";
  /** How long a client rests between two requests. */
  readonly restMs: number;
  readonly steps: readonly Step[];
}

const usual = { clients: 4, operations: 200, readRatio: 0.5, keys: 5, seed: 1, faults: [] };

/** Keys of a run's own, so that its history is whole. */
export const keysOf = (runId: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `run-${runId.slice(-12)}-${at}`);

/** What a workload does. Throws `bad_run` and `bad_fault`. */
export function workloadPlan(
  wanted: NewWorkload,
  { runId, store, replicas }: { runId: string; store: Store; replicas: readonly string[] },
): Plan {
  const { operations, durationSeconds } = wanted;
  if (operations !== undefined && durationSeconds !== undefined) {
    throw consistencyErrors.bad_run({
      detail: "A workload is so many operations, or so many seconds; not both.",
      errors: [{ path: "/durationSeconds", message: "must be left out beside operations" }],
    });
  }
  const { faults, ...values } = { ...usual, ...wanted };
  const levels = wanted.levels ?? [usualLevel(store.mode)];
  assertLevels(levels, store);
  const isTimed = durationSeconds !== undefined;
  return {
    clients: values.clients,
    operations: isTimed ? operationsMost : values.operations,
    durationMs: isTimed ? durationSeconds * 1_000 : null,
    readRatio: values.readRatio,
    keys: keysOf(runId, values.keys),
    levels,
    seed: values.seed,
    routing: "free",
    restMs: 1,
    steps: faults.map((step, at) => stepOf(step, replicas, `/faults/${at}`)),
  };
}

function assertLevels(levels: readonly LevelName[], { mode, maxStalenessMs, ...store }: Store) {
  const at = levels.findIndex(
    (level) =>
      (level === "strong" && mode === "AP") ||
      (level === "bounded" && maxStalenessMs === null && store.maxStalenessVersions === null),
  );
  if (at < 0) return;
  const why =
    levels[at] === "strong" ? "an AP store refuses strong requests" : "the store has no bound";
  throw consistencyErrors.bad_run({
    detail: `The level "${levels[at]}" makes no sense: ${why}.`,
    errors: [{ path: `/levels/${at}`, message: "must be a level that the store can give" }],
  });
}

function stepOf(
  { atMs, fault, heal }: NonNullable<NewWorkload["faults"]>[number],
  replicas: readonly string[],
  path: string,
): Step {
  if (fault && !heal) {
    return { atMs, do: "inject", fault: faultOf(fault, replicas, `${path}/fault`) };
  }
  if (heal && !fault) return { atMs, do: "heal" };
  throw consistencyErrors.bad_run({
    detail: "At a moment a fault begins or all end: say `fault` or `heal`.",
    errors: [{ path, message: "must have one of fault and heal" }],
  });
}

/** One request of a run, and what came of it. */
export interface Done {
  readonly operation: Operation;
  /** The replica that was asked; null where the engine has chosen. */
  readonly asked: string | null;
  readonly answer: Pick<EngineAnswer, "status" | "stalenessMs">;
  readonly tookMs: number;
}

const movesMost = 50;

/** What a run came to, in numbers. */
export function summaryOf(
  done: readonly Done[],
  around: {
    readonly faults: readonly Fault[];
    readonly events: readonly BreakerEvent[];
    readonly maxStalenessMs: number | null;
  },
): RunSummary {
  const refusals = done.filter(({ answer }) => answer.status === "refused");
  const staleness = done.flatMap(({ answer }) => answer.stalenessMs ?? []);
  const isolated = done.filter((one) => isIsolated(one, around.faults));
  const { maxStalenessMs } = around;
  const isBeyond = ({ operation, answer }: Done) =>
    operation.level === "bounded" &&
    answer.status === "ok" &&
    maxStalenessMs !== null &&
    (answer.stalenessMs ?? 0) > maxStalenessMs;
  return {
    ...countsOf(done),
    isolated: countsOf(isolated),
    slowestRefusalMs: largest(refusals.map(({ tookMs }) => tookMs)),
    fastestRejectionMs: largest(
      refusals.map(({ tookMs }) => -tookMs),
      -1,
    ),
    mostStaleMs: largest(staleness),
    beyondBound: done.filter(isBeyond).length,
    breakerMoves: around.events
      .filter(({ event }) => event === "transition")
      .slice(0, movesMost)
      .map(({ breaker, state }) => `${breaker} ${state}`),
  };
}

/**
 * Faults with those whom a partition of the plan keeps from a majority, which an AP store does not
 * tell: it goes on without one.
 */
export function withCutOff(
  faults: readonly Fault[],
  { steps }: Plan,
  replicas: readonly string[],
): Fault[] {
  const groups = steps.flatMap((step) =>
    step.do === "inject" && step.fault.kind === "partition" ? step.fault.groups : [],
  );
  const isolated = groups.filter((group) => group.length * 2 < replicas.length).flat();
  const isTold = ({ fault, isolated: told }: Fault) =>
    told.length > 0 || !fault.startsWith("partition");
  return faults.map((fault) => (isTold(fault) ? fault : { ...fault, isolated }));
}

function countsOf(done: readonly Done[]) {
  const count = (status: EngineAnswer["status"]) =>
    done.filter(({ answer }) => answer.status === status).length;
  return { ok: count("ok"), refused: count("refused"), unknown: count("unknown") };
}

/** Rounded to microseconds; null of none. */
function largest(numbers: readonly number[], sign = 1): number | null {
  if (numbers.length === 0) return null;
  const most = numbers.reduce((a, b) => Math.max(a, b));
  return Math.round(sign * most * 1_000) / 1_000 + 0;
}

function isIsolated({ operation, asked }: Done, faults: readonly Fault[]): boolean {
  const replica = asked ?? operation.replica;
  if (!replica) return false;
  return faults.some(
    (fault) =>
      fault.isolated.includes(replica) &&
      fault.call <= operation.call &&
      (operation.return ?? Number.POSITIVE_INFINITY) <= (fault.return ?? Number.POSITIVE_INFINITY),
  );
}
