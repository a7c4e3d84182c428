import { existsSync, realpathSync, writeFileSync } from "node:fs";
import { rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { type Clock, systemClock } from "../clock.ts";
import { type Random, systemRandom } from "../random.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Cluster, openCluster } from "./embedded-cluster.ts";
import { holders, isAlive } from "./embedded-holders.ts";
import {
  adoptOrStart,
  isPostmaster,
  logFile,
  logTail,
  type ProcessOptions,
  type Running,
  shutDown,
  signal,
  url,
} from "./embedded-process.ts";

export interface EmbeddedOptions extends ProcessOptions {
  /** The cluster lives in `<dataDir>/postgres`. */
  dataDir: string;
  log?: Pick<Logger, "info" | "warn" | "error">;
  clock?: Clock;
  random?: Random;
}

export interface Embedded {
  /**
   * Database `plimsoll` as its owner, who is no superuser: as it should be with a PostgreSQL of
   * one's own.
   */
  readonly ownerUrl: string;
  /** Database `postgres` as the superuser, for backups and tests. */
  readonly adminUrl: string;
  readonly port: number;
  /** True when PostgreSQL was already running, left by a killed process or started by another. */
  readonly adopted: boolean;
  /** Process id of the postmaster; changes when it had to be brought back. */
  pid(): number;
  /** Resolves with the reason when PostgreSQL is gone and could not be brought back. */
  readonly exited: Promise<string>;
  /** Leaves the cluster; the last process to leave shuts it down and waits for that. */
  stop(): Promise<void>;
  /** The same without waiting, for a process's exit handler. */
  release(): void;
}

const watchMs = 250;
const logLimitBytes = 4 * 1024 * 1024;
const logCheckMs = 10 * 60_000;
const restartsAtMost = 5;
const restartsForgottenAfterMs = 60_000;

/** Makes the owner and its database; once per cluster. */
async function makeOwner(cluster: Cluster, port: number): Promise<void> {
  const marker = join(cluster.home, "owner-made");
  if (existsSync(marker)) return;
  const { admin, owner } = cluster.passwords;
  const client = new pg.Client({ connectionString: url("postgres", admin, port, "postgres") });
  await client.connect();
  try {
    await client.query("select pg_advisory_lock(hashtext('plimsoll owner'))");
    const { rows } = await client.query(
      `select exists (select from pg_roles where rolname = 'plimsoll') as role,
              exists (select from pg_database where datname = 'plimsoll') as database`,
    );
    if (!rows[0].role) {
      await client.query(`create role plimsoll login createrole createdb password '${owner}'`);
    }
    if (!rows[0].database) await client.query("create database plimsoll owner plimsoll");
    writeFileSync(marker, "");
  } finally {
    await client.end();
  }
}

/** Calls `onDeath` when the process has ended, however it came to run. */
function watch(pid: number, onDeath: () => void): () => void {
  const timer = setInterval(() => {
    if (isAlive(pid)) return;
    clearInterval(timer);
    onDeath();
  }, watchMs).unref();
  return () => clearInterval(timer);
}

function boundLog(file: string): () => void {
  const check = async () => {
    const { size } = await stat(file);
    if (size > logLimitBytes) await truncate(file);
  };
  // Between two servers there is no file for a moment; the next check finds it.
  const timer = setInterval(() => void check().catch(() => {}), logCheckMs).unref();
  return () => clearInterval(timer);
}

interface Guard {
  running: Running;
  exited: Promise<string>;
  /** Stops watching; resolves when nothing is being brought back any more. */
  end(): Promise<void>;
}

/** Watches over a running PostgreSQL and brings it back on the same port when it dies. */
function guard(cluster: Cluster, first: Running, options: EmbeddedOptions, clock: Clock): Guard {
  const { log } = options;
  let isOver = false;
  let restarts: number[] = [];
  let restoring = Promise.resolve();
  let giveUp: (reason: string) => void = () => {};
  const exited = new Promise<string>((resolve) => {
    giveUp = resolve;
  });
  const bringBack = async () => {
    if (isOver) return;
    const nowMs = clock.monotonicMs();
    restarts = [...restarts.filter((at) => nowMs - at < restartsForgottenAfterMs), nowMs];
    log?.error({ pid: self.running.pid, log: logTail(logFile(cluster)) }, "PostgreSQL has died");
    if (restarts.length > restartsAtMost) return giveUp("PostgreSQL keeps dying");
    try {
      self.running = await adoptOrStart(cluster, { ...options, port: first.port }, clock);
      log?.warn({ port: first.port, pid: self.running.pid }, "PostgreSQL is running again");
      if (!isOver) unwatch = startWatching();
    } catch (error) {
      giveUp((error as Error).message);
    }
  };
  const startWatching = () =>
    watch(self.running.pid, () => {
      restoring = bringBack();
    });
  const self: Guard = {
    running: first,
    exited,
    end() {
      isOver = true;
      unwatch();
      return restoring;
    },
  };
  let unwatch = startWatching();
  return self;
}

/**
 * Starts the PostgreSQL that npm installed, or adopts the one that already runs on `dataDir`. It
 * survives this process's being killed; the next one finds it. Several processes may use the same
 * `dataDir`: the last to stop shuts it down. A postmaster that dies is brought back on the same
 * port, at most five times in a minute.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { log, clock = systemClock, random = systemRandom(clock) } = options;
  const cluster = await openCluster(options.dataDir, random);
  const here = holders(join(cluster.home, "holders"));
  here.enter();
  let running: Running;
  try {
    running = await adoptOrStart(cluster, options, clock);
    await makeOwner(cluster, running.port);
  } catch (error) {
    here.leave();
    throw error;
  }
  const { port, adopted } = running;
  log?.info({ port, pid: running.pid, adopted }, "PostgreSQL is running");
  const guarded = guard(cluster, running, options, clock);
  const unbound = boundLog(logFile(cluster));
  return {
    ownerUrl: url("plimsoll", cluster.passwords.owner, port, "plimsoll"),
    adminUrl: url("postgres", cluster.passwords.admin, port, "postgres"),
    port,
    adopted,
    pid: () => guarded.running.pid,
    exited: guarded.exited,
    release() {
      void guarded.end();
      const { pid } = guarded.running;
      if (here.leave() && isPostmaster(cluster, pid)) signal(pid, "SIGINT");
    },
    async stop() {
      unbound();
      await guarded.end();
      if (here.leave()) await shutDown(cluster, guarded.running.pid, clock);
    },
  };
}

/** Removes a cluster that nobody uses, with its folder: for tests and measurements. */
export async function removeCluster(dataDir: string): Promise<void> {
  const place = join(dataDir, "postgres");
  // The place can be a link to a folder elsewhere.
  if (existsSync(place)) await rm(realpathSync(place), { recursive: true });
  await rm(dataDir, { recursive: true, force: true });
}
