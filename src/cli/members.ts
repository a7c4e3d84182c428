import { list, listQuery, pageOptions, passwordStdin, yesOrNo } from "./options.ts";
import { optionOrAsk, readPassword } from "./prompt.ts";
import { type Resource, resourceCommands } from "./resource.ts";
import { briefly } from "./text.ts";
import type { CommandSpec } from "./types.ts";

const members: Resource = {
  one: "member",
  path: "/members",
  verbs: ["list", "get", "update", "delete", "history"],
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

const createMember: CommandSpec = {
  name: "create",
  summary: "make an account for a person who has none, with a first password",
  options: [
    { flags: "--email <address>", summary: "e-mail address" },
    { flags: "--name <name>", summary: "the person's name" },
    { flags: "--role <role>", summary: "what they may do", default: "user" },
    passwordStdin,
  ],
  help: "A person who has an account already, or who should choose the password, is invited.",
  async run(invocation) {
    const { client, options, out, surroundings } = invocation;
    const email = await optionOrAsk(invocation, "email", "E-mail address");
    const name = await optionOrAsk(invocation, "name", "Name");
    const fromStdin = options.passwordStdin === true;
    const password = await readPassword(surroundings, { fromStdin, isNew: true });
    const body = { email, name, password, role: options.role };
    const call = { method: "POST" as const, path: "/members", body, isCreation: true };
    const made = await client.call(call);
    out.record(made);
    out.success(`Made the member ${made.id}`);
  },
};

/** The same below members, where one looks for it, and below invitations, where it belongs. */
const invite = (verb: string): CommandSpec => ({
  name: `${verb} <email>`,
  summary: "invite a person into the tenant",
  options: [{ flags: "--role <role>", summary: "what they may do", default: "user" }],
  async run({ client, args, options, out }) {
    const body = { email: args[0], role: options.role };
    const call = { method: "POST" as const, path: "/invitations", body, isCreation: true };
    out.record(await client.call(call));
    out.note("The token is shown only now: hand it on to the person you invite.");
  },
});

export const memberCommands: readonly CommandSpec[] = [
  ...resourceCommands(members),
  createMember,
  invite("invite"),
];

const invitations: Resource = {
  one: "invitation",
  path: "/invitations",
  verbs: ["list", "get", "delete", "history"],
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
  invite("create"),
  {
    name: "accept <token>",
    summary: "join the tenant that invited you, with the account you have",
    async run({ client, args, out }) {
      const body = { invitation: args[0] };
      const at = "/invitations/accept";
      out.record(await client.call({ method: "POST", path: at, body, isCreation: true }));
      out.note("Go there with: plimsoll switch-tenant <slug>");
    },
  },
];

const roles: Resource = {
  one: "role",
  path: "/roles",
  key: "name",
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
    verbs: ["get", "delete"],
    columns: [],
    fields: [],
  }),
];
