import { ApiError, CommandError } from "./errors.ts";
import { idOf } from "./names.ts";
import { integer, moment, textOf } from "./options.ts";
import type { Output } from "./output.ts";
import { readServerEvents } from "./server-events.ts";
import { oneLine } from "./text.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const reconnectDelayMs = 2_000;
const reconnectsAtMost = 100;

interface Line {
  at: string;
  stream: "stdout" | "stderr";
  text: string;
}

interface End {
  reason: "exited" | "removed" | "caught_up";
  exitCode?: number | null;
  outOfMemory?: boolean;
}

const colours = /(\u001b\[[\d;]*m)/;

/** A line as a terminal may have it: colours are obeyed, and nothing else that a program says. */
function harmless(text: string): string {
  const parts = text.replace(/\r$/, "").split(colours);
  const shown = parts.map((part) => (colours.test(part) ? part : oneLine(part)));
  return parts.length > 1 ? `${shown.join("")}\u001b[0m` : shown.join("");
}

async function printLine({ out, options, surroundings }: Invocation, line: Line): Promise<void> {
  if (out.isJson) return out.jsonLine(line);
  const { stdout, stderr } = surroundings;
  const isSeen = (line.stream === "stderr" ? stderr : stdout).isTTY === true;
  const stamp = options.timestamps === true ? `${out.paint("dim", oneLine(line.at))} ` : "";
  const text = `${stamp}${isSeen ? harmless(line.text) : line.text}\n`;
  if (line.stream === "stderr") stderr.write(text);
  else await out.raw(text);
}

function tellEnd(out: Output, { reason, exitCode, outOfMemory }: End): void {
  if (reason === "removed") out.note("The container was removed.");
  if (reason !== "exited") return;
  const why = outOfMemory ? ", out of memory" : "";
  out.note(`The program has ended with exit code ${exitCode ?? "unknown"}${why}.`);
}

/** Where reading is: the last line that came, and whether there is any more. */
interface Reading {
  lastId: string | undefined;
  end: End | null;
}

interface LogCall {
  path: string;
  query: Record<string, string | number | boolean | undefined>;
  signal: AbortSignal;
}

/** Prints what one connection brings. */
async function readOnce(invocation: Invocation, call: LogCall, reading: Reading): Promise<void> {
  const { lastId } = reading;
  const headers = { accept: "text/event-stream", ...(lastId && { "last-event-id": lastId }) };
  const { body } = await invocation.client.open({ ...call, headers });
  for await (const { type, id, data } of readServerEvents(body)) {
    if (id !== undefined) reading.lastId = id;
    if (type === "end") reading.end = JSON.parse(data) as End;
    else if (data !== "") await printLine(invocation, JSON.parse(data) as Line);
  }
}

const overCode = "ERR_LEASES_OVER";
const isOver = (error: unknown) => error instanceof ApiError && error.problem.code === overCode;
/** Whether it may go on later: a server that is away for a moment, a connection that broke. */
const mayPass = (error: unknown) => !(error instanceof ApiError) || error.problem.status >= 500;

/** Reads until the end; who follows takes up where it broke off. */
async function readAll(invocation: Invocation, call: LogCall): Promise<End> {
  const { clock } = invocation.client;
  const reading: Reading = { lastId: undefined, end: null };
  for (let attempt = 0; attempt < reconnectsAtMost; attempt += 1) {
    if (attempt > 0) await clock.sleep(reconnectDelayMs, call.signal);
    const before = reading.lastId;
    try {
      await readOnce(invocation, call, reading);
    } catch (error) {
      const hasBegun = attempt > 0 || reading.lastId !== undefined;
      if (hasBegun && isOver(error)) return { reason: "removed" };
      if (!hasBegun || !call.query.follow || !mayPass(error)) throw error;
    }
    if (reading.end) return reading.end;
    if (before !== reading.lastId) attempt = 0;
  }
  throw new CommandError("The log keeps breaking off");
}

async function run(invocation: Invocation): Promise<void> {
  const { client, args, options, out } = invocation;
  const id = await idOf(client, "lease", args[0] as string);
  const query = {
    follow: options.follow === true,
    since: textOf(options, "since"),
    tail: options.tail as number | undefined,
  };
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  process.once("SIGINT", stop);
  const { signal } = stopping;
  try {
    tellEnd(out, await readAll(invocation, { path: path`/leases/${id}/logs`, query, signal }));
  } catch (error) {
    if (error instanceof ApiError || !signal.aborted) throw error;
  } finally {
    process.off("SIGINT", stop);
    stop();
  }
}

/** What a lease's program wrote; its errors go to standard error. */
export const logsCommand: CommandSpec = {
  name: "logs <lease>",
  summary: "print what a lease's program wrote",
  options: [
    { flags: "-f, --follow", summary: "go on until the program ends" },
    { flags: "--since <time>", summary: "only what came after this moment", parse: moment },
    { flags: "--tail <lines>", summary: "the last so many; 1000 unless given", parse: integer },
    { flags: "--timestamps", summary: "print each line's moment before it" },
  ],
  run,
};
