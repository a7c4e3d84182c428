import type { Readable } from "node:stream";
import type { Engine } from "./docker-engine.ts";
import { problemOf } from "./docker-errors.ts";
import type { Inspection } from "./docker-isolation.ts";
import { createDemultiplexer } from "./docker-streams.ts";
import { runtimeErrors } from "./errors.ts";
import type { LogLine, LogRequest } from "./types.ts";

/** A line longer than this is given in parts. */
const lineBytesMax = 256 * 1_024;
/**
 * How much earlier than the cursor reading begins. The engine stores a long line as several
 * entries, and the first of them may be older than the line before it in the other stream.
 */
const overlapNs = 5_000_000_000n;
const idleMsMax = 30_000;
const nsPerMs = 1_000_000n;

/**
 * Nanoseconds since the epoch of an RFC 3339 moment with up to nine decimals; null for no moment.
 */
export function nanosecondsOf(moment: string): bigint | null {
  const [, seconds, decimals = ""] =
    /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(moment) ?? [];
  const ms = seconds === undefined ? Number.NaN : Date.parse(`${seconds}Z`);
  if (Number.isNaN(ms)) return null;
  return BigInt(ms) * nsPerMs + BigInt(decimals.padEnd(9, "0"));
}

/** A moment in nanoseconds since the epoch as RFC 3339 with nine decimals. */
export function momentOf(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / nsPerMs)).toISOString().slice(0, 19);
  return `${seconds}.${String(nanoseconds % 1_000_000_000n).padStart(9, "0")}Z`;
}

interface Entry {
  readonly stream: LogLine["stream"];
  /** The engine's moment, a space, and what was written, with its line's end where it has one. */
  readonly payload: Buffer;
}

/** Puts entries together to lines. */
export interface LineReader {
  push(entry: Entry): LogLine | null;
  /** Lines whose end never came, for when nothing more can come. */
  rest(): LogLine[];
}

/**
 * Puts the engine's entries together to lines. A line has the moment of its last entry, and no two
 * lines have the same: one that would is a nanosecond later, the same each time it is read.
 */
export function createLineReader(): LineReader {
  const unfinished = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const endedNs = { stdout: 0n, stderr: 0n };
  let lastNs = 0n;
  const finish = (stream: LogLine["stream"]): LogLine => {
    const text = Buffer.concat(unfinished[stream]).toString("utf8");
    unfinished[stream] = [];
    lastNs = endedNs[stream] > lastNs ? endedNs[stream] : lastNs + 1n;
    return { at: momentOf(lastNs), stream, text };
  };
  return {
    push({ stream, payload }) {
      const space = payload.indexOf(0x20);
      const givenNs = nanosecondsOf(payload.toString("latin1", 0, Math.max(space, 0)));
      if (givenNs === null) throw new Error("A log entry does not begin with its moment");
      const text = payload.subarray(space + 1);
      const parts = unfinished[stream];
      const isEnd = text.at(-1) === 0x0a;
      parts.push(isEnd ? text.subarray(0, -1) : text);
      endedNs[stream] = givenNs;
      const bytes = parts.reduce((sum, part) => sum + part.length, 0);
      return isEnd || bytes >= lineBytesMax ? finish(stream) : null;
    },
    rest: () =>
      (["stdout", "stderr"] as const)
        .filter((stream) => unfinished[stream].length > 0)
        .sort((a, b) => (endedNs[a] < endedNs[b] ? -1 : 1))
        .map(finish),
  };
}

interface Window {
  readonly afterNs: bigint | null;
  /** The engine counts entries, of which a long line has several. */
  readonly entries: number | null;
  readonly follow: boolean;
}

function queryOf({ afterNs, entries, follow }: Window) {
  const sinceNs = afterNs === null ? null : afterNs > overlapNs ? afterNs - overlapNs : 0n;
  const second = 1_000_000_000n;
  return {
    stdout: true,
    stderr: true,
    timestamps: true,
    follow,
    tail: entries ?? "all",
    ...(sinceNs !== null && {
      since: `${sinceNs / second}.${String(sinceNs % second).padStart(9, "0")}`,
    }),
  };
}

/**
 * The engine's entries; fails where the engine says nothing for `idleMs`, which a slow reader may.
 */
