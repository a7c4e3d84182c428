import { idOf } from "./names.ts";
import {
  assertState,
  patient,
  type ShownLease,
  showLease,
  waitOption,
  wantedBody,
  wantedOptions,
} from "./leases-show.ts";
import { given, listQuery, pageOptions, textOf } from "./options.ts";
import { resourceCommands } from "./resource.ts";
import type { Column } from "./table.ts";
import { path } from "./transport.ts";
import type { CommandSpec } from "./types.ts";

const columns: readonly Column[] = [
  { title: "Id", value: "id" },
  { title: "Name", value: "name" },
  { title: "State", value: "state" },
  { title: "Lease", value: "leaseId" },
  { title: "Image", value: "sourceImage" },
  { title: "Bytes", value: "sizeBytes" },
  { title: "Made", value: "createdAt" },
];

const list: CommandSpec = {
  name: "list",
  summary: "list snapshots, newest first",
  options: [
    { flags: "--lease <lease>", summary: "only those of this lease, by name or id" },
    {
      flags: "--state <state>",
      summary: "only those in this state",
      choices: ["pending", "ready", "failed", "deleting"],
    },
    ...pageOptions,
  ],
  async run({ client, options, out }) {
    const lease = textOf(options, "lease");
    const query = {
      ...listQuery(options, ["state"]),
      ...(lease !== undefined && { leaseId: await idOf(client, "lease", lease) }),
    };
    const all = options.all === true;
    out.page(columns, await client.list({ path: "/snapshots", query }, { all }));
  },
};

interface ShownSnapshot extends Record<string, unknown> {
  id: string;
  state: string;
  message: string | null;
}

const create: CommandSpec = {
  name: "create <lease>",
  summary: "keep what a writable lease has written",
  options: [
    { flags: "--name <name>", summary: "what it is called" },
    { flags: "--description <text>", summary: "what it is for" },
    waitOption,
  ],
  async run(invocation) {
    const { client, args, options, out } = invocation;
    const id = await idOf(client, "lease", args[0] as string);
    const snapshot = await client.call<ShownSnapshot>(
      patient(invocation, {
        method: "POST",
        path: path`/leases/${id}/snapshots`,
        body: given(options, ["name", "description"]),
        isCreation: true,
      }),
    );
    out.record(snapshot);
    out.success(`Snapshot ${snapshot.id} is ${snapshot.state}`);
    assertState(invocation, "snapshot", snapshot, "ready");
  },
};

const restore: CommandSpec = {
  name: "restore <snapshot> [command...]",
  summary: "lease a container made of a snapshot",
  options: [...wantedOptions, waitOption],
  help: "Environment variables have to be given again: no snapshot holds their values.",
  async run(invocation) {
    const { client, args, out } = invocation;
    const [named = "", ...command] = args;
    const id = await idOf(client, "snapshot", named);
    const body = await wantedBody(invocation, command);
    const at = path`/snapshots/${id}/restore`;
    const call = { method: "POST" as const, path: at, body, isCreation: true };
    const lease = await client.call<ShownLease>(patient(invocation, call));
    showLease(out, lease);
    out.success(`Leased ${lease.id}, which is ${lease.state}`);
    assertState(invocation, "lease", lease, "running");
  },
};

/** What is kept of leases. */
export const snapshotCommands: readonly CommandSpec[] = [
  list,
  create,
  restore,
  ...resourceCommands({
    one: "snapshot",
    path: "/snapshots",
    columns,
    fields: [],
    verbs: ["get", "delete", "history"],
    idOf: (client, text) => idOf(client, "snapshot", text),
  }),
];
