import {
  appendFileSync,
  closeSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { StringDecoder } from "node:string_decoder";
import { type Clock, isoOf } from "#kernel/clock.ts";
import { cursorOf, momentOf } from "./moment.ts";
import type { LogLine, LogRequest } from "./types.ts";

/** Two files of this size are kept at most, the older of which is thrown away. */
const fileBytesAtMost = 1_000_000;
/** A longer line becomes several. */
const lineCharsAtMost = 16_384;
const pollMs = 100;
const chunkBytes = 65_536;

const nowFile = (folder: string) => join(folder, "log");
const olderFile = (folder: string) => join(folder, "log.1");

/** Milliseconds since the epoch, with digits below that tell the lines of one millisecond apart. */
function timestamps(clock: Pick<Clock, "nowMs">): () => string {
  let last = 0n;
  return () => {
    const now = BigInt(Math.floor(clock.nowMs())) * 1_000_000n;
    last = now > last ? now : last + 1n;
    return momentOf(isoOf(Number(last / 1_000_000n)), Number(last % 1_000_000_000n));
  };
}

export interface LogWriter {
  write(stream: LogLine["stream"], chunk: Buffer): void;
  /** Writes what came without a line's end. */
  flush(): void;
}

/** Writes a container's log: bounded files of lines with their moment and stream. */
export function logWriter(folder: string, clock: Pick<Clock, "nowMs">): LogWriter {
  const stamp = timestamps(clock);
  const streams = {
    stdout: { decoder: new StringDecoder("utf8"), rest: "", letter: "o" },
    stderr: { decoder: new StringDecoder("utf8"), rest: "", letter: "e" },
  };
  let sizeBytes = 0;
  const append = (lines: readonly string[]) => {
    if (lines.length === 0) return;
    const text = lines.join("");
    if (sizeBytes > fileBytesAtMost) {
      renameSync(nowFile(folder), olderFile(folder));
      sizeBytes = 0;
    }
    appendFileSync(nowFile(folder), text, { mode: 0o600 });
    sizeBytes += Buffer.byteLength(text);
  };
  const cut = (stream: LogLine["stream"], text: string, all: boolean): string[] => {
    const own = streams[stream];
    const parts = (own.rest + text).split("\n");
    own.rest = parts.pop() ?? "";
    while (own.rest.length > lineCharsAtMost) {
      parts.push(own.rest.slice(0, lineCharsAtMost));
      own.rest = own.rest.slice(lineCharsAtMost);
    }
    if (all && own.rest !== "") parts.push(own.rest);
    return parts.map((part) => `${stamp()} ${own.letter} ${part}\n`);
  };
  return {
    write: (stream, chunk) => append(cut(stream, streams[stream].decoder.write(chunk), false)),
    flush() {
      for (const stream of ["stdout", "stderr"] as const) {
        append(cut(stream, streams[stream].decoder.end(), true));
      }
    },
  };
}

function parse(line: string): LogLine {
  const at = line.slice(0, 30);
  const stream = line[31] === "e" ? "stderr" : "stdout";
  return { at, stream, text: line.slice(33) };
}

interface OpenLog {
  readonly fd: number;
  readonly inode: number;
  offset: number;
}

function open(path: string): OpenLog | null {
  try {
    const fd = openSync(path, "r");
    return { fd, inode: fstatSync(fd).ino, offset: 0 };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** The lines that were added since the last look, as far as they are whole. */
function* added(log: OpenLog): Generator<LogLine> {
  const chunk = Buffer.alloc(chunkBytes);
  let pending = Buffer.alloc(0);
  for (;;) {
    const count = readSync(log.fd, chunk, 0, chunk.length, log.offset + pending.length);
    if (count === 0) return;
    pending = Buffer.concat([pending, chunk.subarray(0, count)]);
    const end = pending.lastIndexOf(10) + 1;
    if (end === 0) continue;
    const lines = pending.toString("utf8", 0, end - 1).split("\n");
    log.offset += end;
    pending = pending.subarray(end);
    for (const line of lines) yield parse(line);
  }
}

function inodeOf(path: string): number | null {
  try {
    return statSync(path).ino;
  } catch {
    // Between two files, or the container is gone: whoever asks looks again, or ends.
    return null;
  }
}

/** All lines that are kept, oldest first, and the open file to go on from. */
function readKeptLines(folder: string): { lines: LogLine[]; log: OpenLog | null } {
  const older = open(olderFile(folder));
  const log = open(nowFile(folder));
  const isSame = older !== null && older.inode === log?.inode;
  const lines = older === null || isSame ? [] : [...added(older)];
  if (older !== null) closeSync(older.fd);
  return { lines: log === null ? lines : [...lines, ...added(log)], log };
}

/**
 * The log that comes after one that has been turned over: the older one that is kept, where there
 * have been two turns since the last look, else the newest.
 */
function nextAfter(folder: string, log: OpenLog): OpenLog | null {
  const older = open(olderFile(folder));
  closeSync(log.fd);
  if (older !== null && older.inode !== log.inode) return older;
  if (older !== null) closeSync(older.fd);
  return open(nowFile(folder));
}

/** Goes on where `kept` ends, in the next file where the log has been turned over. */
async function* follow(
  folder: string,
  kept: { log: OpenLog | null },
  signal: AbortSignal,
  clock: Clock,
  isOver: () => boolean,
): AsyncGenerator<LogLine> {
  while (!signal.aborted) {
    // Asked before reading, so that what was written last is read.
    const over = isOver();
    kept.log ??= open(nowFile(folder));
    if (kept.log !== null) {
      yield* added(kept.log);
      const inode = inodeOf(nowFile(folder));
      if (inode !== null && inode !== kept.log.inode) {
        yield* added(kept.log);
        kept.log = nextAfter(folder, kept.log);
        continue;
      }
    }
    if (over) return;
    await clock.sleep(pollMs, signal).catch(() => {
      // The reader has left; the loop sees it.
    });
  }
}

/** The lines of a container's log that were asked for; with `follow` until it is over. */
export async function* readLog(
  folder: string,
  request: LogRequest,
  clock: Clock,
  isOver: () => boolean,
): AsyncGenerator<LogLine> {
  const { after, tail, signal } = request;
  const from = cursorOf(after);
  const { lines, log } = readKeptLines(folder);
  const kept = { log };
  try {
    const wanted = lines.filter(({ at }) => at > from);
    yield* tail === null ? wanted : wanted.slice(Math.max(0, wanted.length - tail));
    if (request.follow) yield* follow(folder, kept, signal, clock, isOver);
  } finally {
    if (kept.log !== null) closeSync(kept.log.fd);
  }
}
