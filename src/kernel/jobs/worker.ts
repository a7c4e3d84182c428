import { hostname } from "node:os";
import type pg from "pg";
import type { Clock } from "../clock.ts";
import type { Faults } from "../resilience/faults.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { cronItemsOf, tasksOf, type WorkerService } from "./catalogue.ts";
import { type Loop, startLoop } from "./loop.ts";
import { createOwnerPool, type Shift, startShift } from "./shift.ts";
import * as store from "./store.ts";
import { type TaskRunner, wrapTask } from "./task.ts";
import type { TenantLookup } from "./types.ts";

export interface WorkerOptions {
  ownerUrl: string;
  services: readonly WorkerService[];
  /** Must also find tenants that are not active: what is theirs still has to be cleaned up. */
  tenants: TenantLookup;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  faults?: Pick<Faults, "at">;
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

const restartMs = 1_000;
const closeMs = 2_000;
const queueNamesMost = 1_000;

/** What the parts of one worker share. */
interface Works {
  readonly options: WorkerOptions;
  readonly pool: pg.Pool;
  readonly concurrency: number;
  readonly taskNames: readonly string[];
  /** Jobs under way, by id. */
  readonly active: Set<string>;
  /** Aborted when jobs under way are to end. */
  readonly stopTasks: AbortController;
  /** The runner at work; another one after it gave up. */
  shift: Shift;
  stopping: boolean;
  begin(): Promise<void>;
}

/**
 * Runs jobs of the given services and their cron entries, in as many processes as one likes. A
 * worker that dies is noticed by the others, which free its jobs.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const works = await createWorks(options);
  const kept = keepRunning(works);
  const loops = [startHeartbeat(works), startLookOut(works)];
  return { stop: (graceMs) => stopWorks(works, kept, loops, graceMs) };
}

async function createWorks(options: WorkerOptions): Promise<Works> {
  const { services, ownerUrl, log, concurrency = 10 } = options;
  const settings = tasksOf(services);
  const cronItems = cronItemsOf(services, settings);
  const max = Math.min(concurrency, 10) + 3;
  const pool = createOwnerPool({ ownerUrl, name: "plimsoll worker", max, log });
  const stopTasks = new AbortController();
  const active = new Set<string>();
  const runner: TaskRunner = {
    ...options,
    stopping: stopTasks.signal,
    active,
    handBack: async (jobId) => void (await store.handBack(pool, works.shift.id, [jobId])),
    endAttempts: (jobId) => store.endAttempts(pool, jobId),
  };
  const tasks = Object.fromEntries(settings.map((one) => [one.name, wrapTask(one, runner)]));
  const start = () => startShift({ pool, tasks, cronItems, concurrency, log });
  const first = await start().catch(async (error) => {
    await pool.end();
    throw error;
  });
  const works: Works = {
    options,
    pool,
    concurrency,
    taskNames: Object.keys(tasks),
    active,
    stopTasks,
    shift: first,
    stopping: false,
    async begin() {
      works.shift = await start();
    },
  };
  return works;
}

/** A runner gives up when it can't note a job's end, such as when the database restarts. */
async function keepRunning(works: Works): Promise<void> {
  const { clock, log } = works.options;
  let gone = works.shift;
  await gone.ended;
  while (!works.stopping) {
    try {
      await clock.sleep(restartMs, works.stopTasks.signal);
      await store.release(works.pool, gone.id);
      await works.begin();
      gone = works.shift;
      if (works.stopping) await gone.stop();
      await gone.ended;
    } catch (error) {
      if (!works.stopping) log.warn({ err: error }, "the job runner could not be started again");
    }
  }
}

function startHeartbeat(works: Works): Loop {
  const { options, pool } = works;
  const { clock, log, heartbeatMs = 5_000, deadAfterMs = 20_000 } = options;
  return startLoop({
    name: "worker heartbeat",
    everyMs: heartbeatMs,
    clock,
    log,
    async run() {
      await store.beat(pool, { id: works.shift.id, host: hostname(), pid: process.pid });
      const dead = await store.freeDeadWorkers(pool, deadAfterMs);
      if (dead.length > 0) log.warn({ workers: dead }, "freed the jobs of dead workers");
      const holder = { id: works.shift.id, workingOn: [...works.active] };
      const forgotten = await store.freeForgotten(pool, {
        ...holder,
        forgottenAfterMs: deadAfterMs,
      });
      if (forgotten > 0) log.warn({ jobs: forgotten }, "freed jobs whose end was not noted");
      await store.dropUnusedQueues(pool, queueNamesMost);
      return false;
    },
  });
}

/** Queueing a job sends no NOTIFY (its migration says why); this wakes as many as are needed. */
function startLookOut(works: Works): Loop {
  const { options, pool, taskNames, concurrency } = works;
  return startLoop({
    name: "job look-out",
    everyMs: options.lookMs ?? 100,
    clock: options.clock,
    log: options.log,
    async run() {
      const runnable = await store.countRunnable(pool, taskNames, concurrency);
      if (runnable > 0 && !works.stopping) works.shift.nudge(runnable);
      return false;
    },
  });
}

async function stopWorks(
  works: Works,
  kept: Promise<void>,
  loops: readonly Loop[],
  graceMs: number,
): Promise<void> {
  const { clock, log } = works.options;
  works.stopping = true;
  const idle = works.shift.stop().catch((error) => {
    log.warn({ err: error }, "the job runner did not stop in order");
  });
  // Tasks that heed their signal get a fifth of the time to come to an end in order.
  if (!(await within(clock, graceMs * 0.8, idle))) {
    works.stopTasks.abort(new Error("The worker is stopping"));
    await within(clock, graceMs * 0.2, idle);
  }
  works.stopTasks.abort(new Error("The worker is stopping"));
  const cleared = clear(works, kept, loops).catch((error) => {
    log.warn({ err: error }, "a stopping worker could not tidy up; others will free its jobs");
  });
  await within(clock, closeMs, cleared);
}

/** Gives back what is left and closes. */
async function clear(works: Works, kept: Promise<void>, loops: readonly Loop[]): Promise<void> {
  const { pool, shift, active, options } = works;
  await Promise.all(loops.map((loop) => loop.stop()));
  const left = [...active];
  if (left.length > 0) {
    await store.handBack(pool, shift.id, left);
    options.log.warn({ jobs: left }, "handed back jobs that did not end in time");
    shift.kill().catch((error) => options.log.debug({ err: error }, "jobs were given up"));
  }
  await store.release(pool, shift.id);
  await kept;
  await pool.end();
}

/** Whether `work` was done within `ms`. */
async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  const late = clock.sleep(ms, over.signal).then(
    () => false,
    () => false,
  );
  const inTime = await Promise.race([work.then(() => true), late]);
  over.abort();
  return inTime;
}
