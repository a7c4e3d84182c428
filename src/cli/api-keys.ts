import { list, textOf } from "./options.ts";
import { type Resource, resourceCommands } from "./resource.ts";
import { briefly } from "./text.ts";
import type { CommandSpec } from "./types.ts";

const apiKeys: Resource = {
  one: "API key",
  path: "/api-keys",
  verbs: ["list", "get", "delete", "history"],
  columns: [
    { title: "Id", value: "id" },
    { title: "Name", value: "name" },
    { title: "Ends in", value: "lastFour" },
    { title: "Permissions", value: ({ permissions }) => briefly(permissions) },
    { title: "Last used", value: "lastUsedAt" },
    { title: "Expires", value: "expiresAt" },
  ],
  fields: [],
};

export const apiKeyCommands: readonly CommandSpec[] = [
  ...resourceCommands(apiKeys),
  {
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
      const expiresAt = textOf(options, "expiresAt");
      const body = {
        name: args[0],
        permissions: options.permissions,
        ...(expiresAt ? { expiresAt } : {}),
      };
      out.record(await client.call({ method: "POST", path: "/api-keys", body, isCreation: true }));
      out.note("The key is shown only now: keep it, or make another.");
    },
  },
];
