import { isoNow } from "../clock.ts";
import { audit } from "../audit/audit.ts";
import type { PlatformTx, Tx } from "../db/types.ts";
import type { Problem } from "../errors.ts";
import type { Sealer } from "../secrets/seal.ts";
import { systemActor } from "../tenancy/types.ts";
import { comparableEmail } from "./emails.ts";
import { identityErrors } from "./errors.ts";
import { useInvitation } from "./invitations.ts";
import { assertPassword, isSamePassword, type Passwords, type Verdict } from "./passwords.ts";
import { useSecondFactor } from "./second-factor.ts";
import { findStanding, openSession, type SessionDeps } from "./sessions.ts";
import { revokeSessions } from "./session-store.ts";
import type { Provision } from "./tenants.ts";
import { type Attempt, orForgive, type Throttle } from "./throttle.ts";
import type { Client, Principal, SignedIn } from "./types.ts";
import * as users from "./user-store.ts";
import type { UserRow } from "./user-store.ts";

export interface AccountDeps extends SessionDeps {
  passwords: Passwords;
  throttle: Throttle;
  sealer: Sealer;
  provision?: Provision;
}

export interface Login {
  email: string;
  password: string;
  /** A code of the authenticator app, or a recovery code. */
  totp?: string | undefined;
  /** Slug or id. */
  tenant?: string | undefined;
  /** The token of an invitation, to become a member by it and start there. */
  invitation?: string | undefined;
}

/**
 * Signs in. An unknown address, a wrong password and a deactivated account get the same answer, and
 * as far as it can be had the same time: each hashes once and commits once. That the account needs
 * a second factor is said only to whoever knows the password.
 */
export async function login(
  deps: AccountDeps,
  { credentials, client }: { credentials: Login; client: Client },
): Promise<SignedIn> {
  const email = comparableEmail(credentials.email);
  const attempt = await deps.throttle.begin(email, client.address);
  const outcome = await orForgive(deps.throttle, attempt, async () => {
    const found = await deps.db.inPlatform((tx) => users.findUserByEmail(tx, email));
    const hash = found?.active ? found.passwordHash : null;
    const verdict = await deps.passwords.verify(credentials.password, hash);
    return deps.db.inPlatform((tx) =>
      decide(tx, deps, { found, verdict, credentials, attempt, client }),
    );
  });
  if ("accessToken" in outcome) return outcome;
  if (outcome.provesNothing) await deps.throttle.forgive(attempt);
  throw outcome.problem;
}

interface Refusal {
  problem: Problem;
  /** The password was right, so the attempt is no guess. */
  provesNothing: boolean;
}

const nobody = "00000000-0000-0000-0000-000000000000";

async function decide(
  tx: PlatformTx,
  deps: AccountDeps,
  input: {
    found: UserRow | null;
    verdict: Verdict;
    credentials: Login;
    attempt: Attempt;
    client: Client;
  },
): Promise<SignedIn | Refusal> {
  const { found, verdict, credentials, attempt, client } = input;
  const user = await users.lockUser(tx, found?.id ?? nobody);
  const isSame = user?.active && user.passwordHash === found?.passwordHash;
  if (!user || !isSame || !verdict.ok) {
    await recordFailure(tx, deps, { user, attempt, client, why: "password" });
    return { problem: identityErrors.invalid_credentials(), provesNothing: false };
  }
  if (user.totpSecret && credentials.totp === undefined) {
    return { problem: identityErrors.totp_required(), provesNothing: true };
  }
  if (user.totpSecret && !(await useSecondFactor(tx, deps, user, credentials.totp ?? ""))) {
    await recordFailure(tx, deps, { user, attempt, client, why: "second factor" });
    return { problem: identityErrors.totp_invalid(), provesNothing: false };
  }
  const { invitation, tenant } = credentials;
  const standing =
    invitation === undefined
      ? await findStanding(tx, user, tenant)
      : await useInvitation(tx, deps, { user, token: invitation, client });
  if (!standing) return { problem: identityErrors.no_tenant(), provesNothing: true };
  if (verdict.upgraded) {
    const change = { id: user.id, from: user.passwordHash, to: verdict.upgraded };
    await users.replacePasswordHash(tx, { ...change, now: isoNow(deps.clock) });
  }
  await deps.throttle.succeed(tx, attempt);
  return openSession(tx, deps, { user, standing, method: "password", client });
}

