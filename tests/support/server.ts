import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const { nodeFlags }: { nodeFlags: string[] } = await import(
  new URL("../../scripts/node-flags.mjs", import.meta.url).href
);

export interface DemoAccess {
  email: string;
  password: string;
  tenant: string;
  apiKey: string;
}

export interface ServerProcess {
  readonly url: string;
  readonly pid: number;
  readonly logFile: string;
  /** From spawning to the first ready answer. */
  readonly readyMs: number;
  /** What `.plimsoll/demo.json` holds. */
  demo(): Promise<DemoAccess>;
  isAlive(): boolean;
  /** Sends the signal and resolves with exit code or signal name once the process has ended. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

export interface ServerOptions {
  dataDir: string;
  port?: number;
  env?: Record<string, string>;
  args?: readonly string[];
  readyWithinMs?: number;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  return port;
}

/** A data folder of its own, to be removed by whoever asked for it. */
export function temporaryDataDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), "plimsoll-data-"));
}

/** Starts the real server as a process of its own and waits until it says that it is ready. */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const logFile = join(options.dataDir, `server-${port}.log`);
  const log = createWriteStream(logFile, { flags: "a" });
  const startedMs = performance.now();
  const child = spawn(process.execPath, [...nodeFlags, main, "serve", ...(options.args ?? [])], {
    env: {
      ...inherited(),
      PORT: String(port),
      PLIMSOLL_DATA_DIR: options.dataDir,
      // As in process.ts.
      LEASES_DEMO: "0",
      ...options.env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  await untilReady(child, url, options.readyWithinMs ?? 60_000, logFile);
  return {
    url,
    pid: child.pid as number,
    logFile,
    readyMs: performance.now() - startedMs,
    demo: async () => JSON.parse(await readFile(join(options.dataDir, "demo.json"), "utf8")),
    isAlive: () => child.exitCode === null && child.signalCode === null,
    async stop(signal = "SIGTERM") {
      if (child.exitCode !== null) return child.exitCode;
      if (child.signalCode !== null) return child.signalCode;
      const exited = once(child, "exit");
      child.kill(signal);
      const [code, name] = await exited;
      return (code ?? name) as number | string;
    },
  };
}

/** The environment without what belongs to the test run itself. */
function inherited(): Record<string, string | undefined> {
  const names = Object.keys(process.env).filter(
    (name) => !/^(PLIMSOLL|NODE_TEST|FLAG)_/.test(name),
  );
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}

async function untilReady(
  child: ChildProcess,
  url: string,
  withinMs: number,
  logFile: string,
): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) {
      const lines = await readFile(logFile, "utf8");
      throw new Error(`The server ended while starting:\n${lines.slice(-4_000)}`);
    }
    const ready = await fetch(`${url}/ready`).then(
      (answer) => answer.status === 200,
      () => false,
    );
    if (ready) return;
    if (performance.now() > deadlineMs) {
      child.kill("SIGKILL");
      throw new Error(`The server was not ready within ${withinMs} ms; see ${logFile}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
