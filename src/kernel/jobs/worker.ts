import { EventEmitter } from "node:events";
import { hostname } from "node:os";
import {
  parseCronItems,
  type Runner,
  run,
  type TaskList,
  type WorkerEvents,
  type WorkerPool,
} from "graphile-worker";
import pg from "pg";
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { graphileLogger } from "./graphile-log.ts";
import { startLoop } from "./loop.ts";
import * as store from "./store.ts";
import { type TaskRunner, type TaskSetting, wrapTask } from "./task.ts";
import type { JobCatalogue, TenantLookup } from "./types.ts";

export interface WorkerService {
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: each service has dependencies of its own
  jobs?: JobCatalogue<any> | undefined;
  deps: unknown;
}

export interface WorkerOptions {
  ownerUrl: string;
  services: readonly WorkerService[];
  /** Must also find tenants that are not active: what is theirs still has to be cleaned up. */
  tenants: TenantLookup;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  /** Jobs at a time. Default 10. */
  concurrency?: number;
  /** How often this worker says that it lives, and looks for others that don't. Default 5000. */
  heartbeatMs?: number;
  /** Unseen for this long, a worker is dead and its jobs are freed. Default 20 000. */
  deadAfterMs?: number;
  /** How often to look for jobs whose time has come. Default 100. */
  lookMs?: number;
}

export interface Worker {
  /**
   * Takes no more jobs, lets those under way end, and hands back what has not after `graceMs`.
   * Resolves at most 2 s after that.
   */
  stop(graceMs: number): Promise<void>;
}

const cronCatchUpMs = 600_000;
const restartMs = 1_000;
const closeMs = 2_000;
const queueNamesMost = 1_000;
const pollMs = 5_000;

/** One run of graphile-worker's runner; its pool's id is what jobs are locked with. */
interface Shift {
  id: string;
  pool: WorkerPool;
  runner: Runner;
  ended: Promise<void>;
}

/** Throws for a catalogue that can't be run, naming the task. */
function settingsOf(services: readonly WorkerService[]): TaskSetting[] {
  return services.flatMap(({ name: service, jobs, deps }) =>
    Object.entries(jobs?.tasks ?? {}).map(([name, task]) => {
      if (!name.startsWith(`${service}.`)) {
        throw new Error(`Task "${name}" must be named "${service}.<what>"`);
      }
      return { name, task, deps };
    }),
  );
}

function cronItemsOf(services: readonly WorkerService[], settings: readonly TaskSetting[]) {
  const entries = services.flatMap(({ jobs }) => jobs?.cron ?? []);
  return parseCronItems(
    entries.map(({ task, every, payload }) => {
      const setting = settings.find(({ name }) => name === task);
      if (setting?.task.scope !== "platform") {
        throw new Error(`Cron entry "${task}" needs a task of that name with scope "platform"`);
      }
      return {
        task,
        match: every,
        payload: { ...payload },
        identifier: `${task} ${every}`,
        // What fell into a restart is made up for.
        options: { backfillPeriod: cronCatchUpMs, maxAttempts: setting.task.maxAttempts ?? 10 },
      };
    }),
  );
}

function createPool({ ownerUrl, log, concurrency = 10 }: WorkerOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: ownerUrl,
    application_name: "plimsoll worker",
    max: Math.min(concurrency, 10) + 3,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  pool.on("error", (error) => log.warn({ err: error }, "a worker's idle connection was lost"));
  pool.on("connect", (client) => client.on("error", () => {}));
  return pool;
}

async function startShift(
  options: WorkerOptions,
  pool: pg.Pool,
  tasks: TaskList,
  cronItems: ReturnType<typeof parseCronItems>,
): Promise<Shift> {
  const events: WorkerEvents = new EventEmitter();
  let workers: WorkerPool | undefined;
  events.on("pool:create", ({ workerPool }) => {
    workers = workerPool;
  });
  const runner = await run({
    pgPool: pool,
    taskList: tasks,
    parsedCronItems: cronItems,
    concurrency: options.concurrency ?? 10,
    pollInterval: pollMs,
    noHandleSignals: true,
    logger: graphileLogger(options.log),
    events,
    // Without batching a completion that fails is a rejection that nobody handles.
    preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
  });
  const ended = runner.promise.then(
    () => {},
    (error) => options.log.error({ err: error }, "the job runner ended"),
  );
  if (!workers) throw new Error("graphile-worker did not say which pool it made");
  return { id: workers.id, pool: workers, runner, ended };
}

