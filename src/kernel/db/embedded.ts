import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { rm, stat, truncate } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { type Clock, systemClock } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Cluster, databaseEnv, openCluster } from "./embedded-cluster.ts";
import { commandLine, holders } from "./embedded-holders.ts";

export interface EmbeddedOptions {
  /** The cluster lives in `<dataDir>/postgres`. */
  dataDir: string;
  log?: Pick<Logger, "info" | "warn" | "error">;
  /** Fixed TCP port; by default a free one, chosen at each start. */
  port?: number;
  /** Server settings over our own, such as `{ fsync: "off" }` for tests. */
  settings?: Record<string, string>;
  clock?: Clock;
}

export interface Embedded {
  /** Database `plimsoll` as its owner, who is no superuser: as it should be with a PostgreSQL of one's own. */
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

interface Running {
  pid: number;
  port: number;
  adopted: boolean;
}

const startDeadlineMs = 60_000;
const stopDeadlineMs = 10_000;
const pollMs = 5;
const watchMs = 500;
const logLimitBytes = 4 * 1024 * 1024;
const logCheckMs = 10 * 60_000;
const restartsAtMost = 5;
const restartsForgottenAfterMs = 60_000;

const defaultSettings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "100",
  shared_buffers: "128MB",
  huge_pages: "off",
  // Three I/O worker processes would sit idle beside data that fits in memory.
  io_method: "sync",
  max_parallel_workers_per_gather: "0",
  jit: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  // The server logs failed statements itself; here their values would stand in clear text.
  log_min_messages: "log",
  log_checkpoints: "off",
  log_error_verbosity: "terse",
};

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/** What postmaster.pid says: its lines are pid, data directory, start, port, socket, address, memory key, state. */
function readPidFile(cluster: Cluster): { pid: number; port: number; state: string } | null {
  const file = join(cluster.data, "postmaster.pid");
  if (!existsSync(file)) return null;
  const lines = readFileSync(file, "utf8").split("\n");
  return { pid: Number(lines[0]), port: Number(lines[3]), state: lines[7]?.trim() ?? "" };
}

function isPostmaster(cluster: Cluster, pid: number): boolean {
  const command = commandLine(pid);
  // "" comes from a system that hides other users' processes: then its being alive has to do.
  return command === "" || (command?.includes(cluster.data) ?? false);
}

/**
 * After a crash the id in postmaster.pid may belong to an unrelated process of the same user, and PostgreSQL
 * would refuse to start. It never takes its own parent for a rival, so we put ourselves there; the file
 * stays, because with it PostgreSQL finds backends that are still alive.
 */
function disownPidFile(cluster: Cluster): void {
  const file = join(cluster.data, "postmaster.pid");
  const [, ...rest] = readFileSync(file, "utf8").split("\n");
  writeFileSync(file, [process.pid, ...rest].join("\n"));
}

