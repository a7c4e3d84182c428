import { readFile } from "node:fs/promises";
import type { Client } from "./client.ts";
import { UsageError } from "./errors.ts";
import { given, listQuery, pageOptions, textOf } from "./options.ts";
import { readStdin } from "./prompt.ts";
import type { Column } from "./table.ts";
import { readable } from "./text.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation, OptionSpec } from "./types.ts";

/** One member of a body; its option is what commander makes of the flags: `--price-minor`. */
export interface Field extends OptionSpec {
  member: string;
  /** Must be given when one is made. */
  isNeeded?: boolean;
  /** May stand in a change too; true unless said otherwise. */
  isChangeable?: boolean;
}

/** A kind of thing with the usual calls: list, create, get, update, delete and history. */
export interface Resource {
  /** One of them: "shop". */
  one: string;
  /** Below /api/v1: "/shops". */
  path: string;
  columns: readonly Column[];
  fields: readonly Field[];
  filters?: readonly (OptionSpec & { member: string })[];
  /** What tells one from the others: "id" unless said otherwise. */
  key?: string;
  /** Finds the id of what a person calls one; ids alone are understood unless it is there. */
  idOf?: (client: Client, text: string) => Promise<string>;
  /** What it has of the usual commands; all unless said otherwise. */
  verbs?: readonly Verb[];
}

export type Verb = "list" | "create" | "get" | "update" | "delete" | "history";

const allVerbs: readonly Verb[] = ["list", "create", "get", "update", "delete", "history"];

/** A body as JSON, for what no option says. */
export const dataOptions: readonly OptionSpec[] = [
  { flags: "--data <json>", summary: "members as JSON; the options beside win" },
  { flags: "--file <path>", summary: "the same from a file, or - for standard input" },
];

/** Makes a change that meets another refuse. */
export const ifVersion: OptionSpec = {
  flags: "--if-version <version>",
  summary: "only if nobody has changed it since this version",
};

/** The commands of a resource, to be put below its name. */
export function resourceCommands(resource: Resource): CommandSpec[] {
  const makers: Record<Verb, (resource: Resource) => CommandSpec> = {
    list: listCommand,
    create: createCommand,
    get: getCommand,
    update: updateCommand,
    delete: deleteCommand,
    history: historyCommand,
  };
  return (resource.verbs ?? allVerbs).map((verb) => makers[verb](resource));
}

/** The server insists, not we: the member may stand in --data as well. */
const markNeeded = (field: Field): OptionSpec =>
  field.isNeeded ? { ...field, summary: `${field.summary} (needed)` } : field;

const members = (fields: readonly { member: string }[]) => fields.map(({ member }) => member);

function listCommand(resource: Resource): CommandSpec {
  const { one, columns, filters = [] } = resource;
  return {
    name: "list",
    summary: `list ${one}s`,
    options: [...filters, ...pageOptions],
    async run({ client, options, out }) {
      const query = listQuery(options, members(filters));
      const all = options.all === true;
      out.page(columns, await client.list({ path: resource.path, query }, { all }));
    },
  };
}

function createCommand({ one, path: at, fields, key = "id" }: Resource): CommandSpec {
  return {
    name: "create",
    summary: `make ${withArticle(one)}`,
    options: [...fields.map(markNeeded), ...dataOptions],
    async run(invocation) {
      const body = await readBody(invocation, members(fields));
      const made = await invocation.client.call({
        method: "POST",
        path: at,
        body,
        isCreation: true,
      });
      invocation.out.record(made);
      invocation.out.success(`Made the ${one} ${made[key]}`);
    },
  };
}

function getCommand(resource: Resource): CommandSpec {
  const { one } = resource;
  return {
    name: `get ${argumentOf(resource)}`,
    summary: `show one ${one}`,
    run: async ({ client, args, out }) =>
      out.record(await client.call({ path: await below(resource, client, args) })),
  };
}

