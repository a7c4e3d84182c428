import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type RunningApp, startApp } from "#kernel/app.ts";
import { systemClock } from "#kernel/clock.ts";
import { type Config, ConfigError, loadConfig, type ProcessRole } from "#kernel/config.ts";
import { loadOrCreateDevelopmentSecrets } from "#kernel/config/generate.ts";
import { type DemoAccess, ensureDemo } from "#kernel/demo.ts";
import { ensureFirstAdmin } from "#kernel/first-admin.ts";
import { systemRandom } from "#kernel/random.ts";
import { secretErrors } from "#kernel/secrets/seal.ts";
import { services } from "./services.ts";

/** The composition root: the only reader of the environment, and what `npm start` runs. */

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

export const version = manifest.version;

/**
 * The configuration of this process. In development, secrets that the environment does not give are
 * made once and kept in the data folder. Throws `ConfigError`.
 */
export function configure(options: { role?: ProcessRole; services?: string[] } = {}): Config {
  const { env } = process;
  const random = systemRandom(systemClock);
  const secrets =
    env.NODE_ENV === "production" || env.PLIMSOLL_MASTER_KEY
      ? {}
      : loadOrCreateDevelopmentSecrets(env.PLIMSOLL_DATA_DIR ?? ".plimsoll", random);
  const serviceVariables = services.flatMap((service) => service.variables ?? []);
  return loadConfig({ ...secrets, ...env }, { ...options, serviceVariables });
}

/** Starts the server and stays until a signal or a failure ends it; sets the exit code. */
export async function serve(argv: readonly string[]): Promise<void> {
  const signals = holdSignals();
  const app = await start(argv);
  try {
    const demo = await ensureDemo(app);
    await ensureFirstAdmin(app);
    await app.mount();
    giveBackGarbage();
    if (app.config.role !== "worker") await app.listen();
    if (process.stdout.isTTY || app.config.env === "development") welcome(app, demo);
  } catch (error) {
    // What went wrong first is what is told.
    await app.stop().catch(() => false);
    throw error;
  }
  stopOnSignal(app, signals);
}

/** Some 30 MiB that only starting needed, in a tenth of a second, before anybody can ask. */
function giveBackGarbage(): void {
  globalThis.gc?.({ type: "major", flavor: "last-resort" });
}

async function start(argv: readonly string[]): Promise<RunningApp> {
  const { values } = parseArgs({
    args: [...argv],
    options: { services: { type: "string" }, role: { type: "string" } },
  });
  const { role } = values;
  if (role !== undefined && !["api", "worker", "all"].includes(role)) {
    throw new ConfigError([{ name: "--role", problem: "expects api, worker or all" }]);
  }
  const config = configure({
    ...(role !== undefined && { role: role as ProcessRole }),
    ...(values.services !== undefined && { services: values.services.split(",") }),
  });
  return startApp({ config, services, version });
}

/** Longest that a start may go on once it has been told to stop. */
const startDeadlineMs = 30_000;

interface Signals {
  /** From now on signals go to `stop`, as does one that came before. */
  release(stop: (signal: NodeJS.Signals) => void): void;
}

/**
 * Keeps signals from ending the process half started, which would leave a half behind. The second
 * SIGINT ends it at once all the same.
 */
function holdSignals(): Signals {
  let first: NodeJS.Signals | null = null;
  let stop: ((signal: NodeJS.Signals) => void) | null = null;
  let deadline: NodeJS.Timeout | undefined;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (first && signal === "SIGINT") process.exit(130);
      if (!first && !stop) deadline = setTimeout(() => process.exit(1), startDeadlineMs).unref();
      first ??= signal;
      stop?.(signal);
    });
  }
  return {
    release(to) {
      clearTimeout(deadline);
      stop = to;
      if (first) to(first);
    },
  };
}

/** One clean stop; a stop that hangs ends the process the hard way. */
function stopOnSignal(app: RunningApp, signals: Signals): void {
  let stopping = false;
  const stop = async (why: string, code: number) => {
    if (stopping) return;
    stopping = true;
    app.log.info({ why }, "stopping");
    if (process.stdout.isTTY) process.stdout.write("Stopping; Ctrl-C again ends it at once.\n");
    const { shutdownDeadlineMs } = app.config.limits;
    // Unreferenced: it only fires where something keeps the process alive that should not.
    setTimeout(() => process.exit(1), shutdownDeadlineMs + 5_000).unref();
    const clean = await app.stop();
    app.log.info({ clean }, "stopped");
    process.exitCode = clean ? code : 1;
  };
  signals.release((signal) => void stop(signal, 0));
  void app.failed.then((reason) => {
    app.log.fatal({ reason }, "the database is gone");
    return stop("the database is gone", 1);
  });
}

