import type { IncomingMessage } from "node:http";
import { systemClock } from "#kernel/clock.ts";
import type { Engine } from "./docker-engine.ts";
import { identityOf, installLabel } from "./docker-spec.ts";
import type { RuntimeEvent } from "./types.ts";

const retryMs = { first: 250, most: 5_000 } as const;

const types: Record<string, RuntimeEvent["type"]> = {
  die: "exited",
  oom: "out_of_memory",
  destroy: "removed",
};

/** The part of a line of the engine's `GET /events` that is read. */
interface EngineEvent {
  readonly Action?: string;
  readonly timeNano?: number;
  readonly Actor?: { readonly Attributes?: Readonly<Record<string, string>> };
}

/** What a line of the engine's says to us; null for what is not ours or changes nothing. */
export function eventOf({ Action, Actor }: EngineEvent): RuntimeEvent | null {
  const type = types[Action ?? ""];
  const attributes = Actor?.Attributes;
  const identity = identityOf(attributes, attributes?.["name"] ?? "");
  return type === undefined || identity === null ? null : { type, identity };
}

async function* linesOf(answer: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line.trim() !== "");
  }
}

/** What is kept from one connection to the next. */
interface Memory {
  /** The engine's moment from which to go on; null before the first connection. */
  nanoseconds: number | null;
  waitMs: number;
  /** Whether it was logged that there is no connection. */
  isTold: boolean;
}

const nsPerMs = 1e6;

/** Events of one connection, until it ends. */
async function* connection(
  engine: Engine,
  memory: Memory,
  signal: AbortSignal,
): AsyncGenerator<RuntimeEvent> {
  const filters = {
    type: ["container"],
    event: Object.keys(types),
    label: [installLabel(engine.options.installId)],
  };
  const since = memory.nanoseconds === null ? null : memory.nanoseconds / (1_000 * nsPerMs);
  const answer = await engine.open("report events", {
    method: "GET",
    path: "/events",
    // A double has room for microseconds of seconds, so that some events may come twice.
    query: { filters: JSON.stringify(filters), ...(since !== null && { since: since.toFixed(6) }) },
    signal,
    lane: "waits",
  });
  const begunMs = Date.parse((answer as IncomingMessage).headers.date ?? "");
  memory.nanoseconds ??= Number.isNaN(begunMs) ? null : begunMs * nsPerMs;
  memory.isTold = false;
  const stop = () => answer.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const line of linesOf(answer as AsyncIterable<Buffer>)) {
      const told = JSON.parse(line) as EngineEvent;
      memory.nanoseconds = told.timeNano ?? memory.nanoseconds;
      memory.waitMs = retryMs.first;
      const event = eventOf(told);
      if (event !== null) yield event;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    answer.destroy();
  }
}

/**
 * What happens to this installation's containers, until the signal or the runtime's end. Reconnects
 * by itself and asks for what it missed, so an event may come twice.
 */
export async function* watchEvents(
  engine: Engine,
  signal: AbortSignal,
): AsyncGenerator<RuntimeEvent> {
  const { log, host } = engine.options;
  const memory: Memory = { nanoseconds: null, waitMs: retryMs.first, isTold: false };
  const over = AbortSignal.any([signal, engine.closing]);
  while (!over.aborted) {
    try {
      yield* connection(engine, memory, over);
    } catch (error) {
      if (over.aborted) return;
      if (!memory.isTold) log.info({ err: error, host }, "no events from the container engine");
      memory.isTold = true;
    }
    try {
      await systemClock.sleep(memory.waitMs, over);
    } catch {
      // The signal came while it waited.
      return;
    }
    memory.waitMs = Math.min(memory.waitMs * 2, retryMs.most);
  }
}
