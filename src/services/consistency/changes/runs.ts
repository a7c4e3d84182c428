import { audit } from "#kernel/audit/audit.ts";
import { isoNow } from "#kernel/clock.ts";
import type { Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import { consistencyErrors } from "../errors.ts";
import { runResource } from "../jobs/runs.ts";
import type { ExperimentName } from "../rules/experiment-names.ts";
import { experimentPlan } from "../rules/experiments.ts";
import { type Plan, workloadPlan } from "../rules/workload.ts";
import type { NewExperiment, NewWorkload, Run } from "../schemas/runs.ts";
import { insertRun } from "../store/runs.ts";
import type { ConsistencyDeps, Opened } from "../types.ts";

/** What is to run: its id, and what follows from what was asked for. */
export interface Prepared {
  readonly id: string;
  readonly plan: Plan;
  readonly experiment: ExperimentName | null;
  readonly spec: object;
}

/** A workload. Throws `bad_run` and `bad_fault`. */
export function prepareWorkload(id: string, { row, open }: Opened, wanted: NewWorkload): Prepared {
  const { replicas } = open.engine;
  const plan = workloadPlan(wanted, { runId: id, store: row, replicas });
  return { id, plan, experiment: null, spec: wanted };
}

/** An experiment. Throws `bad_run`. */
export async function prepareExperiment(
  id: string,
  { row, open }: Opened,
  { name, seed = 1 }: NewExperiment,
): Promise<Prepared> {
  const { engine } = open;
  const status = await engine.status();
  const leads = status.find(({ role }) => role === "leader" || role === "primary");
  const plan = experimentPlan(name, {
    store: row,
    runId: id,
    seed,
    replicas: engine.replicas,
    leader: leads?.name ?? engine.replicas[0]!,
    faultKinds: engine.faultKinds,
    canPromote: "promote" in engine,
    canCrash: engine.faultKinds.includes("crash"),
  });
  return { id, plan, experiment: name, spec: { name, seed } };
}

type StartDeps = Pick<ConsistencyDeps, "clock" | "runs">;

/** Begins it once the transaction has committed. Throws `run_under_way`. */
export async function startRun(
  tx: Tx,
  { clock, runs }: StartDeps,
  opened: Opened,
  { id, plan, experiment, spec }: Prepared,
): Promise<Run> {
  const { open } = opened;
  const at = isoNow(clock);
  const run: Run = {
    id,
    storeId: open.id,
    kind: experiment === null ? "workload" : "experiment",
    experiment,
    state: "running",
    progress: { done: 0, total: plan.durationMs === null ? plan.operations : null },
    summary: null,
    status: null,
    words: null,
    checkId: null,
    createdAt: at,
    updatedAt: at,
    finishedAt: null,
  };
  await tx.batch(insertRun(tx.tenant.id, run, spec));
  if (open.runId !== null || runs.isFull()) {
    throw consistencyErrors.run_under_way({
      detail: open.runId
        ? `The run ${open.runId} is under way; wait for its end, or cancel it.`
        : "As many runs are under way in this process as may; wait for one to end.",
      headers: { "retry-after": "5" },
    });
  }
  audit(tx, { action: "run.start", resource: runResource(run), after: { ...run, spec } });
  emit(tx, { type: "run.started", resource: runResource(run), data: run });
  const on = { actor: tx.actor, requestId: tx.requestId };
  const { tenant } = tx;
  tx.afterCommit(() => {
    open.runId = id;
    runs.start({ tenant, opened, run, plan, experiment, on });
  });
  return run;
}
