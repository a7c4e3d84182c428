import { consistencyCommands } from "./consistency-check.ts";
import { runCommands } from "./consistency-runs.ts";
import { outputOption, save } from "./files.ts";
import { UsageError } from "./errors.ts";
import { storeAt } from "./names.ts";
import { integer, textOf } from "./options.ts";
import { resourceCommands } from "./resource.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation, OptionSpec } from "./types.ts";

const stores: CommandSpec = {
  name: "stores",
  summary: "replicated stores",
  commands: resourceCommands({
    one: "store",
    path: "/stores",
    verbs: ["list", "create", "get", "update", "delete"],
    columns: [
      { title: "Id", value: "id" },
      { title: "Name", value: "name" },
      { title: "Engine", value: "engine" },
      { title: "Mode", value: "mode" },
      { title: "Replicas", value: "replicas" },
    ],
    fields: [
      { member: "name", flags: "--name <name>", summary: "unique in the tenant", isNeeded: true },
      {
        member: "engine",
        flags: "--engine <name>",
        summary: "embedded unless given, for learning and testing",
        choices: ["embedded", "redis", "etcd"],
        isChangeable: false,
      },
      {
        member: "mode",
        flags: "--mode <mode>",
        summary: "CP refuses rather than be wrong, AP answers",
        choices: ["CP", "AP"],
        isChangeable: false,
      },
      {
        member: "replicas",
        flags: "--replicas <n>",
        summary: "3 or 5, of an embedded one",
        parse: integer,
        isChangeable: false,
      },
      {
        member: "maxStalenessMs",
        flags: "--max-staleness-ms <ms>",
        summary: "how old a bounded read may be",
        parse: integer,
      },
      {
        member: "operationTimeoutMs",
        flags: "--timeout-ms <ms>",
        summary: "after so long a request is answered",
        parse: integer,
      },
    ],
  }),
};

const asking: readonly OptionSpec[] = [
  {
    flags: "--level <name>",
    summary: "the guarantee; without it the store's own",
    choices: ["strong", "bounded", "session", "eventual"],
  },
  { flags: "--session <token>", summary: "sessionToken of the last receipt" },
];

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whatever is no JSON is taken for the text that it is.
    return text;
  }
}

async function askKey(
  { client, args, options, out }: Invocation,
  method: "GET" | "PUT" | "DELETE",
  body?: object,
): Promise<void> {
  const [store = "", key = ""] = args;
  const token = textOf(options, "session");
  const version = textOf(options, "ifVersion");
  const answer = await client.call({
    method,
    path: `${await storeAt(client, store)}${path`/keys/${key}`}`,
    query: { consistency: textOf(options, "level") },
    headers: {
      ...(token !== undefined && { "x-session-token": token }),
      ...(version !== undefined && { "if-match": `"${version}"` }),
    },
    ...(body && { body }),
  });
  out.record(answer);
}

const ifVersion: OptionSpec = {
  flags: "--if-version <term-seq>",
  summary: "only where this version stands there, such as 1-17",
};

const keys: CommandSpec = {
  name: "keys",
  summary: "what stands in a store",
  commands: [
    {
      name: "get <store> <key>",
      summary: "read a key, with its receipt",
      options: asking,
      run: (invocation) => askKey(invocation, "GET"),
    },
    {
      name: "put <store> <key> <value>",
      summary: "write a key; a value that is no JSON is a text",
      options: [...asking, ifVersion],
      async run(invocation) {
        const value = jsonOrText(invocation.args[2] ?? "");
        if (value === null) throw new UsageError("null stands for nothing; delete the key.");
        await askKey(invocation, "PUT", { value });
      },
    },
    {
      name: "delete <store> <key>",
      summary: "delete a key",
      options: [...asking, ifVersion],
      run: (invocation) => askKey(invocation, "DELETE"),
    },
  ],
};

const status: CommandSpec = {
  name: "status <store>",
  summary: "replicas, lag, terms and breakers of a store",
  run: async ({ client, args, out }) =>
    out.record(await client.call({ path: `${await storeAt(client, args[0])}/status` })),
};

const history: CommandSpec = {
  name: "history <store>",
  summary: "download a store's history, as check reads it",
  options: [outputOption("history.ndjson")],
  async run(invocation) {
    const at = `${await storeAt(invocation.client, invocation.args[0])}/history`;
    await save(invocation, { path: at }, textOf(invocation.options, "output"));
  },
};

const faults: CommandSpec = {
  name: "faults",
  summary: "what goes wrong in a store, on purpose",
  commands: [
    {
      name: "inject <store> <json>",
      summary: 'such as \'{"kind":"crash","replicas":["n1"]}\'',
      async run({ client, args, out }) {
        const [store = "", text = ""] = args;
        const body = jsonOrText(text);
        if (typeof body !== "object" || body === null) throw new UsageError("It must be JSON.");
        const at = `${await storeAt(client, store)}/faults`;
        out.record(await client.call({ method: "POST", path: at, body }));
      },
    },
    {
      name: "end <store>",
      summary: "end all faults",
      run: async ({ client, args, out }) =>
        out.record(
          await client.call({ method: "DELETE", path: `${await storeAt(client, args[0])}/faults` }),
        ),
    },
  ],
};

export const commands: readonly CommandSpec[] = [
  ...consistencyCommands,
  stores,
  keys,
  status,
  faults,
  history,
  ...runCommands,
];
