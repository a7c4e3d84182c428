import { list, listQuery, pageOptions, yesOrNo } from "./options.ts";
import { type Resource, resourceCommands } from "./resource.ts";
import { briefly } from "./text.ts";
import type { CommandSpec } from "./types.ts";

const members: Resource = {
  one: "member",
  path: "/members",
  verbs: ["list", "get", "update", "delete"],
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

export const memberCommands: readonly CommandSpec[] = resourceCommands(members);

const invitations: Resource = {
  one: "invitation",
  path: "/invitations",
  verbs: ["list", "delete"],
  columns: [
    { title: "Id", value: "id" },
    { title: "E-mail", value: "email" },
    { title: "Role", value: "role" },
    { title: "Made", value: "createdAt" },
    { title: "Expires", value: "expiresAt" },
  ],
  fields: [],
};

export const invitationCommands: readonly CommandSpec[] = [
  ...resourceCommands(invitations),
  {
    name: "create <email>",
    summary: "invite a person into the tenant",
    options: [{ flags: "--role <role>", summary: "what they may do", default: "user" }],
    async run({ client, args, options, out }) {
      const body = { email: args[0], role: options.role };
      const at = "/invitations";
      out.record(await client.call({ method: "POST", path: at, body, isCreation: true }));
      out.note("The token is shown only now: hand it on to the person you invite.");
    },
  },
  {
    name: "accept <token>",
    summary: "join the tenant that invited you, with the account you have",
    async run({ client, args, out }) {
      const body = { invitation: args[0] };
      out.record(await client.call({ method: "POST", path: "/invitations/accept", body }));
      out.note("Go there with: plimsoll switch-tenant <slug>");
    },
  },
];

const roles: Resource = {
  one: "role",
  path: "/roles",
  key: "name",
  verbs: ["list", "create", "get", "update", "delete"],
  columns: [
    { title: "Name", value: "name" },
    { title: "Title", value: "title" },
    { title: "Permissions", value: ({ permissions }) => briefly(permissions) },
  ],
  fields: [
    {
      flags: "--name <name>",
      member: "name",
      summary: "lower-case letters, digits and _",
      isNeeded: true,
      isChangeable: false,
    },
    { flags: "--title <title>", member: "title", summary: "for people", isNeeded: true },
    {
      flags: "--permissions <names>",
      member: "permissions",
      summary: "by commas: order:read,order:confirm:own",
      parse: list,
      isNeeded: true,
    },
  ],
};

export const roleCommands: readonly CommandSpec[] = resourceCommands(roles);

export const sessionCommands: readonly CommandSpec[] = [
  {
    name: "list",
    summary: "where you are signed in",
    options: pageOptions,
    async run({ client, options, out }) {
      const call = { path: "/auth/sessions", query: listQuery(options) };
      const columns = [
        { title: "Id", value: "id" },
        { title: "This one", value: "current" },
        { title: "Method", value: "method" },
        { title: "Address", value: "address" },
        { title: "Last used", value: "lastUsedAt" },
        { title: "With", value: "userAgent" },
      ];
      out.page(columns, await client.list(call, { all: options.all === true }));
    },
  },
  ...resourceCommands({
    one: "session",
    path: "/auth/sessions",
    verbs: ["delete"],
    columns: [],
    fields: [],
  }),
];
