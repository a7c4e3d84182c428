import { readFile } from "node:fs/promises";
import { CommandError, ProgramExit, UsageError } from "./errors.ts";
import { outputOption, save } from "./files.ts";
import { storeAt } from "./names.ts";
import { integer, list, listQuery, pageOptions, textOf } from "./options.ts";
import type { Column } from "./table.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation, OptionSpec } from "./types.ts";

const exitCodes: Readonly<Record<string, number>> = { ok: 0, violation: 1, unknown: 3 };
const lookEveryMs = 500;
const looksAtMost = 1_200;

const waitOption: OptionSpec = {
  flags: "--wait",
  summary: "until it is over: exits with 0 for ok, 1 for a violation or a failure, 3 for unknown",
};

interface Running extends Record<string, unknown> {
  readonly id: string;
  readonly state: string;
  readonly status: string | null;
}

/** Shows what was begun, or with --wait how it ended. */
async function follow(
  { client, options, out }: Invocation,
  begun: Running,
  at: string,
): Promise<void> {
  let seen = begun;
  if (options.wait === true) {
    for (let look = 0; seen.state === "running" && look < looksAtMost; look += 1) {
      await client.clock.sleep(lookEveryMs);
      seen = await client.call<Running>({ path: at });
    }
    if (seen.state === "running") throw new CommandError(`${seen.id} still runs; look again later`);
  }
  out.record(seen);
  if (options.wait !== true || seen.status === "ok") return;
  throw new ProgramExit(exitCodes[seen.status ?? ""] ?? 1);
}

async function start(
  invocation: Invocation,
  what: "workloads" | "experiments",
  body: object,
): Promise<void> {
  const at = await storeAt(invocation.client, invocation.args[0]);
  const call = { method: "POST", path: `${at}/${what}`, body, isCreation: true } as const;
  const run = await invocation.client.call<Running>(call);
  await follow(invocation, run, `${at}${path`/runs/${run.id}`}`);
}

function faultsOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError("It must be JSON: a list of {atMs, fault} or {atMs, heal: true}.");
  }
}

const workload: CommandSpec = {
  name: "workload <store>",
  summary: "let clients use a store while faults come and go, and check what happened",
  options: [
    { flags: "--clients <n>", summary: "at once", parse: integer },
    { flags: "--operations <n>", summary: "of all clients", parse: integer },
    { flags: "--seconds <n>", summary: "instead of so many operations", parse: integer },
    { flags: "--read-ratio <ratio>", summary: "from 0 to 1", parse: Number },
    { flags: "--keys <n>", summary: "of its own", parse: integer },
    { flags: "--levels <names>", summary: "with commas", parse: list },
    { flags: "--seed <n>", summary: "who asks what", parse: integer },
    { flags: "--faults <json>", summary: "by time", parse: faultsOf },
    waitOption,
  ],
  async run(invocation) {
    const { seconds, clients, operations, readRatio, keys, levels, seed, faults } =
      invocation.options;
    const wanted = { clients, operations, readRatio, keys, levels, seed, faults };
    const all = { ...wanted, durationSeconds: seconds };
    const given = Object.entries(all).filter(([, value]) => value !== undefined);
    await start(invocation, "workloads", Object.fromEntries(given));
  },
};

const experiment: CommandSpec = {
  name: "experiment <store> <name>",
  summary: "try something, such as partition-cp, and hear what it shows",
  options: [waitOption],
  run: (invocation) => start(invocation, "experiments", { name: invocation.args[1] }),
};

const runColumns: readonly Column[] = [
  { title: "Id", value: "id" },
  { title: "Kind", value: (row) => row.experiment ?? row.kind },
  { title: "State", value: "state" },
  { title: "Verdict", value: "status" },
  { title: "Words", value: "words" },
];

const runs: CommandSpec = {
  name: "runs <store>",
  summary: "list workloads and experiments",
  options: pageOptions,
  async run({ client, args, options, out }) {
    const at = `${await storeAt(client, args[0])}/runs`;
    const call = { path: at, query: listQuery(options, []) };
    out.page(runColumns, await client.list(call, { all: options.all === true }));
  },
};

const cancel: CommandSpec = {
  name: "cancel <store> <run>",
  summary: "end a workload or an experiment",
  async run({ client, args: [store = "", run = ""], out }) {
    const at = await storeAt(client, store);
    await client.call({ method: "POST", path: `${at}${path`/runs/${run}/cancel`}` });
    out.result({ cancelled: run }, () => out.success(`Cancelled ${run}`));
  },
};

const uploadBytesMost = 16 * 2 ** 20;

const checks: CommandSpec = {
  name: "checks",
  summary: "what histories proved, as the server keeps it",
  commands: [
    {
      name: "list",
      summary: "list checks, newest first",
      options: [{ flags: "--store-id <id>", summary: "only this store's" }, ...pageOptions],
      async run({ client, options, out }) {
        const call = { path: "/checks", query: listQuery(options, ["storeId"]) };
        const columns = [
          { title: "Id", value: "id" },
          { title: "Name", value: "name" },
          { title: "State", value: "state" },
          { title: "Verdict", value: "status" },
        ];
        out.page(columns, await client.list(call, { all: options.all === true }));
      },
    },
    {
      name: "get <check>",
      summary: "show a check",
      run: async ({ client, args, out }) =>
        out.record(await client.call({ path: path`/checks/${args[0] ?? ""}` })),
    },
    {
      name: "page <check>",
      summary: "download a check's page",
      options: [outputOption("check-<id>.html")],
      run: ({ client, args, options, out }) =>
        save(
          { client, out },
          { path: path`/checks/${args[0] ?? ""}/page` },
          textOf(options, "output"),
        ),
    },
    {
      name: "store <store>",
      summary: "check a store's history",
      options: [waitOption],
      async run(invocation) {
        const at = `${await storeAt(invocation.client, invocation.args[0])}/checks`;
        const call = { method: "POST", path: at, body: {}, isCreation: true } as const;
        const check = await invocation.client.call<Running>(call);
        await follow(invocation, check, path`/checks/${check.id}`);
      },
    },
    {
      name: "upload <file>",
      summary: "have a history of up to 16 MiB checked by the server",
      options: [waitOption],
      async run(invocation) {
        const file = invocation.args[0] ?? "";
        const bytes = await readFile(file).catch((error: Error) => {
          throw new CommandError(`${file} can't be read (${error.message})`);
        });
        if (bytes.length > uploadBytesMost) throw new CommandError(`${file} has more than 16 MiB`);
        const headers = { "content-type": "text/plain" };
        const call = { method: "POST", path: "/checks", headers, isCreation: true } as const;
        const check = await invocation.client.call<Running>({ ...call, body: bytes });
        await follow(invocation, check, path`/checks/${check.id}`);
      },
    },
  ],
};

export const runCommands: readonly CommandSpec[] = [workload, experiment, runs, cancel, checks];
