import type { Task } from "graphile-worker";
import type { Clock } from "../clock.ts";
import type { Faults } from "../resilience/faults.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { systemActor, thePlatform } from "../tenancy/types.ts";
import type { JobContext, JobTask, TenantLookup } from "./types.ts";

/** Where neither the task nor the job says fewer. */
export const defaultMaxAttempts = 10;
const ignoredAbortMs = 5_000;

/** A service's catalogue has a task, or a queued job names one, that can't be run. */
class UnfitJobError extends Error {}

export interface TaskSetting {
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: each service has dependencies of its own
  task: JobTask<any>;
  deps: unknown;
}

export interface TaskRunner {
  tenants: TenantLookup;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  faults?: Pick<Faults, "at">;
  /** Aborted when the worker is to stop soon. */
  stopping: AbortSignal;
  /** Jobs under way, by id. */
  active: Set<string>;
  /** Gives a job back as if this attempt had not been. */
  handBack(jobId: string): Promise<void>;
  /** Makes this attempt the job's last. */
  endAttempts(jobId: string): Promise<void>;
}

type Outcome = "done" | "failed" | "failed_for_good" | "handed_back";

/** Rejects some time after the signal, for work that does not heed it: its place is needed. */
async function whenIgnored(signal: AbortSignal, clock: Clock, over: AbortSignal): Promise<never> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await clock.sleep(ignoredAbortMs, over);
  throw signal.reason;
}

/** Runs with a signal that is aborted after `timeoutMs` or when the worker stops. */
async function withLimits(
  runner: TaskRunner,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const timeout = new AbortController();
  const late = () => timeout.abort(new Error(`The job took longer than ${timeoutMs} ms`));
  runner.clock.sleep(timeoutMs, over.signal).then(late, () => {});
  const signal = AbortSignal.any([timeout.signal, runner.stopping]);
  const ignored = whenIgnored(signal, runner.clock, over.signal);
  // Whoever wins the race below, the other one's rejection is nobody's.
  ignored.catch(() => {});
  try {
    await Promise.race([work(signal), ignored]);
  } finally {
    over.abort();
  }
}

async function perform(
  { name, task, deps }: TaskSetting,
  runner: TaskRunner,
  payload: Record<string, unknown>,
  base: Omit<JobContext<unknown>, "deps" | "signal" | "actor">,
): Promise<void> {
  const { tenantId, requestId: _, ...rest } = payload;
  const context = { ...base, deps, actor: systemActor(`job:${name}`) };
  if (task.scope === "platform") {
    if (tenantId !== undefined && tenantId !== thePlatform.id)
      throw new UnfitJobError(`${name} is no task for a tenant`);
    await withLimits(runner, task.timeoutMs, (signal) => task.run(rest, { ...context, signal }));
    return;
  }
  if (typeof tenantId !== "string") throw new UnfitJobError(`${name} needs a tenant`);
  const tenant = await runner.tenants.ref(tenantId);
  if (!tenant) {
    base.log.warn("the job's tenant is gone; the job is dropped");
    return;
  }
  await withLimits(runner, task.timeoutMs, (signal) =>
    task.run(rest, { ...context, signal, tenant }),
  );
}

/** The function that graphile-worker calls for one task. */
export function wrapTask(setting: TaskSetting, runner: TaskRunner): Task {
  const { name, task } = setting;
  const { clock, metrics } = runner;
  const counted = metrics.counter("job_attempts_total", "Attempts of jobs", ["task", "outcome"]);
  const lasted = metrics.histogram("job_duration_seconds", "Duration of attempts", ["task"]);

  return async (rawPayload, { job }) => {
    const payload = (rawPayload ?? {}) as Record<string, unknown>;
    const attempt = job.attempts;
    const limit = Math.min(job.max_attempts, task.maxAttempts ?? defaultMaxAttempts);
    const { tenantId, requestId } = payload;
    const log = runner.log.child({ job: job.id, task: name, tenant: tenantId, attempt });
    const base = {
      log,
      jobId: job.id,
      requestId: typeof requestId === "string" && requestId ? requestId : `job:${job.id}`,
      attempt,
      lastAttempt: attempt >= limit,
    };
    const startedMs = clock.monotonicMs();
    let outcome: Outcome = "done";
    runner.active.add(job.id);
    try {
      await runner.faults?.at("jobs.task.run");
      await perform(setting, runner, payload, base);
      await runner.faults?.at("jobs.task.done");
    } catch (error) {
      outcome = await settleFailure(error, base, runner);
      throw error;
    } finally {
      runner.active.delete(job.id);
      const durationMs = clock.monotonicMs() - startedMs;
      counted.inc({ task: name, outcome });
      lasted.observe({ task: name }, durationMs / 1_000);
      log.info({ durationMs: Math.round(durationMs), outcome }, "job attempt ended");
    }
  };
}

async function settleFailure(
  error: unknown,
  { jobId, lastAttempt, log }: Pick<JobContext<unknown>, "jobId" | "lastAttempt" | "log">,
  runner: TaskRunner,
): Promise<Outcome> {
  try {
    if (runner.stopping.aborted) {
      await runner.handBack(jobId);
      return "handed_back";
    }
    log.warn({ err: error }, "a job's attempt failed");
    if (!lastAttempt && !(error instanceof UnfitJobError)) return "failed";
    await runner.endAttempts(jobId);
  } catch (bookkeeping) {
    log.error({ err: bookkeeping }, "a job's failure could not be noted");
  }
  return "failed_for_good";
}
