import { spawn, type ChildProcess } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { isoNow, systemClock } from "#kernel/clock.ts";
import { hostEnv, startCommand, tellInit } from "./process-chain.ts";
import { diskBytesOf } from "./process-disk.ts";
import {
  claimRun,
  type EndFile,
  type Kept,
  lookMark,
  readPart,
  writePart,
} from "./process-folder.ts";
import { limitsOf } from "./process-limits.ts";
import { type LogWriter, logWriter } from "./process-log.ts";
import { complaintOf, makePipes, readReport, tell } from "./process-pipe.ts";
import { childrenOf, type Proc, procOf, signalProc, usageOf } from "./process-proc.ts";

/**
 * A program, not a module: looks after one container, whose folder is its argument, from its start
 * to its end, and so outlives the server. It is the parent of all that is in there: when it dies,
 * in whatever way, the kernel ends the container. Its files say what happened.
 */

const memoryEveryMs = 100;
const diskEveryMs = 5_000;
const mebibyte = 1_048_576;

interface Watched {
  readonly kept: Kept;
  readonly folder: string;
  readonly log: LogWriter;
  /** Why we ended it, if we did. */
  verdict: "memory" | "disk" | null;
}

/** Ends a container that takes more than it may; no limit of the kernel's covers all of it. */
function watch(watched: Watched, init: Proc): () => void {
  const { kept, folder, log } = watched;
  const end = (verdict: "memory" | "disk", limitMb: number) => {
    if (watched.verdict !== null) return;
    watched.verdict = verdict;
    signalProc(init, "SIGKILL");
    log.write("stderr", Buffer.from(`Ended: beyond its ${limitMb} MB of ${verdict}.\n`));
  };
  const { memoryMb } = kept.spec;
  const memory = setInterval(() => {
    if (usageOf(init).memoryBytes > memoryMb * mebibyte) end("memory", memoryMb);
  }, memoryEveryMs);
  let disk: NodeJS.Timeout;
  const lookAtDisk = () => {
    const startMs = performance.now();
    const bytes = diskBytesOf(join(folder, "workspace"));
    writePart(folder, "disk", { bytes: Number.isFinite(bytes) ? bytes : null });
    if (bytes > kept.diskMb * mebibyte) end("disk", kept.diskMb);
    // Many files take long to look at; most of the time is for other things.
    const tookMs = performance.now() - startMs;
    disk = setTimeout(lookAtDisk, Math.max(diskEveryMs, tookMs * 20));
  };
  lookAtDisk();
  return () => {
    clearInterval(memory);
    clearTimeout(disk);
  };
}

/** Null where the program is over already. */
function writeLive(
  folder: string,
  outer: number,
  startedAt: string,
  report: readonly string[],
): Proc | null {
  const outerProc = procOf(outer);
  const init = procOf(childrenOf(outer)[0] ?? 0);
  if (outerProc === null || init === null) return null;
  writePart(folder, "live", {
    startedAt,
    outer: outerProc,
    init,
    ownNetwork: report.includes("net own"),
    loopback: report.includes("lo up"),
  });
  return init;
}

const exitOf = (child: ChildProcess): Promise<number> =>
  new Promise((resolve) => {
    child.on("error", () => resolve(127));
    child.on("close", (code, signal) =>
      resolve(code ?? 128 + constants.signals[signal ?? "SIGKILL"]),
    );
  });

const endOf = (stream: Readable): Promise<void> =>
  new Promise((resolve) => {
    stream.on("close", resolve).on("error", () => resolve());
  });

/** Runs the container; resolves when all of it is over and its log is written. */
async function run(watched: Watched): Promise<EndFile> {
  const { kept, folder, log } = watched;
  const pipes = await makePipes(folder, ["writes", "writes"]);
  const { program, args, setUp } = startCommand(kept.way, limitsOf(kept));
  const [output, errors] = pipes.theirs;
  const child = spawn(program, [...args], {
    cwd: folder,
    env: hostEnv,
    stdio: ["pipe", output, "pipe", "pipe", errors],
  });
  pipes.closeTheirs();
  const exited = exitOf(child);
  const ended = pipes.ours.map((socket, at) => {
    socket.on("data", (chunk: Buffer) => log.write(at === 0 ? "stdout" : "stderr", chunk));
    return endOf(socket);
  });
  tell(child, 0, setUp);
  tell(child, 3, tellInit(kept.spec.env, kept.spec.command));
  const report = await readReport(child);
  const isReady = report.at(-1) === "ready";
  const startedAt = isReady ? isoNow(systemClock) : null;
  // From now on only `unshare` itself speaks here, which can't end by the signal that ended the
  // container: it complains and ends with 1.
  let wasKilled = false;
  child.stderr?.on("data", () => {
    wasKilled = isReady;
  });
  const init =
    startedAt === null ? null : writeLive(folder, child.pid as number, startedAt, report);
  const unwatch = init === null ? () => {} : watch(watched, init);
  const code = await exited;
  const exitCode = wasKilled ? 128 + constants.signals.SIGKILL : code;
  unwatch();
  await Promise.all(ended);
  log.flush();
  return {
    startedAt,
    endedAt: isoNow(systemClock),
    exitCode,
    outOfMemory: watched.verdict === "memory",
    failure: isReady ? null : complaintOf(report),
  };
}

async function supervise(folder: string): Promise<void> {
  const kept = readPart<Kept>(folder, "kept");
  const self = procOf(process.pid);
  if (kept === null || self === null || !claimRun(folder, self)) return;
  const log = logWriter(folder, systemClock);
  const end = await run({ kept, folder, log, verdict: null });
  writePart(folder, "end", end);
  // Whoever watches the folder of all folders is told by a name that comes and goes.
  const mark = join(dirname(folder), `${lookMark}${basename(folder)}`);
  writeFileSync(mark, "");
  rmSync(mark, { force: true });
}

await supervise(process.argv[2] as string);
