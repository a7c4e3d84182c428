import { UsageError } from "./errors.ts";
import { integer, list, listQuery, pageOptions, yesOrNo } from "./options.ts";
import { type Resource, resourceCommands } from "./resource.ts";
import type { Column } from "./table.ts";
import { readable } from "./text.ts";
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
    { title: "Failing since", value: "failingSince" },
    { title: "Switched off", value: "disabledReason" },
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
    name: "delivery <id> <delivery>",
    summary: "one delivery with each attempt",
    async run({ client, args: [id = "", delivery = ""], out }) {
      out.record(await client.call({ path: path`/webhooks/${id}/deliveries/${delivery}` }));
    },
  },
  {
    name: "replay <id> [delivery]",
    summary: "send a delivery again, or all of a time",
    options: [
      { flags: "--from <time>", summary: "without a delivery: from this time on" },
      { flags: "--to <time>", summary: "and before this one" },
    ],
    async run({ client, args: [id = "", delivery], options, out }) {
      const at = path`/webhooks/${id}`;
      const call =
        delivery === undefined
          ? { path: `${at}/replay`, body: replayRange(options) }
          : { path: `${at}${path`/deliveries/${delivery}`}/replay` };
      const answer = await client.call({ method: "POST", ...call });
      out.result(answer, () => out.success(`To be sent again: ${replayed(answer)}`));
    },
  },
  {
    name: "ping <id>",
    summary: "send a test event",
    async run({ client, args: [id = ""], out }) {
      const answer = await client.call({ method: "POST", path: `${path`/webhooks/${id}`}/ping` });
      out.result(answer, () => out.success("A test event is on its way"));
    },
  },
  {
    name: "rotate-secret <id>",
    summary: "sign with a new secret; the old one signs too for a while",
    options: [
      {
        flags: "--overlap-hours <hours>",
        summary: "how long the old one goes on",
        parse: integer,
        default: 24,
      },
    ],
    async run({ client, args: [id = ""], options, out }) {
      const at = `${path`/webhooks/${id}`}/rotate-secret`;
      const body = { overlapHours: options.overlapHours };
      out.record(await client.call({ method: "POST", path: at, body }));
      out.note("The secret is shown only now: give it to the receiver.");
    },
  },
];

function replayRange(options: Invocation["options"]) {
  const { from, to } = options;
  if (from === undefined || to === undefined) {
    throw new UsageError("Name a delivery, or a time with --from and --to");
  }
  return { from, to };
}

const replayed = (answer: Record<string, unknown> | null): string => {
  const { replayed: count = 1, more = false } = answer ?? {};
  return `${readable(count)}${more === true ? ", and there are more" : ""}`;
};
