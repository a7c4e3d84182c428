import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const pollEveryMs = 20;

export interface Launched {
  readonly child: ChildProcess;
  /** What it has written to both streams so far. */
  output(): string;
  /** Exit code or signal name, once it has ended and its streams are closed. */
  readonly ended: Promise<number | string>;
  /** Waits until the output has this; fails when the process ends, or after 60 s. */
  says(pattern: RegExp): Promise<void>;
  /** Waits until this address of it answers 200; fails when the process ends, or after 60 s. */
  answers(url: string): Promise<void>;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

export interface LaunchOptions {
  args?: readonly string[];
  /** All there is but PATH and HOME. */
  env: Record<string, string>;
}

/** What ends things after a test; node's own context does it first come, first served. */
export interface Cleanup {
  after(clean: () => Promise<void>): void;
}

/** The same test's cleanup, last come, first served: a server ends before its database does. */
export function lastFirst(t: Cleanup): Cleanup {
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  return { after: (clean) => stack.defer(clean) };
}

/** A folder that is removed after the test. */
export async function temporaryFolder(t: Cleanup): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "plimsoll-process-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs `main.ts serve` as a process of its own, whether it comes up or not; `t` ends it. */
export function launch(t: Cleanup, { args = [], env }: LaunchOptions): Launched {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, [main, "serve", ...args], {
    // Containers of the demo would be left behind by tests that end servers without more ado.
    env: { PATH, HOME, LEASES_DEMO: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  const stop: Launched["stop"] = (signal = "SIGTERM") => {
    child.kill(signal);
    return ended;
  };
  t.after(async () => {
    const patience = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await stop();
    clearTimeout(patience);
  });
  const until = async (what: string, holds: () => boolean | Promise<boolean>) => {
    const deadlineMs = performance.now() + 60_000;
    while (!(await holds())) {
      if (child.exitCode !== null || child.signalCode !== null) {
        await ended;
        if (await holds()) return;
        throw new Error(`The server ended before ${what}:\n${output}`);
      }
      if (performance.now() > deadlineMs) throw new Error(`Never ${what}:\n${output}`);
      await new Promise((resolve) => setTimeout(resolve, pollEveryMs));
    }
  };
  return {
    child,
    output: () => output,
    ended,
    stop,
    says: (pattern) => until(`it said ${pattern}`, () => pattern.test(output)),
    answers: (url) =>
      until(`${url} answered`, () =>
        fetch(url).then(
          (answer) => answer.status === 200,
          () => false,
        ),
      ),
  };
}
