import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ApiError, CommandError } from "./errors.ts";
import { passwordStdin, textOf } from "./options.ts";
import { ask, optionOrAsk, readPassword } from "./prompt.ts";
import type { SignedIn } from "./session.ts";
import type { CommandSpec, Invocation } from "./types.ts";

export const register: CommandSpec = {
  name: "register",
  summary: "make an account, with a new tenant or by invitation",
  options: [
    { flags: "--email <address>", summary: "e-mail address" },
    { flags: "--name <name>", summary: "your name" },
    { flags: "--tenant <name>", summary: "name of the tenant to make" },
    { flags: "--slug <slug>", summary: "its short name in addresses" },
    { flags: "--invitation <token>", summary: "join the tenant that invited you instead" },
    passwordStdin,
  ],
  async run(invocation) {
    const { client, options, out, surroundings } = invocation;
    const email = await optionOrAsk(invocation, "email", "E-mail address");
    const name = await optionOrAsk(invocation, "name", "Your name");
    const invitation = textOf(options, "invitation");
    const place = invitation
      ? { invitation }
      : {
          tenant: {
            name: await optionOrAsk(invocation, "tenant", "Name of your tenant"),
            ...(options.slug === undefined ? {} : { slug: options.slug }),
          },
        };
    const fromStdin = options.passwordStdin === true;
    const password = await readPassword(surroundings, { fromStdin, isNew: true });
    const answer = await client.call<SignedIn>({
      method: "POST",
      path: "/auth/register",
      body: { email, name, password, ...place },
      isAnonymous: true,
      isCreation: true,
    });
    await client.session.begin(answer);
    showSignedIn(out, answer);
  },
};

export const login: CommandSpec = {
  name: "login",
  summary: "sign in, and stay signed in on this machine",
  options: [
    { flags: "--email <address>", summary: "e-mail address" },
    { flags: "--tenant <slug>", summary: "the tenant, if you belong to several" },
    { flags: "--totp <code>", summary: "code of the second factor, or a recovery code" },
    { flags: "--demo", summary: "as the demo user of a server started in this folder" },
    passwordStdin,
  ],
  async run(invocation) {
    const { client, options, out, surroundings } = invocation;
    const body = options.demo ? await demoAccess(surroundings.env) : await askAccess(invocation);
    const signIn = (totp: string | undefined) =>
      client.call<SignedIn>({
        method: "POST",
        path: "/auth/login",
        body: totp === undefined ? body : { ...body, totp },
        isAnonymous: true,
      });
    const answer = await signIn(textOf(options, "totp")).catch(async (error) => {
      const isAsked = error instanceof ApiError && error.problem.code === secondFactorCode;
      if (!isAsked || options.totp !== undefined) throw error;
      return signIn(await ask(surroundings, "Code of the second factor", { instead: "--totp" }));
    });
    await client.session.begin(answer);
    showSignedIn(out, answer);
  },
};

const secondFactorCode = "ERR_IDENTITY_TOTP_REQUIRED";

async function askAccess(invocation: Invocation): Promise<Record<string, string>> {
  const { options, surroundings } = invocation;
  const email = await optionOrAsk(invocation, "email", "E-mail address");
  const fromStdin = options.passwordStdin === true;
  const password = await readPassword(surroundings, { fromStdin });
  const tenant = textOf(options, "tenant");
  return { email, password, ...(tenant ? { tenant } : {}) };
}

async function demoAccess(
  env: Readonly<Record<string, string | undefined>>,
): Promise<Record<string, string>> {
  const file = join(env.PLIMSOLL_DATA_DIR ?? ".plimsoll", "demo.json");
  try {
    const { email, password, tenant } = JSON.parse(await readFile(file, "utf8"));
    return { email, password, tenant };
  } catch {
    throw new CommandError(
      `There is no demo access in ${file}`,
      "Start a server here with `npm start`, or go to the folder where one was started.",
    );
  }
}

function showSignedIn(out: Invocation["out"], { user, tenant }: SignedIn): void {
  const { id, slug, name } = tenant;
  out.result({ user, tenant: { id, slug, name } }, () =>
    out.success(`Signed in as ${user.email} in ${name} (${slug})`),
  );
}

export const logout: CommandSpec = {
  name: "logout",
  summary: "sign out on this machine",
  async run({ client, out }) {
    const { refreshToken } = (await client.session.end()) ?? {};
    if (refreshToken === undefined) {
      return out.result({ signedOut: false }, () => out.note("Nobody was signed in."));
    }
    let isToldServer = true;
    await client
      .call({ method: "POST", path: "/auth/logout", body: { refreshToken }, isAnonymous: true })
      .catch((error) => {
        if (!(error instanceof ApiError || error instanceof CommandError)) throw error;
        isToldServer = false;
      });
    out.result({ signedOut: true, isToldServer }, () => {
      out.success("Signed out");
      if (!isToldServer)
        out.note("The server could not be told; the session there ends by itself.");
    });
  },
};

export const whoami: CommandSpec = {
  name: "whoami",
  summary: "show who is signed in, and where",
  async run({ client, out }) {
    const me = await client.call({ path: "/auth/me" });
    out.record({ api: client.api, ...me });
  },
};

export const switchTenant: CommandSpec = {
  name: "switch-tenant <slug>",
  summary: "go on in another tenant that you belong to",
  async run({ client, args, out }) {
    const tenant = args[0];
    const answer = await client.call<SignedIn>({
      method: "POST",
      path: "/auth/switch-tenant",
      body: { tenant },
    });
    await client.session.begin(answer);
    showSignedIn(out, answer);
  },
};
