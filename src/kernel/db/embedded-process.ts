import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { release } from "node:os";
import { join } from "node:path";
import pg from "pg";
import type { Clock } from "../clock.ts";
import { type Cluster, databaseEnv } from "./embedded-cluster.ts";
import { commandLine, isAlive } from "./embedded-holders.ts";

export interface ProcessOptions {
  /** Fixed TCP port; by default a free one, chosen at each start. */
  port?: number;
  /** Server settings over our own, such as `{ fsync: "off" }` for tests. */
  settings?: Record<string, string>;
}

export interface Running {
  pid: number;
  port: number;
  adopted: boolean;
}

const startDeadlineMs = 60_000;
const stopDeadlineMs = 10_000;
/** Pools close without waiting for their farewells to be read; this long they have for it. */
const farewellMs = 1_000;
const pollMs = 5;

/** From 5.8 on Linux reports to syncfs every error that fsync of each file would have met. */
function hasReliableSyncfs(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return process.platform === "linux" && (major > 5 || (major === 5 && minor >= 8));
}

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
  // After a crash: measured 0.3 s instead of 1.5 s, for not opening each of a thousand files.
  recovery_init_sync_method: hasReliableSyncfs() ? "syncfs" : "fsync",
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

/**
 * What postmaster.pid says: its lines are pid, data directory, start, port, socket, address, memory
 * key, state.
 */
function readPidFile(cluster: Cluster): { pid: number; port: number; state: string } | null {
  const file = join(cluster.data, "postmaster.pid");
  if (!existsSync(file)) return null;
  const lines = readFileSync(file, "utf8").split("\n");
  return { pid: Number(lines[0]), port: Number(lines[3]), state: lines[7]?.trim() ?? "" };
}

/** True while `pid` is the cluster's PostgreSQL. */
export function isPostmaster(cluster: Cluster, pid: number): boolean {
  const command = commandLine(pid);
  // "" comes from a system that hides other users' processes: then its being alive has to do.
  return command === "" || (command?.includes(cluster.data) ?? false);
}

/**
 * After a crash the id in postmaster.pid may belong to an unrelated process of the same user, and
 * PostgreSQL would refuse to start. It never takes its own parent for a rival, so we put ourselves
 * there; the file stays, because with it PostgreSQL finds backends that are still alive.
 */
function disownPidFile(cluster: Cluster): void {
  const file = join(cluster.data, "postmaster.pid");
  const [, ...rest] = readFileSync(file, "utf8").split("\n");
  writeFileSync(file, [process.pid, ...rest].join("\n"));
}

/** Connection string of a role on this machine. */
export function url(user: string, password: string, port: number, database: string): string {
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
    // It may be shutting down and so have closed the connection itself.
    await client.end().catch(() => {});
  }
}

let starts = 0;

/** The log of a start that may lose against another one must not replace the winner's. */
function startLog(cluster: Cluster): string {
  starts += 1;
  return join(cluster.home, `starting-${process.pid}-${starts}.log`);
}

/** Log of the server that runs or ran last. */
export const logFile = (cluster: Cluster) => join(cluster.home, "postgres.log");

function keepLog(cluster: Cluster, file: string): void {
  const kept = logFile(cluster);
  if (existsSync(kept)) renameSync(kept, `${kept}.1`);
  renameSync(file, kept);
}

