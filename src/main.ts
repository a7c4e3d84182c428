import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type RunningApp, startApp } from "#kernel/app.ts";
import { systemClock } from "#kernel/clock.ts";
import { type Config, ConfigError, loadConfig, type ProcessRole } from "#kernel/config.ts";
import { loadOrCreateDevelopmentSecrets } from "#kernel/config/generate.ts";
import { type DemoAccess, ensureDemo } from "#kernel/demo.ts";
import { ensureFirstAdmin } from "#kernel/first-admin.ts";
import { systemRandom } from "#kernel/random.ts";
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
    if (app.config.role === "worker") await app.mount();
    else await app.listen();
    if (process.stdout.isTTY || app.config.env === "development") welcome(app, demo);
  } catch (error) {
    // What went wrong first is what is told.
    await app.stop().catch(() => false);
    throw error;
  }
  stopOnSignal(app, signals);
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
    const { shutdownDeadlineMs } = app.config.limits;
    // Unreferenced: it only fires where something keeps the process alive that should not.
    setTimeout(() => process.exit(1), shutdownDeadlineMs + 5_000).unref();
    const clean = await app.stop();
    process.exitCode = clean ? code : 1;
  };
  signals.release((signal) => void stop(signal, 0));
  void app.failed.then((reason) => {
    app.log.fatal({ reason }, "the database is gone");
    return stop("the database is gone", 1);
  });
}

function welcome(app: RunningApp, demo: DemoAccess | null): void {
  const url = app.config.role === "worker" ? "(worker, no address)" : app.config.publicUrl;
  const lines = ["", `  Plimsoll ${version} is ready at ${url}`, `  API reference  ${url}/docs`];
  if (demo) {
    lines.push(
      `  Sign in as     ${demo.email}   password ${demo.password}`,
      "  Next step      bin/plimsoll login --demo && bin/plimsoll orders shops list",
    );
  }
  process.stdout.write(`${lines.join("\n")}\n\n`);
}

/** What a person is told when the process can't start; the stack only where it may help. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof ConfigError) return error.message;
  const { code, syscall, address, port } = error as NodeJS.ErrnoException & Address;
  if (code?.startsWith("ERR_PARSE_ARGS_")) return error.message;
  if (syscall === "listen" && code === "EADDRINUSE") {
    return `${address}:${port} is in use: stop what listens there, or choose another port.`;
  }
  if (syscall === "listen") return `It can't listen on ${address}:${port} (${code}).`;
  // Of a name with several addresses, each failed for a reason of its own.
  if (error instanceof AggregateError) return error.errors.map(explain).join("\n");
  if (syscall === "connect" || syscall === "getaddrinfo")
    return `${error.message}; is DATABASE_URL right?`;
  return error.stack ?? error.message;
}

interface Address {
  address?: string;
  port?: number;
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
