import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createOwnerPool } from "./shift.ts";
import * as store from "./store.ts";
import type { JobState, JobSummary } from "./store.ts";

/** What a platform admin sees of the queue, and does to it. */
export interface JobAdmin {
  /** Newest first; `beforeId` is the last one's of the page before. */
  list(wanted: {
    state?: JobState;
    task?: string;
    beforeId?: string;
    limit: number;
  }): Promise<JobSummary[]>;
  /** How many there are of each task and state. */
  counts(): Promise<{ task: string; state: JobState; count: number }[]>;
  /** Starts a job anew with all its attempts; false when there is none or it is running. */
  retry(id: string): Promise<boolean>;
  /** False when there is none or it is running. */
  delete(id: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Over the owner's URL, since the app role can't read the queue; at most 2 connections. */
export function createJobAdmin(ownerUrl: string, log: Logger): JobAdmin {
  const pool = createOwnerPool({ ownerUrl, name: "plimsoll job admin", max: 2, log });
  return {
    list: (wanted) => store.selectJobs(pool, wanted),
    counts: () => store.countJobs(pool),
    retry: (id) => store.restartJob(pool, id),
    delete: (id) => store.removeJob(pool, id),
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
