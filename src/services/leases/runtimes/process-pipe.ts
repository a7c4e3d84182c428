import { type ChildProcess, execFile } from "node:child_process";
import { closeSync, constants, openSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import { hostEnv } from "./process-chain.ts";

const run = promisify(execFile);

export interface Pipes {
  /** Our ends, and the descriptors for the child, which are to be closed once it has them. */
  readonly ours: readonly Socket[];
  readonly theirs: readonly number[];
  closeTheirs(): void;
}

/** What the child does at its end. */
type PipeUse = "reads" | "writes";

let made = 0;

/**
 * Pipes, which are what a program may open again as /dev/stdout; Node itself gives children
 * sockets, on which that fails. A name in `folder` is needed for a moment; its mode lets whom the
 * child becomes open it again.
 */
export async function makePipes(folder: string, uses: readonly PipeUse[]): Promise<Pipes> {
  made += 1;
  const names = uses.map((_, at) => join(folder, `pipe-${process.pid}-${made}-${at}`));
  await run("mkfifo", ["-m", "666", ...names], { env: hostEnv });
  const theirs: number[] = [];
  const ours = names.map((name, at) => {
    const isRead = uses[at] === "reads";
    // Opened for both, it waits for nobody; then each end is opened for its own way.
    const both = openSync(name, constants.O_RDWR);
    theirs.push(openSync(name, isRead ? constants.O_RDONLY : constants.O_WRONLY));
    const fd = openSync(name, isRead ? constants.O_WRONLY : constants.O_RDONLY);
    closeSync(both);
    rmSync(name);
    return new Socket({ fd, readable: !isRead, writable: isRead });
  });
  return {
    ours,
    theirs,
    closeTheirs: () => {
      for (const fd of theirs.splice(0)) closeSync(fd);
    },
  };
}

/** Tells a chain of programs what to do, on one of its descriptors. */
export function tell(child: ChildProcess, descriptor: 0 | 3, text: string): void {
  const told = child.stdio[descriptor] as Writable;
  // A chain that ends before it reads says why on its stderr.
  told.on("error", () => {});
  told.end(text);
}

const reportLinesAtMost = 100;

/**
 * What a chain says on its stderr until its last word, "ready", with which it hands over to the
 * program; without that word it has failed.
 */
export async function readReport(child: ChildProcess): Promise<string[]> {
  const report = child.stderr as Readable;
  const lines: string[] = [];
  const reader = createInterface({ input: report });
  await new Promise<void>((resolve) => {
    reader.on("close", resolve);
    report.on("close", resolve);
    reader.on("line", (line) => {
      const isLast = line.startsWith("ready");
      if (isLast || lines.length < reportLinesAtMost) lines.push(line);
      if (isLast) reader.close();
    });
  });
  // Whatever is said from now on must not fill the pipe.
  report.resume();
  return lines;
}

/** Why a chain has failed, of its report. */
export function complaintOf(report: readonly string[]): string {
  const told = report.filter((line) => line !== "lo up" && !line.startsWith("net "));
  return told.join("; ") || "the namespaces could not be made, and no program said why";
}
