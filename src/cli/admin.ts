import { ApiError, UsageError } from "./errors.ts";
import { given, integer, listQuery, pageOptions, share, textOf } from "./options.ts";
import type { Page } from "./output.ts";
import { ifVersion, resourceCommands, versionTag } from "./resource.ts";
import type { Column } from "./table.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation } from "./types.ts";

/** What a platform admin does to a running server. */
type AdminArea = readonly CommandSpec[];

const confirmed = (out: Invocation["out"], value: unknown, text: string) =>
  out.result(value, () => out.success(text));

function listOf(at: string, summary: string, columns: readonly Column[]): CommandSpec {
  return {
    name: "list",
    summary,
    async run({ client, out }) {
      out.page(columns, await client.list({ path: at }, { all: true }));
    },
  };
}

const onOrOff = (text: string | undefined): boolean => {
  if (text === "on" || text === "off") return text === "on";
  throw new UsageError(`"${text}" is neither on nor off`);
};

const flagPath = (name: string, tenantId: string | undefined) =>
  tenantId === undefined
    ? path`/admin/flags/${name}`
    : path`/admin/flags/${name}/tenants/${tenantId}`;

/** What says of a flag that is read first what it must be still: a version, or not there. */
async function flagUnchanged(
  invocation: Invocation,
  name: string,
): Promise<Record<string, string>> {
  try {
    return { "if-match": await versionTag(invocation, path`/admin/flags/${name}`) };
  } catch (error) {
    if (error instanceof ApiError && error.problem.status === 404) return { "if-none-match": "*" };
    throw error;
  }
}

/** The version that a deletion insists on, where one was given. */
function onlyVersion({ options }: Invocation) {
  const version = textOf(options, "ifVersion");
  return version === undefined ? {} : { headers: { "if-match": `"${version}"` } };
}

const historyOf = (one: string, at: string, key: string) =>
  resourceCommands({ one, path: at, key, columns: [], fields: [], verbs: ["history"] });

const tenantOption = { flags: "--tenant <id>", summary: "only for this tenant" };

export const flagCommands: AdminArea = [
  listOf("/admin/flags", "every flag, and where its value comes from", [
    { title: "Name", value: "name" },
    { title: "On", value: "on" },
    { title: "Source", value: "source" },
    {
      title: "Tenants",
      value: ({ tenants }) =>
        (tenants as { tenantId: string; on: boolean }[] | undefined)?.map(
          (tenant) => `${tenant.tenantId} ${tenant.on ? "on" : "off"}`,
        ),
    },
  ]),
  {
    name: "set <name> <on|off>",
    summary: "switch a flag for everyone, or for one tenant",
    options: [tenantOption, ifVersion],
    help: "Without --if-version the flag is read first, and refused if it changes in between.",
    async run(invocation) {
      const { client, args, options, out } = invocation;
      const [name = "", wanted] = args;
      const body = { on: onOrOff(wanted) };
      const at = flagPath(name, textOf(options, "tenant"));
      const headers = await flagUnchanged(invocation, name);
      const flag = await client.call({ method: "PUT", path: at, body, headers });
      confirmed(out, flag, `${name} is ${wanted}; other processes follow within 5 s`);
    },
  },
  {
    name: "clear <name>",
    summary: "take an override away, so that FLAG_<NAME> decides again",
    options: [tenantOption, ifVersion],
    async run(invocation) {
      const { client, args, options, out } = invocation;
      const [name = ""] = args;
      const at = flagPath(name, textOf(options, "tenant"));
      await client.call({ method: "DELETE", path: at, ...onlyVersion(invocation) });
      confirmed(out, { cleared: name }, `Took the override of ${name} away`);
    },
  },
  ...historyOf("flag", "/admin/flags", "name"),
];

const armed = (member: string) => (row: Record<string, unknown>) =>
  (row.armed as Record<string, unknown> | null)?.[member];

export const faultCommands: AdminArea = [
  listOf("/admin/faults", "where things can go wrong, and what is told to", [
    { title: "Point", value: "point" },
    { title: "Armed", value: armed("kind") },
    { title: "Probability", value: armed("probability") },
    { title: "Latency ms", value: armed("latencyMs") },
    { title: "Left", value: "remaining" },
    { title: "Struck", value: "struck" },
    { title: "What", value: "title" },
  ]),
  {
    name: "set <point>",
    summary: "make something go wrong at a point in the code",
    options: [
      {
        flags: "--kind <kind>",
        summary: "what happens there",
        choices: ["latency", "error", "timeout", "corruption", "crash"],
        required: true,
      },
      { flags: "--probability <share>", summary: "0 to 1; always unless given", parse: share },
      {
        flags: "--count <times>",
        summary: "how often, in all processes; without end unless given, a crash once",
        parse: integer,
      },
      { flags: "--latency-ms <ms>", summary: "how long it takes", parse: integer },
      ifVersion,
    ],
    help: "Without --if-version the point is read first, and refused if it changes in between.",
    async run(invocation) {
      const { client, args, options, out } = invocation;
      const [point = ""] = args;
      const at = path`/admin/faults/${point}`;
      const body = given(options, ["kind", "probability", "count", "latencyMs"]);
      const headers = { "if-match": await versionTag(invocation, at) };
      const fault = await client.call({ method: "PUT", path: at, body, headers });
      const kind = textOf(options, "kind");
      confirmed(out, fault, `${point} will go wrong: ${kind}; other processes follow within 5 s`);
    },
  },
  {
    name: "clear <point>",
    summary: "let a point work again",
    options: [ifVersion],
    async run(invocation) {
      const { client, args, out } = invocation;
      const [point = ""] = args;
      const at = path`/admin/faults/${point}`;
      await client.call({ method: "DELETE", path: at, ...onlyVersion(invocation) });
      confirmed(out, { cleared: point }, `${point} works again; other processes follow within 5 s`);
    },
  },
  ...historyOf("fault point", "/admin/faults", "point"),
];

