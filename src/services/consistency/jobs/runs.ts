import { isoNow } from "#kernel/clock.ts";
import { audit } from "#kernel/audit/audit.ts";
import { emit } from "#kernel/events/emit.ts";
import type { KernelDeps } from "#kernel/service.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { beginCheck, runCheck } from "../changes/checks.ts";
import type { Gauges } from "../engines/registry-metrics.ts";
import { finalReads, headLines } from "../engines/registry-history.ts";
import { experimentWords, verdictWords } from "../rules/experiments.ts";
import { type Done, summaryOf, withCutOff } from "../rules/workload.ts";
import type { Run } from "../schemas/runs.ts";
import { finishRun, reportRun, type RunEnd } from "../store/runs.ts";
import type { Runs, Started } from "../types.ts";
import type { Checker } from "./checker.ts";
import type { CheckResult } from "./check-work.ts";
import { perform } from "./workload.ts";

const reportEveryMs = 1_000;
const runsAtOnceMost = 8;

type RunDeps = Pick<KernelDeps, "db" | "clock" | "log" | "random"> & {
  readonly checker: Checker;
  readonly gauges: Gauges;
};

/** Makes the place where runs of a process are. */
export function createRuns(deps: RunDeps): Runs {
  const running = new Map<string, { cancel: AbortController; over: Promise<void> }>();
  const settled = async () => {
    while (running.size > 0) await Promise.all([...running.values()].map(({ over }) => over));
  };
  return {
    isFull: () => running.size >= runsAtOnceMost,
    start(started) {
      const { run, opened } = started;
      const cancel = new AbortController();
      const over = work(deps, started, cancel.signal)
        .catch((error) => deps.log.warn({ err: error, runId: run.id }, "a run broke off"))
        .finally(() => {
          if (opened.open.runId === run.id) opened.open.runId = null;
          running.delete(run.id);
        });
      running.set(run.id, { cancel, over });
    },
    cancel(runId) {
      const one = running.get(runId);
      one?.cancel.abort(new Error("the run was cancelled"));
      return one !== undefined;
    },
    settled,
    async stop() {
      for (const { cancel } of running.values()) cancel.abort(new Error("the process stops"));
      await settled();
    },
  };
}

async function work(deps: RunDeps, started: Started, signal: AbortSignal): Promise<void> {
  const { opened, run, plan, tenant } = started;
  const done: Done[] = [];
  const over = new AbortController();
  const reporting = report(deps, tenant, run.id, () => done.length, over.signal);
  let end: Omit<RunEnd, "done" | "finishedAt">;
  try {
    await perform({ open: opened.open, runId: run.id, plan, clock: deps.clock, signal, done });
    end = signal.aborted ? ended("cancelled", null) : await judge(deps, started, done);
  } catch (error) {
    deps.log.warn({ err: error, runId: run.id }, "a run failed");
    end = ended("failed", `It broke off: ${(error as Error).message}`.slice(0, 500));
  } finally {
    over.abort();
    await reporting;
  }
  await deps.db.inTenant(
    tenant,
    async (tx) => {
      const finishedAt = isoNow(deps.clock);
      const after = await finishRun(tx, run.id, { ...end, done: done.length, finishedAt });
      if (!after) return;
      audit(tx, { action: "run.finish", resource: runResource(run), after });
      emit(tx, { type: "run.finished", resource: runResource(run), data: after });
    },
    started.on,
  );
}

/** How audit and events name a run. */
export const runResource = ({ id }: Pick<Run, "id">) => ({ type: "run", id });

const ended = (state: RunEnd["state"], words: string | null) => ({
  state,
  summary: null,
  status: null,
  words,
  checkId: null,
});

async function report(
  { db, clock, log }: RunDeps,
  tenant: TenantRef,
  id: string,
  done: () => number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const isOver = await clock.sleep(reportEveryMs, signal).then(
      () => false,
      () => true,
    );
    if (isOver) return;
    await reportRun(db, tenant, id, done()).catch((error) =>
      log.warn({ err: error, runId: id }, "how far a run is could not be kept"),
    );
  }
}

/** Looks at what stands in the end, has the history checked, and says what it shows. */
async function judge(
  deps: RunDeps,
  { opened, plan, experiment, tenant, on }: Started,
  done: readonly Done[],
): Promise<Omit<RunEnd, "done" | "finishedAt">> {
  const { open, row } = opened;
  const from = done.reduce((first, { operation }) => Math.min(first, operation.call), Infinity);
  const finals = await finalReads(open, plan.keys, deps.clock);
  const name = `${row.name}: ${experiment ?? "workload"}`;
  const head = await headLines(row, open, name);
  const operations = [...done.map(({ operation }) => operation), ...finals];
  const summary = summaryOf(done, {
    faults: withCutOff(open.engine.faults(), plan, open.engine.replicas),
    events: open.engine.breakerEvents().filter(({ at }) => at >= from),
    maxStalenessMs: row.maxStalenessMs,
  });
  const lines = [...head, ...operations.map((one) => JSON.stringify(one))];
  const source = { kind: "recorded", lines } as const;
  const check = { id: deps.random.id(), storeId: row.id, leftOut: null };
  const whole = { ...check, work: { name, options: {}, source } };
  await deps.db.inTenant(tenant, (tx) => beginCheck(tx, deps, whole), on);
  const result: CheckResult = await runCheck(deps, tenant, whole, on);
  if ("error" in result) {
    const words = `It could not be checked: ${result.error}`.slice(0, 500);
    return { ...ended("failed", words), summary, checkId: check.id };
  }
  const { report: shown, status } = result;
  const words = experiment ? experimentWords(experiment, summary, shown) : verdictWords(shown);
  return { state: "done", summary, status, words: words.slice(0, 2_000), checkId: check.id };
}
