import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createOwnerPool } from "./shift.ts";
import * as store from "./store.ts";
import type { JobState, JobSummary } from "./store.ts";

/** What came of a change; a job that is running can't be changed. */
export type Changed = "done" | "running" | "gone";

/** What a platform admin sees of the queue, and does to it. */
export interface JobAdmin {
  /** Newest first; `beforeId` is the last one's of the page before. */
  list(wanted: {
    state?: JobState;
    task?: string;
    beforeId?: string;
    limit: number;
  }): Promise<JobSummary[]>;
  /** Null when there is none such: a job that has ended well is not kept. */
  find(id: string): Promise<JobSummary | null>;
  /** How many there are of each task and state. */
  counts(): Promise<{ task: string; state: JobState; count: number }[]>;
  /** Starts a job anew, with as many attempts as it had. */
  retry(id: string): Promise<Changed>;
  delete(id: string): Promise<Changed>;
  close(): Promise<void>;
}

export interface JobAdminOptions {
  ownerUrl: string;
  /** How often a task is tried at most. */
  attemptsOf(task: string): number;
  log: Logger;
}

/** Over the owner's URL, since the app role can't read the queue; at most 2 connections. */
export function createJobAdmin({ ownerUrl, attemptsOf, log }: JobAdminOptions): JobAdmin {
  const pool = createOwnerPool({ ownerUrl, name: "plimsoll job admin", max: 2, log });
  const outcome = async (id: string, done: boolean): Promise<Changed> => {
    if (done) return "done";
    return (await store.selectJob(pool, id)) ? "running" : "gone";
  };
  // A job's own limit holds as far as its task's allows.
  const limited = (job: JobSummary): JobSummary => {
    const limit = Math.min(job.maxAttempts, attemptsOf(job.task));
    return { ...job, maxAttempts: Math.max(limit, job.attempts) };
  };
  return {
    list: async (wanted) => (await store.selectJobs(pool, wanted)).map(limited),
    async find(id) {
      const job = await store.selectJob(pool, id);
      return job && limited(job);
    },
    counts: () => store.countJobs(pool),
    retry: async (id) => outcome(id, await store.restartJob(pool, id)),
    delete: async (id) => outcome(id, await store.removeJob(pool, id)),
    close: () => pool.end(),
  };
}

/** A gauge of the jobs that there are, counted when somebody scrapes. */
export function measureJobs(admin: Pick<JobAdmin, "counts">, metrics: Metrics): void {
  metrics.gauge("jobs", "Jobs by task and state", ["task", "state"], async (gauge) => {
    gauge.reset();
    for (const { task, state, count } of await admin.counts()) gauge.set({ task, state }, count);
  });
}
