import { CommandError } from "./errors.ts";
import { yesOrNo } from "./options.ts";
import { ask } from "./prompt.ts";
import { type Resource, resourceCommands } from "./resource.ts";
import { path } from "./transport.ts";
import type { CommandSpec, Invocation } from "./types.ts";

const tenants: Resource = {
  one: "tenant",
  path: "/tenants",
  columns: [
    { title: "Id", value: "id" },
    { title: "Slug", value: "slug" },
    { title: "Name", value: "name" },
    { title: "Isolation", value: "isolation" },
    { title: "Active", value: "active" },
    { title: "Made", value: "createdAt" },
  ],
  fields: [
    { flags: "--name <name>", member: "name", summary: "name of the tenant", isNeeded: true },
    { flags: "--slug <slug>", member: "slug", summary: "its short name in addresses" },
    {
      flags: "--isolation <kind>",
      member: "isolation",
      summary: "rows beside other tenants', or PostgreSQL schemas of its own",
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

export const tenantCommands: readonly CommandSpec[] = resourceCommands(tenants).map((command) =>
  command.name.startsWith("delete ")
    ? {
        ...command,
        summary: "delete a tenant for good, and erase all that it has",
        help:
          "At a terminal it asks for the tenant's slug first. " +
          "To lock everybody out and keep what it has: update <id> --active no",
        async run(invocation) {
          await assertMeant(invocation);
          await command.run?.(invocation);
        },
      }
    : command,
);

/** Asks the person at the terminal, if there is one, for what only somebody who looked knows. */
async function assertMeant({ client, args: [id = ""], surroundings }: Invocation): Promise<void> {
  if (!surroundings.stdin.isTTY || !surroundings.stderr.isTTY) return;
  const { slug } = await client.call<{ slug: string }>({ path: path`/tenants/${id}` });
  const question = `This erases ${slug} for good. Its slug, to go on`;
  if ((await ask(surroundings, question, { instead: "a terminal" })).trim() === slug) return;
  throw new CommandError("That is not its slug", "Nothing was deleted.");
}

interface Settings {
  settings: Record<string, unknown>;
}

const settingsPath = "/tenant/settings";

/** A setting's value: JSON where it is JSON, else the text itself. */
function settingValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: a plain text, as most settings are.
    return text;
  }
}

export const settingCommands: readonly CommandSpec[] = [
  {
    name: "list",
    summary: "the tenant's settings; secrets by their last characters",
    async run({ client, out }) {
      const answer = await client.call<Settings>({ path: settingsPath });
      out.result(answer, () => out.record(answer.settings));
    },
  },
  {
    name: "set <name> <value>",
    summary: "change one setting; null takes it back to its default",
    async run({ client, args: [name = "", text = ""], out }) {
      const response = await client.open({ path: settingsPath });
      const { settings } = (await response.json()) as Settings;
      if (!(name in settings)) {
        const known = Object.keys(settings).join(", ");
        throw new CommandError(`There is no setting ${name}`, `There are: ${known}`);
      }
      const value = settingValue(text);
      const kept = Object.entries(settings).filter(
        ([other, current]) => other !== name && current !== null,
      );
      const answer = await client.call<Settings>({
        method: "PUT",
        path: settingsPath,
        body: { settings: { ...Object.fromEntries(kept), [name]: value } },
        headers: { "if-match": response.headers.get("etag") ?? "*" },
      });
      out.result(answer, () => out.success(`Changed ${name}`));
    },
  },
];