const jobColumns: readonly Column[] = [
  { title: "Id", value: "id" },
  { title: "Task", value: "task" },
  { title: "State", value: "state" },
  { title: "Attempts", value: ({ attempts, maxAttempts }) => `${attempts}/${maxAttempts}` },
  { title: "Runs at", value: "runAt" },
  { title: "Tenant", value: "tenantId" },
  { title: "Last error", value: "lastError" },
];

export const jobCommands: AdminArea = [
  {
    name: "list",
    summary: "background jobs, newest first",
    options: [
      {
        flags: "--state <state>",
        summary: "only these",
        choices: ["waiting", "running", "failed"],
      },
      { flags: "--task <name>", summary: "only this task" },
      ...pageOptions,
    ],
    async run({ client, options, out }) {
      const query = listQuery(options, ["state", "task"]);
      out.page(
        jobColumns,
        await client.list({ path: "/admin/jobs", query }, { all: !!options.all }),
      );
    },
  },
  {
    name: "retry <id>",
    summary: "start a failed job anew",
    async run({ client, args: [id = ""], out }) {
      await client.call({ method: "POST", path: path`/admin/jobs/${id}/retry` });
      confirmed(out, { retried: id }, `Job ${id} starts anew`);
    },
  },
  {
    name: "delete <id>",
    summary: "give a job up",
    async run({ client, args: [id = ""], out }) {
      await client.call({ method: "DELETE", path: path`/admin/jobs/${id}` });
      confirmed(out, { deleted: id }, `Deleted job ${id}`);
    },
  },
];

const breakerColumns: readonly Column[] = [
  { title: "Name", value: "name" },
  { title: "State", value: "state" },
  { title: "Active", value: "active" },
  { title: "Waiting", value: "waiting" },
  { title: "Successes", value: "successes" },
  { title: "Failures", value: "failures" },
  { title: "Rejected", value: "rejected" },
  { title: "Changed", value: "changedAt" },
];

interface Breakers extends Page {
  instance: { id: string; host: string; pid: number };
}

export const breakerCommands: AdminArea = [
  {
    name: "list",
    summary: "outside dependencies and whether they may be called",
    async run({ client, out }) {
      const breakers = await client.list({ path: "/admin/breakers" }, { all: true });
      out.page(breakerColumns, breakers);
      const { id, host, pid } = (breakers as Breakers).instance;
      out.note(`As process ${pid} on ${host} sees them (${id}); each process has its own.`);
    },
  },
  ...(["isolate", "reset"] as const).map((verb) => ({
    name: `${verb} <name>`,
    summary: verb === "isolate" ? "stop calling a dependency" : "call a dependency again",
    async run({ client, args: [name = ""], out }: Invocation) {
      const at = `${path`/admin/breakers/${name}`}/${verb}`;
      const answer = await client.call({ method: "POST", path: at });
      const where = "in the process that answered";
      const done = verb === "isolate" ? "isolated" : "reset";
      confirmed(out, answer, `${name} is ${done}, ${where}`);
    },
  })),
  ...historyOf("breaker", "/admin/breakers", "name"),
];

export const signingKeyCommands: AdminArea = [
  listOf("/admin/signing-keys", "the keys that sign access tokens", [
    { title: "Key", value: "kid" },
    { title: "Algorithm", value: "algorithm" },
    { title: "State", value: "state" },
    { title: "Made", value: "createdAt" },
    { title: "Signs from", value: "activatesAt" },
    { title: "Age s", value: "ageSeconds" },
  ]),
  {
    name: "rotate",
    summary: "publish a new key, which signs soon; tokens of the old one stay good",
    options: [
      { flags: "--confirm <kid>", summary: "the key that signs now, to be sure", required: true },
    ],
    async run({ client, options, out }) {
      const body = { confirm: options.confirm };
      const at = "/admin/signing-keys/rotate";
      const key = await client.call({ method: "POST", path: at, body });
      confirmed(out, key, "A new key is published and will sign once everyone can know it");
    },
  },
];
