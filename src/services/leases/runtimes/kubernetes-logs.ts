import type { Clock } from "#kernel/clock.ts";
import type { Connection } from "./kubernetes-connection.ts";
import { isGone, isUnavailable, problemOf } from "./kubernetes-errors.ts";
import { containerName } from "./kubernetes-objects.ts";
import { cursorOf, momentOf } from "./moment.ts";
import type { ContainerState, LogLine, LogRequest } from "./types.ts";

const betweenTriesMs = 250;
const triesInARow = 5;
/** A line longer than this is given in parts. */
const lineBytesMax = 256 * 1_024;

/** One nanosecond later. */
function next(at: string): string {
  const nanoseconds = Number(at.slice(20, 29)) + 1;
  const second = Date.parse(`${at.slice(0, 19)}Z`) + Math.floor(nanoseconds / 1e9) * 1_000;
  return momentOf(new Date(second).toISOString(), nanoseconds % 1e9);
}

/** What stands between two ends of lines, or a further part of it. */
interface Piece {
  readonly text: string;
  readonly isRest: boolean;
}

/** Cuts what a node sends into lines, and into parts those that would fill the memory. */
export async function* piecesOf(answer: AsyncIterable<Buffer>): AsyncGenerator<Piece> {
  let pending = Buffer.alloc(0);
  let isRest = false;
  for await (const chunk of answer) {
    pending = Buffer.concat([pending, chunk]);
    for (;;) {
      const end = pending.indexOf(0x0a);
      const isWhole = end !== -1 && end <= lineBytesMax;
      if (!isWhole && pending.length <= lineBytesMax) break;
      const cut = isWhole ? end : lineBytesMax;
      // The rest of nothing is only the end of a line.
      if (cut > 0 || !isRest) yield { text: pending.toString("utf8", 0, cut), isRest };
      pending = pending.subarray(isWhole ? cut + 1 : cut);
      isRest = !isWhole;
    }
  }
  if (pending.length > 0) yield { text: pending.toString("utf8"), isRest };
}

/**
 * Takes lines apart as a node gives them: a moment, a space, and what was written. Of two lines of
 * one moment the second is a nanosecond later, the same each time it is read from the same second.
 * Null for what is no line. The rest of a line that was cut is a line of its own. Both outputs come
 * as one: nodes don't tell which a line was written to.
 */
export function logReader(): (line: string, isRest?: boolean) => LogLine | null {
  let last = "";
  return (line, isRest = false) => {
    if (isRest && last === "") return null;
    if (isRest) {
      last = next(last);
      return { at: last, stream: "stdout", text: line };
    }
    const space = line.indexOf(" ");
    const at = momentOf(space === -1 ? line : line.slice(0, space));
    if (at === "") return null;
    last = at > last ? at : next(last);
    return { at: last, stream: "stdout", text: space === -1 ? "" : line.slice(space + 1) };
  };
}

interface Window {
  readonly after: string | null;
  readonly tail: number | null;
  readonly follow: boolean;
}

/** Reads one window of the log, from the whole second before: nodes know no finer cursor. */
async function* linesOf(
  connection: Connection,
  podPath: string,
  { after, tail, follow }: Window,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const query = {
    container: containerName,
    timestamps: true,
    follow,
    ...(after !== null && { sinceTime: `${after.slice(0, 19)}Z` }),
    ...(tail !== null && { tailLines: tail }),
  };
  const request = { method: "GET", path: `${podPath}/log`, query, signal } as const;
  const answer = await connection.open("read the log", request);
  const read = logReader();
  // An answer that breaks off ends the lines; what was wrong is asked for afterwards.
  let fault: unknown = null;
  try {
    for await (const { text, isRest } of piecesOf(answer)) {
      const line = read(text, isRest);
      if (line !== null && (after === null || line.at > after)) yield line;
    }
  } catch (error) {
    fault = error;
  } finally {
    answer.destroy();
  }
  if (fault !== null && !signal.aborted) throw problemOf("read the log", fault);
}

/**
 * What a pod's program has written. Followers are connected anew where a connection ends before the
 * program does, which those of hours do. `stateOf` is null for a pod that is gone.
 */
export async function* readLogs(
  connection: Connection,
  podPath: string,
  request: LogRequest,
  stateOf: () => Promise<ContainerState | null>,
): AsyncGenerator<LogLine> {
  const { signal, follow } = request;
  const { clock } = connection.options;
  let after = cursorOf(request.after) || null;
  let { tail } = request;
  for (let tries = 0; !signal.aborted; ) {
    const before = after;
    // Asked before reading, so that what was written last is read.
    const state = await stateOf();
    if (state === null) return;
    try {
      if (state === "created") tries = 0;
      else {
        for await (const line of linesOf(connection, podPath, { after, tail, follow }, signal)) {
          after = line.at;
          tail = null;
          yield line;
          if (signal.aborted) return;
        }
      }
    } catch (error) {
      if (signal.aborted || (isGone(error) && follow)) return;
      if (!follow || !isUnavailable(error) || tries >= triesInARow) throw error;
    }
    if (!follow || state === "exited") return;
    tries = before === after ? tries + 1 : 0;
    if (tries > 0) await pause(clock, signal);
  }
}

async function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  await clock.sleep(betweenTriesMs, signal).catch(() => {
    // The reader has left; whoever reads looks at the signal.
  });
}
