import { idOf } from "./names.ts";
import {
  assertState,
  leaseColumns,
  patient,
  type ShownLease,
  showLease,
  waitOption,
  wantedBody,
  wantedOptions,
} from "./leases-show.ts";
import { duration, listQuery, pageOptions, textOf, yesOrNo } from "./options.ts";
import { ifVersion, resourceCommands } from "./resource.ts";
import type { Column } from "./table.ts";
import { path } from "./transport.ts";
import { readable } from "./text.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const states = ["pending", "starting", "running", "paused", "stopping", "ended", "failed"];

const list: CommandSpec = {
  name: "list",
  summary: "list leases, newest first",
  options: [
    { flags: "--state <state>", summary: "only those in this state", choices: states },
    { flags: "--live <yes|no>", summary: "only those that are not over, or are", parse: yesOrNo },
    { flags: "--owner <id>", summary: "only this one's" },
    { flags: "--template <name>", summary: "only those of this template" },
    { flags: "--sort <order>", summary: "those first that end first", choices: ["expiry"] },
    ...pageOptions,
  ],
  async run({ client, options, out }) {
    const query = listQuery(options, ["state", "live", "owner", "template", "sort"]);
    const call = { path: "/leases", query };
    out.page(leaseColumns, await client.list(call, { all: options.all === true }));
  },
};

const get: CommandSpec = {
  name: "get <lease>",
  summary: "show one lease, by name or id",
  async run({ client, args, out }) {
    const id = await idOf(client, "lease", args[0] as string);
    showLease(out, await client.call<ShownLease>({ path: path`/leases/${id}` }));
  },
};

const create: CommandSpec = {
  name: "create [command...]",
  summary: "lease a container, of an image or a template",
  options: [
    { flags: "--image <image>", summary: "with a tag or a digest" },
    { flags: "--template <name>", summary: "by name or id, instead of an image" },
    {
      flags: "--preset <size>",
      summary: "a size by its name",
      choices: ["tiny", "standard", "large"],
    },
    ...wantedOptions,
    waitOption,
  ],
  help:
    "What stands behind -- is run in place of the image's own program:\n" +
    "  plimsoll leases create --image alpine --ttl 30m --wait -- sleep 1800\n" +
    "Values of --env can be seen by other programs of this machine; --env NAME passes one on.",
  async run(invocation) {
    const { client, args, out } = invocation;
    const body = await wantedBody(invocation, args);
    const call = { method: "POST" as const, path: "/leases", body, isCreation: true };
    const lease = await client.call<ShownLease>(patient(invocation, call));
    showLease(out, lease);
    out.success(`Leased ${lease.id}, which is ${lease.state}`);
    assertState(invocation, "lease", lease, "running");
  },
};

function versionHeaders({ options }: Invocation): Record<string, string> {
  const version = textOf(options, "ifVersion");
  return version === undefined ? {} : { "if-match": `"${version}"` };
}

const lasting = (lease: ShownLease) =>
  `Lease ${lease.id} is ${lease.state} until ${readable(lease.expiresAt)}`;

/** Asks something of a lease, and says what has become of it. */
async function ask(
  invocation: Invocation,
  what: string,
  { body, say = lasting }: { body?: object; say?: (lease: ShownLease) => string } = {},
): Promise<ShownLease> {
  const { client, args, out } = invocation;
  const id = await idOf(client, "lease", args[0] as string);
  const lease = await client.call<ShownLease>(
    patient(invocation, {
      method: "POST",
      path: `${path`/leases/${id}`}/${what}`,
      headers: versionHeaders(invocation),
      isCreation: true,
      ...(body && { body }),
    }),
  );
  out.result(lease, () => out.success(say(lease)));
  return lease;
}

const renew: CommandSpec = {
  name: "renew <lease>",
  summary: "give a lease its time to live again, or another one",
  options: [
    { flags: "--ttl <time>", summary: "from now: seconds, 30m or 2h", parse: duration },
    ifVersion,
  ],
  async run(invocation) {
    const { ttl } = invocation.options;
    await ask(invocation, "renew", { body: ttl === undefined ? {} : { ttlSeconds: ttl } });
  },
};

const keepalive: CommandSpec = {
  name: "keepalive <lease>",
  summary: "say that a lease is in use",
  run: async (invocation) => void (await ask(invocation, "keepalive")),
};

const wishes = [
  ["pause", "stop a lease's clocks and its program", "paused"],
  ["resume", "let a paused lease go on", "running"],
  ["restart", "give a lease a new container", "running"],
] as const;

const wishCommands: readonly CommandSpec[] = wishes.map(([what, summary, wanted]) => ({
  name: `${what} <lease>`,
  summary,
  options: [waitOption, ifVersion],
  async run(invocation) {
    const say = (lease: ShownLease) =>
      lease.state === wanted
        ? `Lease ${lease.id} is ${wanted}`
        : `Asked for; lease ${lease.id} is ${lease.state} as yet: --wait waits for ${wanted}`;
    assertState(invocation, "lease", await ask(invocation, what, { say }), wanted);
  },
}));

const remove: CommandSpec = {
  name: "delete <lease>",
  summary: "end a lease, in any state",
  options: [ifVersion],
  async run(invocation) {
    const { client, args, out } = invocation;
    const id = await idOf(client, "lease", args[0] as string);
    const headers = versionHeaders(invocation);
    await client.call({ method: "DELETE", path: path`/leases/${id}`, headers });
    out.result({ deleted: id }, () => out.success(`Lease ${id} ends`));
  },
};

const deadlineColumns: readonly Column[] = [
  { title: "At", value: "at" },
  { title: "In s", value: "inSeconds" },
  { title: "Reason", value: "reason" },
  { title: "Why", value: "detail" },
];

const expiry: CommandSpec = {
  name: "expiry <lease>",
  summary: "explain when and why a lease will end",
  async run({ client, args, out }) {
    const id = await idOf(client, "lease", args[0] as string);
    const found = await client.call({ path: path`/leases/${id}/expiry` });
    out.result(found, () => {
      out.line(String(found.detail));
      const items = found.deadlines as Record<string, unknown>[];
      if (items.length > 0) out.page(deadlineColumns, { items, nextCursor: null });
    });
  },
};

const history = resourceCommands({
  one: "lease",
  path: "/leases",
  columns: [],
  fields: [],
  verbs: ["history"],
  idOf: (client, text) => idOf(client, "lease", text),
});

/** Leases: having them, and what becomes of them. */
export const deskCommands: readonly CommandSpec[] = [
  list,
  create,
  get,
  renew,
  keepalive,
  ...wishCommands,
  remove,
  expiry,
  ...history,
];
