import { isoNow } from "../clock.ts";
import type { PlatformTx } from "../db/types.ts";
import type { AccountDeps } from "./accounts.ts";
import { emailTaken, normalEmail } from "./emails.ts";
import { useInvitation } from "./invitations.ts";
import { type Answered, answerOnce, type Repeat } from "./kept-answers.ts";
import { insertMembership } from "./member-store.ts";
import { auditNewMember } from "./members.ts";
import { assertPassword } from "./passwords.ts";
import { openSession, type Standing } from "./sessions.ts";
import { createTenant } from "./tenants.ts";
import { orForgive } from "./throttle.ts";
import type { Client, SignedIn } from "./types.ts";
import * as users from "./user-store.ts";
import type { UserRow } from "./user-store.ts";

export interface Registration {
  email: string;
  password: string;
  name: string;
  /** Either a new tenant, of which the person becomes tenant admin… */
  tenant?: { name: string; slug?: string | undefined } | undefined;
  /** …or the token of an invitation for this e-mail address. */
  invitation?: string | undefined;
}

/**
 * Makes an account and signs it in. Throws ERR_IDENTITY_EMAIL_TAKEN, also when an invitation is for
 * somebody who has an account: they sign in with it, so that an invitation, which others may have
 * read, never replaces a password.
 *
 * With `repeat` it may be sent again: keys are each e-mail address's own, and the first answer,
 * tokens and all, is only for who still knows the account's password and needs no second factor.
 */
export async function register(
  deps: AccountDeps,
  input: { registration: Registration; client: Client; repeat?: Repeat | null },
): Promise<Answered<SignedIn>> {
  const { registration, client, repeat = null } = input;
  const email = normalEmail(registration.email);
  const { password } = registration;
  assertPassword(password);
  const passwordHash = await deps.passwords.hash(password);
  const prove = () => knowsPassword(deps, { email, password, client });
  return answerOnce(deps, { caller: `register:${email}`, repeat, prove }, async (tx) => {
    const name = registration.name.trim();
    const made = { id: deps.random.id(), email, name, passwordHash, platformAdmin: false };
    const user = await users.insertUser(tx, { ...made, now: isoNow(deps.clock) });
    if (!user) throw emailTaken();
    const standing =
      registration.invitation === undefined
        ? await foundTenant(tx, deps, { user, tenant: registration.tenant ?? { name }, client })
        : await useInvitation(tx, deps, { user, token: registration.invitation, client });
    return openSession(tx, deps, { user, standing, method: "registration", client });
  });
}

/** Throttled as signing in is: a known key is no way to guess. */
async function knowsPassword(
  deps: AccountDeps,
  { email, password, client }: { email: string; password: string; client: Client },
): Promise<boolean> {
  const attempt = await deps.throttle.begin(email, client.address);
  const { ok } = await orForgive(deps.throttle, attempt, async () => {
    const user = await deps.db.inPlatform((tx) => users.findUserByEmail(tx, email));
    const hash = user?.active && !user.totpSecret ? user.passwordHash : null;
    return deps.passwords.verify(password, hash);
  });
  if (ok) await deps.throttle.forgive(attempt);
  return ok;
}

async function foundTenant(
  tx: PlatformTx,
  deps: AccountDeps,
  input: { user: UserRow; tenant: { name: string; slug?: string | undefined }; client: Client },
): Promise<Standing> {
  const { user, client } = input;
  const id = deps.random.id();
  const actor = { kind: "user" as const, id: user.id, userId: user.id, name: user.email };
  const on = { actor, requestId: client.requestId };
  const inTenant = await tx.enterTenant({ id, isolation: "shared" }, on);
  const tenant = await createTenant(inTenant, deps, {
    id,
    ...input.tenant,
    isolation: "shared",
    slugPath: "/tenant/slug",
  });
  const role = "tenant_admin";
  await insertMembership(inTenant, { userId: user.id, role, now: isoNow(deps.clock) });
  auditNewMember(inTenant, user, { role, by: "registration" });
  return { tenant, role };
}
