import { CommandError } from "./errors.ts";
import { listQuery, pageOptions } from "./options.ts";
import type { Column } from "./table.ts";
import type { CommandSpec, Invocation, OptionSpec } from "./types.ts";

const columns: readonly Column[] = [
  { title: "No", value: "seq" },
  { title: "At", value: "at" },
  { title: "Who", value: ({ actor }) => (actor as { name?: string } | null)?.name },
  { title: "Action", value: "action" },
  {
    title: "What",
    value: ({ resource }) => {
      const { type = "", id = "" } = (resource ?? {}) as { type?: string; id?: string };
      return `${type}/${id}`;
    },
  },
  { title: "Request", value: "requestId" },
];

const filters = ["actor", "action", "resource", "from", "to"];

const filterOptions: readonly OptionSpec[] = [
  { flags: "--actor <who>", summary: "an e-mail address, or a user's or an API key's id" },
  { flags: "--action <action>", summary: 'one action, or all of a kind: "shop.*"' },
  { flags: "--resource <kind>", summary: "what was changed: shop, or shop/<id>" },
  { flags: "--from <time>", summary: "not before: 2026-11-20T00:00:00Z" },
  { flags: "--to <time>", summary: "before this time" },
];

const platformOption: OptionSpec = {
  flags: "--platform",
  summary: "the platform's own audit: of what belongs to no tenant",
};
const auditPath = ({ platform }: Invocation["options"]) =>
  platform === true ? "/admin/audit" : "/audit";

export const auditCommands: readonly CommandSpec[] = [
  {
    name: "list",
    summary: "who did what, newest first",
    options: [...filterOptions, platformOption, ...pageOptions],
    async run({ client, options, out }) {
      const call = { path: auditPath(options), query: listQuery(options, filters) };
      out.page(columns, await client.list(call, { all: options.all === true }));
    },
  },
  {
    name: "verify",
    summary: "check that no record was changed or taken away",
    options: [platformOption],
    async run({ client, options, out }) {
      const verdict = await client.call({ path: `${auditPath(options)}/verify` });
      out.record(verdict);
      if (verdict.ok !== true) throw new CommandError("The audit has been tampered with");
    },
  },
  {
    name: "export",
    summary: "write the records to standard output, oldest first",
    options: [
      ...filterOptions,
      platformOption,
      { flags: "--format <format>", summary: "csv unless given", choices: ["csv", "ndjson"] },
    ],
    async run({ client, options, out }) {
      const query = listQuery(options, [...filters, "format"]);
      const headers = { accept: "*/*" };
      const { body } = await client.open({
        path: `${auditPath(options)}/export`,
        query,
        headers,
      });
      // A bar would be torn by what is exported if both went to the same terminal.
      const progress = out.isTerminal ? null : out.progress("Exported bytes:", null);
      let bytes = 0;
      try {
        for await (const chunk of body ?? []) {
          await out.raw(chunk);
          bytes += chunk.length;
          progress?.update(bytes);
        }
      } finally {
        progress?.end();
      }
    },
  },
];
