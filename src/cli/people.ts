import { CommandError } from "./errors.ts";
import { list, listQuery, pageOptions, yesOrNo } from "./options.ts";
import { type Resource, resourceCommands } from "./resource.ts";
import type { Column } from "./table.ts";
import type { CommandSpec } from "./types.ts";

const tenants: Resource = {
  one: "tenant",
  path: "/tenants",
  verbs: ["list", "create", "get", "update", "delete"],
  columns: [
    { title: "Id", value: "id" },
    { title: "Slug", value: "slug" },
    { title: "Name", value: "name" },
    { title: "Isolation", value: "isolation" },
    { title: "Active", value: "active" },
    { title: "Made", value: "createdAt" },
  ],
  fields: [
    { flags: "--name <name>", member: "name", summary: "name of the tenant" },
    { flags: "--slug <slug>", member: "slug", summary: "its short name in addresses" },
    {
      flags: "--isolation <kind>",
      member: "isolation",
      summary: "rows of its own, or PostgreSQL schemas of its own",
      choices: ["shared", "dedicated"],
      isChangeable: false,
    },
    {
      flags: "--active <yes/no>",
      member: "active",
      summary: "no locks everyone out",
      parse: yesOrNo,
    },
  ],
};

const members: Resource = {
  one: "member",
  path: "/members",
  verbs: ["list", "update", "delete"],
  filters: [
    { flags: "--role <role>", member: "role", summary: "only those with this role" },
    { flags: "--active <yes/no>", member: "active", summary: "only active ones", parse: yesOrNo },
  ],
  columns: [
    { title: "Id", value: "id" },
    { title: "E-mail", value: "email" },
    { title: "Name", value: "name" },
    { title: "Role", value: "role" },
    { title: "Active", value: "active" },
    { title: "Since", value: "createdAt" },
  ],
  fields: [
    { flags: "--role <role>", member: "role", summary: "tenant_admin, user or one of your own" },
    {
      flags: "--active <yes/no>",
      member: "active",
      summary: "no locks the person out",
      parse: yesOrNo,
    },
  ],
};

const invite: CommandSpec = {
  name: "invite <email>",
  summary: "invite a person into the tenant",
  options: [{ flags: "--role <role>", summary: "what they may do", default: "user" }],
  async run({ client, args, options, out }) {
    const body = { email: args[0], role: options.role };
    out.record(await client.call({ method: "POST", path: "/invitations", body, isCreation: true }));
    out.note("The invitation's token is shown only now: hand it on.");
  },
};

const apiKeys: Resource = {
  one: "API key",
  path: "/api-keys",
  verbs: ["list", "get", "delete"],
  columns: [
    { title: "Id", value: "id" },
    { title: "Name", value: "name" },
    { title: "Ends in", value: "lastFour" },
    { title: "Permissions", value: "permissions" },
    { title: "Last used", value: "lastUsedAt" },
    { title: "Expires", value: "expiresAt" },
  ],
  fields: [],
};

const createApiKey: CommandSpec = {
  name: "create <name>",
  summary: "make an API key; it is shown once",
  options: [
    {
      flags: "--permissions <names>",
      summary: "what it may do, by commas: shop:read,order:create:own",
      parse: list,
      required: true,
    },
    { flags: "--expires-at <time>", summary: "when it ends: 2027-01-01T00:00:00Z" },
  ],
  async run({ client, args, options, out }) {
    const { permissions, expiresAt } = options;
    const body = { name: args[0], permissions, ...(expiresAt ? { expiresAt } : {}) };
    out.record(await client.call({ method: "POST", path: "/api-keys", body, isCreation: true }));
    out.note("The key is shown only now: keep it, or make another.");
  },
};

export const tenantCommands: readonly CommandSpec[] = resourceCommands(tenants);
export const memberCommands: readonly CommandSpec[] = [...resourceCommands(members), invite];
export const apiKeyCommands: readonly CommandSpec[] = [...resourceCommands(apiKeys), createApiKey];

const auditColumns: readonly Column[] = [
  { title: "No", value: "seq" },
  { title: "At", value: "at" },
  { title: "Who", value: ({ actor }) => (actor as { name?: string } | null)?.name },
  { title: "Action", value: "action" },
  {
    title: "What",
    value: ({ resource }) => {
      const { type, id } = (resource ?? {}) as { type?: string; id?: string };
      return `${type} ${id}`;
    },
  },
  { title: "Request", value: "requestId" },
];

const auditFilters = ["actor", "action", "resourceType", "resourceId", "from", "to"];

const auditOptions = [
  { flags: "--actor <id>", summary: "a user's or API key's id" },
  { flags: "--action <action>", summary: 'one action, or all of a kind: "shop.*"' },
  { flags: "--resource-type <type>", summary: "what was changed: shop" },
  { flags: "--resource-id <id>", summary: "which one" },
  { flags: "--from <time>", summary: "from this time on: 2026-11-20T00:00:00Z" },
  { flags: "--to <time>", summary: "before this time" },
];

export const auditCommands: readonly CommandSpec[] = [
  {
    name: "list",
    summary: "who did what, newest first",
    options: [...auditOptions, ...pageOptions],
    async run({ client, options, out }) {
      const query = listQuery(options, auditFilters);
      out.page(auditColumns, await client.list({ path: "/audit", query }, { all: !!options.all }));
    },
  },
  {
    name: "verify",
    summary: "check that no record was changed or taken away",
    async run({ client, out }) {
      const verdict = await client.call({ path: "/audit/verify" });
      out.record(verdict);
      if (verdict.ok !== true) throw new CommandError("The audit has been tampered with");
    },
  },
  {
    name: "export",
    summary: "write the records to standard output, as the server streams them",
    options: [
      ...auditOptions,
      { flags: "--format <format>", summary: "form", choices: ["ndjson", "csv"] },
    ],
    async run({ client, options, out }) {
      const query = listQuery(options, [...auditFilters, "format"]);
      const headers = { accept: "*/*" };
      const { body } = await client.open({ path: "/audit/export", query, headers });
      const progress = out.progress("Exporting, bytes:", null);
      let bytes = 0;
      for await (const chunk of body ?? []) {
        await out.raw(chunk);
        bytes += chunk.length;
        if (!out.isTerminal) progress.update(bytes);
      }
      progress.end();
    },
  },
];
