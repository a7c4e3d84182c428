import { EventEmitter } from "node:events";
import {
  type ParsedCronItem,
  type Runner,
  run,
  type TaskList,
  type WorkerEvents,
  type WorkerPool,
} from "graphile-worker";
import pg from "pg";
import type { Logger } from "../telemetry/logger.ts";
import { graphileLogger } from "./graphile-log.ts";

/** How often graphile-worker looks by itself; the look-out wakes it long before. */
const pollMs = 5_000;

export interface ShiftOptions {
  pool: pg.Pool;
  tasks: TaskList;
  cronItems: ParsedCronItem[];
  concurrency: number;
  log: Logger;
}

/** One run of graphile-worker's runner. */
export interface Shift {
  /** What its jobs are locked with. */
  id: string;
  /** Makes so many idle workers look for a job. */
  nudge(count: number): void;
  /** Takes no more jobs; resolves when those under way have ended. */
  stop(): Promise<void>;
  /** Gives up on jobs that don't end. */
  kill(): Promise<void>;
  /** Resolves when it has stopped, or given up by itself. */
  ended: Promise<void>;
}

/** Connections of the owner: the queue's tables are out of the app role's reach. */
export function createOwnerPool(options: {
  ownerUrl: string;
  name: string;
  max: number;
  log: Pick<Logger, "warn">;
}): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.ownerUrl,
    application_name: options.name,
    max: options.max,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  // While a client is in use its pool does not listen: unheard, the event would end the process.
  pool.on("connect", (client) => {
    client.on("error", (error) => options.log.warn({ err: error }, "a job connection was lost"));
  });
  // An idle client's error comes here as well, and has been told.
  pool.on("error", () => {});
  return pool;
}

/** Starts graphile-worker's runner over `pool`. */
export async function startShift(options: ShiftOptions): Promise<Shift> {
  const { pool, tasks, cronItems, concurrency, log } = options;
  const events: WorkerEvents = new EventEmitter();
  const made: WorkerPool[] = [];
  events.on("pool:create", ({ workerPool }) => made.push(workerPool));
  const runner: Runner = await run({
    pgPool: pool,
    taskList: tasks,
    parsedCronItems: cronItems,
    concurrency,
    pollInterval: pollMs,
    noHandleSignals: true,
    logger: graphileLogger(log),
    events,
    // Without batching, a completion that fails is a rejection that nobody handles.
    preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
  });
  const ended = runner.promise.catch((error) => {
    log.error({ err: error }, "the job runner ended");
  });
  const [workers] = made;
  if (!workers) throw new Error("graphile-worker did not say which pool it made");
  return {
    id: workers.id,
    nudge: (count) => workers.nudge(count),
    stop: () => runner.stop(),
    kill: () => runner.kill(),
    ended,
  };
}
