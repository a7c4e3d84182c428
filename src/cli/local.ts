import { CommandError } from "./errors.ts";
import { textOf } from "./options.ts";
import { ask, readPassword } from "./prompt.ts";
import { startQuietly } from "./quiet-server.ts";
import type { CommandSpec, Invocation, OptionSpec } from "./types.ts";

const serveOptions: readonly OptionSpec[] = [
  { flags: "--services <names>", summary: "only these services, by commas" },
  {
    flags: "--role <role>",
    summary: "what this process does; all unless given",
    choices: ["api", "worker", "all"],
  },
];

export const serve: CommandSpec = {
  name: "serve",
  summary: "run the server",
  options: serveOptions,
  async run({ options }) {
    const main = await import("../main.ts");
    const argv = ["services", "role"].flatMap((name) => {
      const value = textOf(options, name);
      return value === undefined ? [] : [`--${name}`, value];
    });
    await main.serve(argv).catch((error) => {
      throw new CommandError(`Plimsoll could not start.\n${main.explain(error)}`);
    });
  },
};

const adminOptions: readonly OptionSpec[] = [
  { flags: "--email <address>", summary: "e-mail address" },
  { flags: "--name <name>", summary: "the person's name", default: "Administrator" },
  { flags: "--tenant-slug <slug>", summary: "the admin's tenant", default: "operations" },
  { flags: "--tenant-name <name>", summary: "its name, if it is made", default: "Operations" },
  { flags: "--reset-password", summary: "set the password of a person who exists" },
  { flags: "--password-stdin", summary: "read the password from standard input" },
];

export const adminCommands: readonly CommandSpec[] = [
  {
    name: "create",
    summary: "make a platform admin, straight in the database",
    options: adminOptions,
    async run({ options, out, surroundings }: Invocation) {
      const email =
        textOf(options, "email") ??
        (await ask(surroundings, "E-mail address", { instead: "--email" }));
      const fromStdin = options.passwordStdin === true;
      const password = await readPassword(surroundings, { fromStdin, isNew: true });
      const { createPlatformAdmin } = await import("#kernel/identity/people.ts");
      const app = await startQuietly();
      try {
        const made = await createPlatformAdmin(app.identity, {
          email,
          password,
          name: textOf(options, "name") ?? "",
          resetPassword: options.resetPassword === true,
          tenant: {
            slug: textOf(options, "tenantSlug") ?? "",
            name: textOf(options, "tenantName") ?? "",
          },
        });
        const { user, tenant, created } = made;
        const answer = { user: { id: user.id, email: user.email }, tenant: { slug: tenant.slug } };
        const did = created ? "Made the platform admin" : "Made a platform admin of";
        out.result(answer, () => out.success(`${did} ${user.email}`));
      } finally {
        await app.stop();
      }
    },
  },
];