async function* entriesOf(answer: Readable, idleMs: number | null): AsyncGenerator<Entry> {
  const demultiplex = createDemultiplexer();
  const chunks = (answer as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let parts: Buffer[] = [];
  for (;;) {
    const halt = () => answer.destroy(new Error("the log came to a halt"));
    const idle = idleMs === null ? undefined : setTimeout(halt, idleMs);
    const { value, done } = await chunks.next().finally(() => clearTimeout(idle));
    if (done) return;
    for (const { stream, payload, endsFrame } of demultiplex(value)) {
      parts.push(payload);
      if (!endsFrame) continue;
      yield { stream, payload: Buffer.concat(parts) };
      parts = [];
    }
  }
}

/** Whether a container's program may still write the end of a line that it has begun. */
async function mayWrite(engine: Engine, id: string): Promise<boolean> {
  const { status, body } = await engine.ask<Inspection>("look at the container", {
    method: "GET",
    path: `/containers/${id}/json`,
    accept: [200, 404],
  });
  return status === 200 && /^(running|paused|restarting)$/.test(body.State.Status);
}

/** Reads one window of the log. Counts the engine's entries into `counted`. */
async function* linesOf(
  engine: Engine,
  id: string,
  window: Window,
  signal: AbortSignal,
  counted = { entries: 0 },
): AsyncGenerator<LogLine> {
  const { follow, afterNs } = window;
  const path = `/containers/${id}/logs`;
  const query = queryOf(window);
  const answer = await engine.open("read the log", { method: "GET", path, query, signal });
  const stop = () => answer.destroy();
  signal.addEventListener("abort", stop, { once: true });
  const reader = createLineReader();
  const isNew = ({ at }: LogLine) => afterNs === null || (nanosecondsOf(at) ?? 0n) > afterNs;
  try {
    for await (const entry of entriesOf(answer, follow ? null : idleMsMax)) {
      counted.entries += 1;
      const line = reader.push(entry);
      if (line !== null && isNew(line)) yield line;
    }
    const rest = reader.rest().filter(isNew);
    if (rest.length > 0 && (follow || !(await mayWrite(engine, id)))) yield* rest;
  } catch (error) {
    if (!signal.aborted) throw problemOf("read the log", error);
  } finally {
    signal.removeEventListener("abort", stop);
    answer.destroy();
  }
}

/** The last so many lines. Their first entries may lie before the window, so it is made larger. */
async function lastLines(
  engine: Engine,
  id: string,
  { afterNs, tail }: { afterNs: bigint | null; tail: number },
  signal: AbortSignal,
): Promise<LogLine[]> {
  for (let entries = tail + 16; ; entries *= 4) {
    const counted = { entries: 0 };
    const lines: LogLine[] = [];
    const window = { afterNs: null, entries, follow: false };
    for await (const line of linesOf(engine, id, window, signal, counted)) lines.push(line);
    // The first of each stream may lack its beginning.
    const areWhole = lines.length >= tail + 2 || counted.entries < entries;
    if (!areWhole && !signal.aborted) continue;
    const isNew = ({ at }: LogLine) => afterNs === null || (nanosecondsOf(at) ?? 0n) > afterNs;
    return lines.slice(-tail).filter(isNew);
  }
}

/**
 * What a container's program has written, line by line. Ends with the program where it follows, and
 * quietly at the signal; an engine that goes away in the middle is "unavailable", and the last
 * line's moment is where to go on.
 */
export async function* readLogs(
  engine: Engine,
  id: string,
  request: LogRequest,
): AsyncGenerator<LogLine> {
  const { signal, follow } = request;
  if (signal.aborted) return;
  const afterNs = request.after === null ? null : nanosecondsOf(request.after);
  if (request.after !== null && afterNs === null) {
    throw runtimeErrors.refused({ detail: `"${request.after}" is not a line's moment.` });
  }
  const tail = request.tail ?? 0;
  const lines = tail > 0 ? await lastLines(engine, id, { afterNs, tail }, signal) : [];
  for (const line of lines) {
    if (signal.aborted) return;
    yield line;
  }
  if (request.tail !== null && !follow) return;
  const last = lines.at(-1)?.at;
  const goOnNs = last === undefined ? afterNs : nanosecondsOf(last);
  const window = { afterNs: goOnNs, entries: request.tail === 0 ? 0 : null, follow };
  for await (const line of linesOf(engine, id, window, signal)) {
    yield line;
    if (signal.aborted) return;
  }
}