function updateCommand(resource: Resource): CommandSpec {
  const { one, fields } = resource;
  const changeable = fields.filter(({ isChangeable = true }) => isChangeable);
  return {
    name: `update ${argumentOf(resource)}`,
    summary: `change ${withArticle(one)}`,
    options: [...changeable, ...dataOptions, ifVersion],
    help:
      `Without --if-version the ${one} is read first, ` +
      "and the change refused if it changes in between.",
    async run(invocation) {
      const { client, args, out } = invocation;
      const body = await readBody(invocation, members(changeable));
      if (Object.keys(body).length === 0) throw new UsageError("There is nothing to change");
      const target = await below(resource, client, args);
      const headers = { "if-match": await versionTag(invocation, target) };
      out.record(await client.call({ method: "PATCH", path: target, body, headers }));
      out.success(`Changed the ${one}`);
    },
  };
}

function deleteCommand(resource: Resource): CommandSpec {
  const { one } = resource;
  return {
    name: `delete ${argumentOf(resource)}`,
    summary: `delete ${withArticle(one)}`,
    options: [ifVersion],
    async run({ client, args, options, out }) {
      const version = textOf(options, "ifVersion");
      const call = { method: "DELETE" as const, path: await below(resource, client, args) };
      const ifMatch = { "if-match": `"${version}"` };
      await client.call(version === undefined ? call : { ...call, headers: ifMatch });
      out.result({ deleted: args[0] }, () => out.success(`Deleted the ${one}`));
    },
  };
}

function historyCommand(resource: Resource): CommandSpec {
  return {
    name: `history ${argumentOf(resource)}`,
    summary: `show the past of ${withArticle(resource.one)}`,
    options: pageOptions,
    async run({ client, args, options, out }) {
      const target = await below(resource, client, args);
      const call = { path: `${target}/history`, query: listQuery(options) };
      out.page(historyColumns, await client.list(call, { all: options.all === true }));
    },
  };
}

/** How help calls what a command is to be about. */
const argumentOf = ({ one, key = "id", idOf }: Resource) => `<${idOf ? one : key}>`;

/** Where the thing is that the first argument names. */
async function below(
  { path: at, idOf }: Resource,
  client: Client,
  [named = ""]: readonly string[],
): Promise<string> {
  return `${at}${path`/${idOf ? await idOf(client, named) : named}`}`;
}

/** The If-Match of a change: the version that was asked for, or that of the thing as it is now. */
export async function versionTag({ client, options }: Invocation, target: string): Promise<string> {
  const wanted = textOf(options, "ifVersion");
  if (wanted !== undefined) return `"${wanted}"`;
  const response = await client.open({ path: target });
  await response.body?.cancel();
  return response.headers.get("etag") ?? "*";
}

/** The body of --data or --file, under those members that were given as options. */
export async function readBody(
  { options, surroundings }: Invocation,
  names: readonly string[],
): Promise<Record<string, unknown>> {
  const { data, file } = options;
  let text = typeof data === "string" ? data : "{}";
  if (file === "-") text = await readStdin(surroundings.stdin);
  else if (typeof file === "string") text = await readFile(file, "utf8");
  try {
    return { ...JSON.parse(text), ...given(options, names) };
  } catch (error) {
    if (error instanceof SyntaxError) throw new UsageError(`No JSON: ${error.message}`);
    throw error;
  }
}

/** Columns of anything's past. */
export const historyColumns: readonly Column[] = [
  { title: "At", value: "at" },
  { title: "Who", value: ({ actor }) => (actor as { name?: string } | null)?.name },
  { title: "Action", value: "action" },
  { title: "Changes", value: ({ before, after }) => describeChange(before, after) },
];

const bookkeeping = new Set(["version", "updatedAt"]);

/** What differs between two states of a thing: `name: "Deli" → "Corner Deli"`. */
export function describeChange(before: unknown, after: unknown): string {
  if (!isObject(before) || !isObject(after)) return before ? "deleted" : "made";
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const changed = names.filter(
    (name) =>
      !bookkeeping.has(name) && JSON.stringify(before[name]) !== JSON.stringify(after[name]),
  );
  const show = (value: unknown) =>
    typeof value === "string" ? `"${readable(value)}"` : readable(value);
  const describe = (name: string) => `${name}: ${show(before[name])} → ${show(after[name])}`;
  return changed.length === 0 ? "nothing" : changed.map(describe).join("; ");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** "a shop", "an invitation". */
function withArticle(noun: string): string {
  return `${/^[aeio]/i.test(noun) ? "an" : "a"} ${noun}`;
}