function spawnPostgres(
  cluster: Cluster,
  port: number,
  settings: Record<string, string>,
  file: string,
): ChildProcess {
  const log = openSync(file, "a", 0o600);
  const all = { ...defaultSettings, ...settings, port: String(port) };
  const flags = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  try {
    // In a session of its own, so that a Ctrl-C meant for us does not reach it while we still
    // serve.
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

/** The last lines of a log, for people. */
export function logTail(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").slice(-8).join("\n") : "";
}

/** Resolves with null when it accepts connections, otherwise with why it ended. */
async function whenReady(
  cluster: Cluster,
  child: ChildProcess,
  log: string,
  clock: Clock,
  deadlineMs: number,
): Promise<string | null> {
  let ended: string | null = null;
  child.once("exit", () => {
    ended = logTail(log) || "it ended without a word";
  });
  child.once("error", (error) => {
    ended = error.message;
  });
  while (ended === null) {
    const file = readPidFile(cluster);
    if (file?.pid === child.pid && file?.state === "ready") return null;
    if (clock.monotonicMs() > deadlineMs) {
      child.kill("SIGQUIT");
      return `not ready after ${startDeadlineMs} ms:\n${logTail(log)}`;
    }
    await clock.sleep(pollMs);
  }
  return ended;
}

const transient = /lock file .* already exists|shared memory block .* still in use|could not bind/s;

/**
 * Starts one on a free port or `wantedPort`; answers with why it did not start, when it did not.
 */
async function startOne(
  cluster: Cluster,
  settings: Record<string, string>,
  wantedPort: number | undefined,
  clock: Clock,
  deadlineMs: number,
): Promise<Running | string> {
  const port = wantedPort ?? (await freePort());
  const log = startLog(cluster);
  const child = spawnPostgres(cluster, port, settings, log);
  const failure = await whenReady(cluster, child, log, clock, deadlineMs);
  child.unref();
  if (failure !== null) {
    rmSync(log, { force: true });
    return failure;
  }
  keepLog(cluster, log);
  return { pid: child.pid as number, port, adopted: false };
}

/**
 * Adopts the PostgreSQL that runs on the cluster, or starts one; whoever else tries at the same
 * time ends up with the same.
 */
export async function adoptOrStart(
  cluster: Cluster,
  options: ProcessOptions,
  clock: Clock,
): Promise<Running> {
  const deadlineMs = clock.monotonicMs() + startDeadlineMs;
  let wantedPort = options.port;
  for (;;) {
    const file = readPidFile(cluster);
    const alive = file !== null && isPostmaster(cluster, file.pid);
    if (alive && file.state === "ready" && (await answers(cluster, file.port))) {
      return { pid: file.pid, port: file.port, adopted: true };
    }
    let why = "another PostgreSQL on the same data neither answers nor ends";
    if (!alive) {
      if (file && file.pid !== process.pid && commandLine(file.pid) !== null)
        disownPidFile(cluster);
      const settings = options.settings ?? {};
      const started = await startOne(cluster, settings, wantedPort, clock, deadlineMs);
      if (typeof started !== "string") return started;
      if (!transient.test(started)) throw new Error(`PostgreSQL did not start: ${started}`);
      if (started.includes("could not bind")) wantedPort = options.port;
      why = started;
    }
    if (clock.monotonicMs() > deadlineMs) throw new Error(`PostgreSQL did not start: ${why}`);
    await clock.sleep(50);
  }
}

async function waitForEnd(pid: number, clock: Clock, withinMs: number): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + withinMs;
  while (isAlive(pid)) {
    if (clock.monotonicMs() > deadlineMs) return false;
    await clock.sleep(pollMs);
  }
  return true;
}

/** Sends a signal to a process that may have ended already. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** PostgreSQL's three ways to stop, from the kindest: when clients left, at once, as in a crash. */
const stops = [
  ["SIGTERM", farewellMs],
  ["SIGINT", stopDeadlineMs],
  ["SIGQUIT", stopDeadlineMs],
] as const;

/** Ends it and its clients' transactions; returns when it has ended, throws when it won't. */
export async function shutDown(cluster: Cluster, pid: number, clock: Clock): Promise<void> {
  if (!isPostmaster(cluster, pid)) return;
  for (const [name, withinMs] of stops) {
    signal(pid, name);
    if (await waitForEnd(pid, clock, withinMs)) return;
  }
  throw new Error(`PostgreSQL (process ${pid}) did not end within ${2 * stopDeadlineMs} ms`);
}
