import { ApiError, CommandError } from "./errors.ts";
import { integer, textOf } from "./options.ts";
import { readServerEvents } from "./server-events.ts";
import { oneLine, readable } from "./text.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const reconnectDelayMs = 2_000;
const reconnectsAtMost = 100;

function printEvent(out: Invocation["out"], text: string): void {
  const event = JSON.parse(text) as Record<string, unknown>;
  if (out.isJson) return out.jsonLine(event);
  const { type, resource, data, occurredAt } = event;
  const { type: kind = "", id = "" } = (resource ?? {}) as { type?: string; id?: string };
  const when = out.paint("dim", readable(occurredAt));
  const what = out.paint("cyan", oneLine(String(type)));
  out.line(`${when}  ${what}  ${oneLine(`${kind} ${id}`)}  ${oneLine(JSON.stringify(data ?? {}))}`);
}

/** Follows the stream, taking up where it broke off, until it is stopped or `count` have come. */
async function tail({ client, options, out }: Invocation): Promise<void> {
  const types = options.type as string[] | undefined;
  const count = (options.count as number | undefined) ?? Number.POSITIVE_INFINITY;
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  process.once("SIGINT", stop);
  let lastId = textOf(options, "after") ?? "";
  let seen = 0;
  out.note(`Following the events of ${client.api}; Ctrl-C ends it.`);
  try {
    for (let attempt = 0; seen < count && attempt < reconnectsAtMost; attempt += 1) {
      if (attempt > 0) await client.clock.sleep(reconnectDelayMs, stopping.signal);
      const headers = {
        accept: "text/event-stream",
        ...(lastId ? { "last-event-id": lastId } : {}),
      };
      const call = { path: "/events", query: { types: types?.join(",") }, headers };
      const { body } = await client.open({ ...call, signal: stopping.signal });
      for await (const event of readServerEvents(body)) {
        if (event.id !== undefined) lastId = event.id;
        attempt = 0;
        if (event.data === "") continue;
        printEvent(out, event.data);
        seen += 1;
        if (seen >= count) return;
      }
    }
    if (seen < count) throw new CommandError("The stream of events keeps breaking off");
  } catch (error) {
    if (error instanceof ApiError || !stopping.signal.aborted) throw error;
  } finally {
    process.off("SIGINT", stop);
    stop();
  }
}

export const eventCommands: readonly CommandSpec[] = [
  {
    name: "tail",
    summary: "follow events as they happen",
    options: [
      { flags: "--type <type>", summary: "only these: order.created, order.*", repeat: true },
      { flags: "--after <position>", summary: "begin after this event" },
      { flags: "--count <events>", summary: "end after so many", parse: integer },
    ],
    run: tail,
  },
];