/** A known account's failure goes to the audit of the tenant where its owner was last. */
async function recordFailure(
  tx: PlatformTx,
  deps: AccountDeps,
  failure: { user: UserRow | null; attempt: Attempt; client: Client; why: string },
): Promise<void> {
  const { user, attempt, client, why } = failure;
  deps.throttle.fail(tx, attempt);
  if (!user?.lastTenant) return;
  const actor = systemActor("auth.login");
  const tenant = { id: user.lastTenant, isolation: "shared" as const };
  const inTenant = await tx.enterTenant(tenant, { actor, requestId: client.requestId });
  audit(inTenant, {
    action: "auth.login_failed",
    resource: { type: "user", id: user.id },
    after: { why, address: client.address, userAgent: client.userAgent.slice(0, 300) },
  });
}

/** The person behind a request; an API key is not one. Throws ERR_IDENTITY_USERS_ONLY. */
export function assertPerson(principal: Principal): { userId: string; sessionId: string } {
  const { actor, sessionId } = principal;
  if (actor.kind !== "user" || sessionId === undefined) throw identityErrors.users_only();
  return { userId: actor.id, sessionId };
}

/**
 * Changes one's own password and ends one's other sessions. Throws ERR_IDENTITY_SAME_PASSWORD, or
 * ERR_IDENTITY_WRONG_PASSWORD, and is throttled as signing in is: a stolen access token is no way
 * to guess.
 */
export async function changePassword(
  deps: AccountDeps,
  change: {
    principal: Principal;
    client: Client;
    currentPassword: string;
    newPassword: string;
  },
): Promise<void> {
  const { principal, client, currentPassword, newPassword } = change;
  const { userId, sessionId } = assertPerson(principal);
  assertPassword(newPassword, "/newPassword");
  if (isSamePassword(newPassword, currentPassword)) throw samePassword();
  const email = principal.actor.name;
  const attempt = await deps.throttle.begin(email, client.address);
  const checked = await orForgive(deps.throttle, attempt, async () => {
    const user = await deps.db.inPlatform((tx) => users.findUser(tx, userId));
    const { ok } = await deps.passwords.verify(currentPassword, user?.passwordHash ?? null);
    return ok && user
      ? { from: user.passwordHash, to: await deps.passwords.hash(newPassword) }
      : null;
  });
  if (!checked) throw wrongPassword();
  const work = async (tx: Tx) => {
    const now = isoNow(deps.clock);
    if (!(await users.replacePasswordHash(tx, { id: userId, ...checked, now }))) {
      throw wrongPassword();
    }
    const because = "password changed";
    const ended = await revokeSessions(tx, { userId, except: sessionId, because, now });
    await deps.throttle.succeed(tx, attempt);
    audit(tx, {
      action: "user.change_password",
      resource: { type: "user", id: userId },
      after: { otherSessionsEnded: ended },
    });
    tx.afterCommit(() => deps.revocations.announce({ userId }));
  };
  const on = { actor: principal.actor, requestId: client.requestId };
  await deps.db.inTenant(principal.tenant, work, on);
}

function samePassword(): Problem {
  const errors = [{ path: "/newPassword", message: "must be another one than the current one" }];
  return identityErrors.same_password({ errors });
}

function wrongPassword(): Problem {
  return identityErrors.wrong_password({
    errors: [{ path: "/currentPassword", message: "is wrong" }],
  });
}