function url(user: string, password: string, port: number, database: string): string {
  return `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
}

/** True when it answers, false while it starts or stops; throws when it is not ours. */
async function answers(cluster: Cluster, port: number): Promise<boolean> {
  const client = new pg.Client({
    connectionString: url("postgres", cluster.passwords.admin, port, "postgres"),
    connectionTimeoutMillis: 2_000,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "28P01") throw error;
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

function rotateLog(file: string): void {
  if (existsSync(file)) renameSync(file, `${file}.1`);
}

function spawnPostgres(cluster: Cluster, port: number, settings: Record<string, string>) {
  const logFile = join(cluster.home, "postgres.log");
  rotateLog(logFile);
  const log = openSync(logFile, "a", 0o600);
  const all = { ...defaultSettings, ...settings, port: String(port) };
  const flags = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  try {
    // In a session of its own, so that a Ctrl-C meant for us does not reach it while we still serve.
    return spawn(join(cluster.bin, "postgres"), ["-D", cluster.data, ...flags], {
      cwd: cluster.data,
      env: databaseEnv,
      stdio: ["ignore", log, log],
      detached: true,
      ...cluster.user,
    });
  } finally {
    closeSync(log);
  }
}

function logTail(cluster: Cluster): string {
  const file = join(cluster.home, "postgres.log");
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").slice(-8).join("\n") : "";
}

/** Resolves with null when it accepts connections, otherwise with why it ended. */
async function whenReady(cluster: Cluster, child: ChildProcess, clock: Clock, deadlineMs: number) {
  let ended: string | null = null;
  child.once("exit", () => {
    ended = logTail(cluster);
  });
  child.once("error", (error) => {
    ended = error.message;
  });
  while (ended === null) {
    const file = readPidFile(cluster);
    if (file?.pid === child.pid && file?.state === "ready") return null;
    if (clock.monotonicMs() > deadlineMs) {
      child.kill("SIGQUIT");
      return `not ready after ${startDeadlineMs} ms:\n${logTail(cluster)}`;
    }
    await clock.sleep(pollMs);
  }
  return ended as string;
}

const transient = /lock file .* already exists|shared memory block .* still in use|could not bind/s;

/** Adopts the PostgreSQL that runs on the cluster, or starts one; whoever else tries at the same time ends up with the same. */
async function adoptOrStart(
  cluster: Cluster,
  options: EmbeddedOptions,
  clock: Clock,
  lastPort?: number,
): Promise<Running> {
  const deadlineMs = clock.monotonicMs() + startDeadlineMs;
  let wantedPort = options.port ?? lastPort;
  for (;;) {
    const file = readPidFile(cluster);
    const alive = file !== null && isPostmaster(cluster, file.pid);
    if (alive && file.state === "ready" && (await answers(cluster, file.port))) {
      return { pid: file.pid, port: file.port, adopted: true };
    }
    let why = "another PostgreSQL on the same data neither answers nor ends";
    if (!alive) {
      if (file && file.pid !== process.pid && commandLine(file.pid) !== null) disownPidFile(cluster);
      const port = wantedPort ?? (await freePort());
      const child = spawnPostgres(cluster, port, options.settings ?? {});
      const failure = await whenReady(cluster, child, clock, deadlineMs);
      child.unref();
      if (failure === null) return { pid: child.pid as number, port, adopted: false };
      if (!transient.test(failure)) throw new Error(`PostgreSQL did not start: ${failure}`);
      if (failure.includes("could not bind")) wantedPort = options.port;
      why = failure;
    }
    if (clock.monotonicMs() > deadlineMs) throw new Error(`PostgreSQL did not start: ${why}`);
    await clock.sleep(50);
  }
}

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

async function waitForEnd(cluster: Cluster, pid: number, clock: Clock, withinMs: number) {
  const deadlineMs = clock.monotonicMs() + withinMs;
  while (isPostmaster(cluster, pid)) {
    if (clock.monotonicMs() > deadlineMs) return false;
    await clock.sleep(pollMs);
  }
  return true;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function shutDown(cluster: Cluster, pid: number, clock: Clock): Promise<void> {
  signal(pid, "SIGINT");
  if (await waitForEnd(cluster, pid, clock, stopDeadlineMs)) return;
  signal(pid, "SIGQUIT");
  if (await waitForEnd(cluster, pid, clock, stopDeadlineMs)) return;
  throw new Error(`PostgreSQL (process ${pid}) did not end within ${2 * stopDeadlineMs} ms`);
}

/** Calls `onDeath` when the process has ended, however it came to run. */
function watch(cluster: Cluster, pid: number, onDeath: () => void): () => void {
  const timer = setInterval(() => {
    if (isPostmaster(cluster, pid)) return;
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
  const timer = setInterval(() => void check().catch(() => {}), logCheckMs).unref();
  return () => clearInterval(timer);
}

/**
 * Starts the PostgreSQL that npm installed, or adopts the one that already runs on `dataDir`. It
 * survives this process's being killed; the next one finds it. Several processes may use the same
 * `dataDir`: the last to stop shuts it down. A postmaster that dies is brought back on the same port,
 * at most five times in a minute.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { log, clock = systemClock } = options;
  const cluster = await openCluster(options.dataDir);
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
  let left = false;
  let restarts: number[] = [];
  let giveUp: (reason: string) => void = () => {};
  const exited = new Promise<string>((resolve) => {
    giveUp = resolve;
  });
  const bringBack = async () => {
    if (left) return;
    const nowMs = clock.monotonicMs();
    restarts = [...restarts.filter((at) => nowMs - at < restartsForgottenAfterMs), nowMs];
    log?.error({ pid: running.pid, log: logTail(cluster) }, "PostgreSQL has died");
    if (restarts.length > restartsAtMost) return giveUp("PostgreSQL keeps dying");
    try {
      const next = await adoptOrStart(cluster, { ...options, port }, clock);
      if (left) return void release();
      running = next;
      unwatch = watch(cluster, running.pid, () => void bringBack());
      log?.warn({ port, pid: running.pid }, "PostgreSQL is running again");
    } catch (error) {
      giveUp((error as Error).message);
    }
  };
  let unwatch = watch(cluster, running.pid, () => void bringBack());
  const unbound = boundLog(join(cluster.home, "postgres.log"));
  const leave = () => {
    left = true;
    unwatch();
    unbound();
    return here.leave();
  };
  const release = () => {
    if (leave()) signal(running.pid, "SIGINT");
  };
  return {
    ownerUrl: url("plimsoll", cluster.passwords.owner, port, "plimsoll"),
    adminUrl: url("postgres", cluster.passwords.admin, port, "postgres"),
    port,
    adopted,
    pid: () => running.pid,
    exited,
    release,
    async stop() {
      if (leave()) await shutDown(cluster, running.pid, clock);
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