/**
 * Runs jobs of the given services and their cron entries, in as many processes as one likes. A
 * worker that dies is noticed by the others, which free its jobs.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { clock, log, heartbeatMs = 5_000, deadAfterMs = 20_000 } = options;
  const pool = createPool(options);
  const stopTasks = new AbortController();
  let stopping = false;
  let shift: Shift;
  const runner: TaskRunner = {
    ...options,
    stopping: stopTasks.signal,
    active: new Set(),
    handBack: async (jobId) => void (await store.handBack(pool, shift.id, [jobId])),
    endAttempts: (jobId) => store.endAttempts(pool, jobId),
  };
  const settings = settingsOf(options.services);
  const tasks = Object.fromEntries(settings.map((one) => [one.name, wrapTask(one, runner)]));
  const cronItems = cronItemsOf(options.services, settings);

  async function begin(): Promise<void> {
    shift = await startShift(options, pool, tasks, cronItems);
    await store.beat(pool, { id: shift.id, host: hostname(), pid: process.pid });
  }

  // A runner gives up when it can't note a job's end, such as when the database restarts.
  async function keepRunning(): Promise<void> {
    while (!stopping) {
      await shift.ended;
      while (!stopping) {
        try {
          await clock.sleep(restartMs, stopTasks.signal);
          await store.release(pool, shift.id);
          await begin();
          break;
        } catch (error) {
          if (!stopping) log.warn({ err: error }, "the job runner could not be started again");
        }
      }
    }
  }

  await begin().catch(async (error) => {
    await pool.end();
    throw error;
  });
  const kept = keepRunning();
  const heartbeat = startLoop({
    name: "worker heartbeat",
    everyMs: heartbeatMs,
    clock,
    log,
    async run() {
      await store.beat(pool, { id: shift.id, host: hostname(), pid: process.pid });
      const dead = await store.freeDeadWorkers(pool, deadAfterMs);
      if (dead.length > 0) log.warn({ workers: dead }, "freed the jobs of dead workers");
      await store.dropUnusedQueues(pool, queueNamesMost);
      return false;
    },
  });

  // Queueing a job sends no NOTIFY, see the migration; one small query wakes as many as are needed.
  const names = Object.keys(tasks);
  const concurrency = options.concurrency ?? 10;
  const look = startLoop({
    name: "job look-out",
    everyMs: options.lookMs ?? 100,
    clock,
    log,
    async run() {
      const runnable = await store.countRunnable(pool, names, concurrency);
      if (runnable > 0 && !stopping) shift.pool.nudge(runnable);
      return false;
    },
  });

  async function stop(graceMs: number): Promise<void> {
    stopping = true;
    const over = new AbortController();
    const idle = shift.runner.stop().catch(() => {});
    // Tasks that heed their signal get a fifth of the time to come to an end in order.
    const soon = clock.sleep(graceMs * 0.8, over.signal).then(
      () => stopTasks.abort(new Error("The worker is stopping")),
      () => {},
    );
    const late = clock.sleep(graceMs, over.signal).catch(() => {});
    await Promise.race([idle, late]);
    over.abort();
    stopTasks.abort(new Error("The worker is stopping"));
    await soon;
    await Promise.all([heartbeat.stop(), look.stop()]);
    const left = [...runner.active];
    if (left.length > 0) {
      const handedBack = await store.handBack(pool, shift.id, left).catch(() => 0);
      log.warn({ jobs: left, handedBack }, "handed back jobs that did not end in time");
      void shift.runner.kill().catch(() => {});
    }
    await store.release(pool, shift.id).catch(() => {});
    const closing = new AbortController();
    const closed = kept.then(() => pool.end());
    await Promise.race([closed, clock.sleep(closeMs, closing.signal).catch(() => {})]);
    closing.abort();
  }

  return { stop };
}
