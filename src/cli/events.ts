import { ApiError, CommandError } from "./errors.ts";
import { integer, list, listQuery, pageOptions, textOf, yesOrNo } from "./options.ts";
import { type Resource, resourceCommands } from "./resource.ts";
import { readServerEvents } from "./server-events.ts";
import type { Column } from "./table.ts";
import { oneLine, readable } from "./text.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const webhooks: Resource = {
  one: "webhook",
  path: "/webhooks",
  columns: [
    { title: "Id", value: "id" },
    { title: "URL", value: "url" },
    { title: "Events", value: "events" },
    { title: "Active", value: "active" },
    { title: "Failures", value: "failuresInRow" },
    { title: "Description", value: "description" },
  ],
  fields: [
    { flags: "--url <url>", member: "url", summary: "where events are sent", isNeeded: true },
    {
      flags: "--events <types>",
      member: "events",
      summary: 'by commas: order.created, "order.*" or "*"',
      isNeeded: true,
      parse: list,
    },
    { flags: "--description <text>", member: "description", summary: "for people" },
    { flags: "--active <yes/no>", member: "active", summary: "no stops sending", parse: yesOrNo },
  ],
};

const deliveryColumns: readonly Column[] = [
  { title: "Id", value: "id" },
  { title: "Event", value: ({ event }) => (event as { type?: string } | null)?.type },
  { title: "State", value: "state" },
  { title: "Attempts", value: "attempts" },
  { title: "Last answer", value: ({ lastStatus, lastError }) => lastStatus ?? lastError },
  { title: "Made", value: "createdAt" },
  { title: "Next", value: "nextAttemptAt" },
];

export const webhookCommands: readonly CommandSpec[] = [
  ...resourceCommands(webhooks),
  {
    name: "deliveries <id>",
    summary: "what was sent to a webhook, newest first",
    options: [{ flags: "--state <state>", summary: "only those in this state" }, ...pageOptions],
    async run({ client, args: [id = ""], options, out }) {
      const call = { path: path`/webhooks/${id}/deliveries`, query: listQuery(options, ["state"]) };
      out.page(deliveryColumns, await client.list(call, { all: options.all === true }));
    },
  },
  {
    name: "replay <id> <delivery>",
    summary: "send a delivery again",
    async run({ client, args: [id = "", delivery = ""], out }) {
      const at = path`/webhooks/${id}/deliveries/${delivery}/replay`;
      const answer = await client.call({ method: "POST", path: at });
      out.result(answer, () => out.success("It will be sent again"));
    },
  },
];

const reconnectDelayMs = 2_000;
const reconnectsAtMost = 100;

const isWanted = (types: readonly string[], type: string) =>
  types.length === 0 ||
  types.some((wanted) =>
    wanted.endsWith("*") ? type.startsWith(wanted.slice(0, -1)) : type === wanted,
  );

function printEvent(out: Invocation["out"], text: string): void {
  const event = JSON.parse(text) as Record<string, unknown>;
  if (out.isJson) return out.jsonLine(event);
  const { type, resource, data, at, createdAt } = event;
  const { type: kind = "", id = "" } = (resource ?? {}) as { type?: string; id?: string };
  const when = out.paint("dim", readable(at ?? createdAt));
  const what = out.paint("cyan", oneLine(String(type)));
  out.line(`${when}  ${what}  ${oneLine(`${kind} ${id}`)}  ${oneLine(JSON.stringify(data ?? {}))}`);
}

/** Follows the stream, taking up where it broke off, until it is stopped or `count` have come. */
async function tail({ client, options, out }: Invocation): Promise<void> {
  const types = (options.type as string[] | undefined) ?? [];
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
      const { body } = await client.open({ path: "/events", headers, signal: stopping.signal });
      for await (const event of readServerEvents(body)) {
        if (event.id !== undefined) lastId = event.id;
        attempt = 0;
        if (event.data === "" || !isWanted(types, event.type)) continue;
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
