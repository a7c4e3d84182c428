import pg from "pg";
import type { Logger } from "../telemetry/logger.ts";
import * as store from "./store.ts";
import type { JobState, JobSummary } from "./store.ts";

export type { JobState, JobSummary } from "./store.ts";

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
  const pool = new pg.Pool({
    connectionString: ownerUrl,
    application_name: "plimsoll job admin",
    max: 2,
    connectionTimeoutMillis: 5_000,
    options: "-c statement_timeout=10000",
  });
  pool.on("error", (error) => log.warn({ err: error }, "a job admin's connection was lost"));
  return {
    list: (wanted) => store.selectJobs(pool, wanted),
    counts: () => store.countJobs(pool),
    retry: (id) => store.restartJob(pool, id),
    delete: (id) => store.removeJob(pool, id),
    close: () => pool.end(),
  };
}