function welcome(app: RunningApp, demo: DemoAccess | null): void {
  const { role, port, publicUrl } = app.config;
  const url = port === 0 ? app.url() : publicUrl;
  const lines = ["", `  Plimsoll ${version} is ready${role === "worker" ? "" : ` at ${url}`}`];
  if (role === "worker") lines.push("  Role           worker: it answers no requests");
  else lines.push(`  API reference  ${url}/docs`);
  if (demo && role !== "worker") {
    lines.push(
      `  Sign in as     ${demo.email}   password ${demo.password}`,
      `  Next step      ${nextStep(url, app.config.dataDir)}`,
    );
  }
  const data = app.config.databaseUrl ? "the PostgreSQL of DATABASE_URL" : app.config.dataDir;
  lines.push(`  Data           ${data}; Ctrl-C stops the server and keeps it`);
  process.stdout.write(`${lines.join("\n")}\n\n`);
}

/** The command line looks at the usual address and folder, and has to be told of others. */
function nextStep(url: string, dataDir: string): string {
  const elsewhere = [
    ...(url === "http://127.0.0.1:7070" ? [] : [`PLIMSOLL_API=${url}`]),
    ...(dataDir === ".plimsoll" ? [] : [`PLIMSOLL_DATA_DIR=${dataDir}`]),
  ];
  const commands = "bin/plimsoll login --demo && bin/plimsoll orders shops list";
  return elsewhere.length > 0 ? `export ${elsewhere.join(" ")} && ${commands}` : commands;
}

const otherFolder =
  "Start as the user who owns the data folder, or name another one: PLIMSOLL_DATA_DIR=<folder>";

/** What helps where a file or a folder can't be used. */
const fileRemedies: Record<string, string> = {
  EACCES: otherFolder,
  EPERM: otherFolder,
  EROFS: otherFolder,
  ENOTDIR: "A part of this path is a file; the data folder is named by PLIMSOLL_DATA_DIR.",
  EEXIST: "A part of this path is a file; the data folder is named by PLIMSOLL_DATA_DIR.",
  ENOSPC: "The disk is full: make room and start again.",
};

const otherKey = [
  "What this database has sealed can't be opened: PLIMSOLL_MASTER_KEY is another key than before.",
  "Give the old one back, or name it in PLIMSOLL_MASTER_KEY_PREVIOUS. Where none was ever given,",
  "it is in secrets.json of the data folder, which belongs to its database.",
].join("\n");

/** What helps where an address can't be listened on. */
const listenRemedies: Record<string, string> = {
  EACCES: "Ports below 1024 are reserved for the system: choose one above, such as PORT=7070.",
  EADDRNOTAVAIL: "HOST has to be an address of this machine, or 0.0.0.0 for all of them.",
};

interface SystemError extends NodeJS.ErrnoException {
  address?: string;
  port?: number;
}

/** What a person is told when the process can't start; the stack only where it may help. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof ConfigError) return error.message;
  const { code = "", syscall = "", path, address, port } = error as SystemError;
  if (code.startsWith("ERR_PARSE_ARGS_")) return error.message;
  if (syscall === "listen" && code === "EADDRINUSE") {
    return (
      `${address}:${port} is in use, perhaps by a Plimsoll that was started before.\n` +
      "Stop what listens there, or choose another port: PORT=<number> npm start"
    );
  }
  if (syscall === "listen") {
    return `It can't listen on ${address}:${port} (${code}). ${listenRemedies[code] ?? ""}`.trim();
  }
  const remedy = fileRemedies[code];
  if (path && remedy && !syscall.startsWith("spawn")) return `${error.message}\n${remedy}`;
  // Of a name with several addresses, each failed for a reason of its own.
  if (error instanceof AggregateError) return error.errors.map(explain).join("\n");
  if (syscall === "connect") return `${error.message}; is DATABASE_URL right?`;
  if (syscall === "getaddrinfo") return `${error.message}; are DATABASE_URL and HOST right?`;
  if (code === secretErrors.unreadable.code) return otherKey;
  // In our own words, which say what to do.
  if (error.name === "Error" && !code && process.env.LOG_LEVEL !== "debug") {
    return `${error.message}\n(LOG_LEVEL=debug tells where this comes from.)`;
  }
  return error.stack ?? error.message;
}

if (import.meta.main) {
  const [command = "serve", ...rest] = process.argv.slice(2);
  if (command === "serve") {
    serve(rest).catch((error) => {
      process.stderr.write(`Plimsoll could not start.\n${explain(error)}\n`);
      process.exitCode = 1;
    });
  } else {
    process.stderr.write(`main.ts only knows "serve"; for "${command}" use bin/plimsoll\n`);
    process.exitCode = 2;
  }
}
