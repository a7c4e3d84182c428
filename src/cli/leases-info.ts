import { outputOption, save } from "./files.ts";
import { idOf } from "./names.ts";
import { money } from "./money.ts";
import { duration, integer, list, listQuery, moment, textOf, yesOrNo } from "./options.ts";
import { type Field, resourceCommands } from "./resource.ts";
import type { Column } from "./table.ts";
import type { CommandSpec } from "./types.ts";

const templateFields: readonly Field[] = [
  { member: "name", flags: "--name <name>", summary: "by which leases name it", isNeeded: true },
  { member: "image", flags: "--image <image>", summary: "with a tag or digest", isNeeded: true },
  { member: "description", flags: "--description <text>", summary: "what it is for" },
  {
    member: "scope",
    flags: "--scope <scope>",
    summary: "whose it is; a platform admin may say platform",
    choices: ["tenant", "platform"],
    isChangeable: false,
  },
  {
    member: "command",
    flags: "--command <words>",
    summary: "program and arguments, by commas",
    parse: list,
  },
  { member: "cpuMillis", flags: "--cpu-millis <n>", summary: "CPU in thousandths", parse: integer },
  { member: "memoryMb", flags: "--memory-mb <n>", summary: "memory in MiB", parse: integer },
  { member: "diskMb", flags: "--disk-mb <n>", summary: "disk in MiB", parse: integer },
  {
    member: "ttlSeconds",
    flags: "--ttl-seconds <time>",
    summary: "for how long: seconds, 30m or 2h",
    parse: duration,
  },
  {
    member: "idleTtlSeconds",
    flags: "--idle-ttl-seconds <time>",
    summary: "ends its leases when nobody uses them so long",
    parse: duration,
  },
  {
    member: "writable",
    flags: "--writable <yes|no>",
    summary: "needed for snapshots",
    parse: yesOrNo,
  },
  {
    member: "egress",
    flags: "--egress <what>",
    summary: "what its leases may reach",
    choices: ["none", "internet"],
  },
  {
    member: "ociRuntime",
    flags: "--oci-runtime <name>",
    summary: "such as runsc; missing means refusal",
  },
  {
    member: "warmSize",
    flags: "--warm-size <n>",
    summary: "containers that are kept ready for the next leases",
    parse: integer,
  },
  {
    member: "active",
    flags: "--active <yes|no>",
    summary: "only active ones can be leased",
    parse: yesOrNo,
  },
];

const templates: CommandSpec = {
  name: "templates",
  summary: "what leases are made of, over and over",
  commands: resourceCommands({
    one: "template",
    path: "/leases/templates",
    columns: [
      { title: "Id", value: "id" },
      { title: "Name", value: "name" },
      { title: "Of", value: "scope" },
      { title: "Image", value: "image" },
      { title: "CPU", value: "cpuMillis" },
      { title: "MiB", value: "memoryMb" },
      { title: "TTL s", value: "ttlSeconds" },
      { title: "Active", value: "active" },
    ],
    fields: templateFields,
    filters: [
      {
        member: "scope",
        flags: "--scope <scope>",
        summary: "only the tenant's own, or the platform's",
        choices: ["tenant", "platform"],
      },
      {
        member: "active",
        flags: "--active <yes|no>",
        summary: "only active ones, or retired ones",
        parse: yesOrNo,
      },
    ],
    idOf: (client, text) => idOf(client, "template", text),
  }),
};

const presets: CommandSpec = {
  name: "presets",
  summary: "sizes that have a name",
  async run({ client, out }) {
    const found = await client.call<{ items: Record<string, unknown>[] }>({
      path: "/leases/presets",
    });
    const columns: readonly Column[] = [
      { title: "Name", value: "name" },
      { title: "CPU", value: "cpuMillis" },
      { title: "MiB", value: "memoryMb" },
      { title: "TTL s", value: "ttlSeconds" },
      {
        title: "Cost",
        value: ({ estimatedCostMinor, currency }) => money(estimatedCostMinor, currency),
        isAmount: true,
      },
      { title: "What for", value: "title" },
    ];
    out.result(found, () => out.page(columns, { items: found.items, nextCursor: null }));
  },
};

const runtime: CommandSpec = {
  name: "runtime",
  summary: "where containers come from, and what it can",
  run: async ({ client, out }) => out.record(await client.call({ path: "/leases/runtime" })),
};

type Quotas = Record<string, { limit: number | null; used: number }>;

const quota: CommandSpec = {
  name: "quota",
  summary: "how much may be leased, and how much is",
  async run({ client, out }) {
    const found = await client.call<{ tenant: Quotas; user: Quotas }>({ path: "/leases/quota" });
    out.result(found, () => {
      const columns: readonly Column[] = [
        { title: "What", value: "what" },
        { title: "Tenant", value: "tenant" },
        { title: "Of", value: "tenantLimit" },
        { title: "You", value: "user" },
        { title: "Of", value: "userLimit" },
      ];
      const items = Object.keys(found.tenant).map((what) => ({
        what,
        tenant: found.tenant[what]?.used,
        tenantLimit: found.tenant[what]?.limit ?? null,
        user: found.user[what]?.used,
        userLimit: found.user[what]?.limit ?? null,
      }));
      out.page(columns, { items, nextCursor: null });
    });
  },
};

interface Usage {
  items: Record<string, unknown>[];
  totals: Record<string, unknown>[];
  isPartial: boolean;
}

const usageColumns = (group: string): readonly Column[] => [
  { title: group, value: ({ group: name }) => name },
  { title: "Leases", value: "leases" },
  { title: "Seconds", value: "seconds" },
  { title: "CPU s", value: "cpuSeconds" },
  { title: "GB s", value: "gbSeconds" },
  { title: "Cost", value: ({ costMinor, currency }) => money(costMinor, currency), isAmount: true },
];

const usage: CommandSpec = {
  name: "usage",
  summary: "what leases used and cost",
  options: [
    { flags: "--from <time>", summary: "from this day or moment on", parse: moment },
    { flags: "--to <time>", summary: "before this day or moment", parse: moment },
    { flags: "--owner <id>", summary: "only of this one's" },
    {
      flags: "--group-by <what>",
      summary: "what each line is about; day unless given",
      choices: ["lease", "owner", "template", "image", "day"],
    },
    { flags: "--csv", summary: "every interval in which a lease ran, as CSV" },
    outputOption("with --csv, standard output"),
  ],
  async run(invocation) {
    const { client, options, out } = invocation;
    const query = listQuery(options, ["from", "to", "owner"]);
    if (options.csv === true) {
      const target = textOf(options, "output") ?? "-";
      return save(invocation, { path: "/leases/usage.csv", query }, target);
    }
    const groupBy = textOf(options, "groupBy") ?? "day";
    const found = await client.call<Usage>({ path: "/leases/usage", query: { ...query, groupBy } });
    out.result(found, () => {
      out.page(usageColumns(groupBy), { items: found.items, nextCursor: null });
      for (const { costMinor, currency, leases } of found.totals) {
        out.line(`${money(costMinor, currency)} for ${String(leases)} leases in all`);
      }
      if (found.isPartial) out.note("There is more than is shown: --csv has all of it.");
    });
  },
};

/** What can be leased, where it comes from, and what it costs. */
export const infoCommands: readonly CommandSpec[] = [templates, presets, runtime, quota, usage];
