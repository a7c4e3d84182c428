import { audit } from "../audit/audit.ts";
import { type Clock, isoNow } from "../clock.ts";
import type { Db, Transaction, Tx } from "../db/types.ts";
import type { Problem } from "../errors.ts";
import type { Random } from "../random.ts";
import type { Sealer } from "../secrets/seal.ts";
import { identityErrors } from "./errors.ts";
import type { Passwords } from "./passwords.ts";
import { totpContext } from "./seal-contexts.ts";
import { type Attempt, orForgive, type Throttle } from "./throttle.ts";
import {
  base32,
  matchTotp,
  newRecoveryCodes,
  newTotpSecret,
  otpauthUrl,
  recoveryCodeHash,
} from "./totp.ts";
import type { Client, Principal } from "./types.ts";
import * as users from "./user-store.ts";
import type { UserRow } from "./user-store.ts";

export interface SecondFactorDeps {
  clock: Clock;
  random: Random;
  sealer: Sealer;
}

export interface Enrollment {
  /** Base32, for people who type it. */
  secret: string;
  otpauthUrl: string;
}

/**
 * Begins to set up a second factor; nothing changes at sign-in until a code confirms it. Beginning
 * again replaces the secret. Throws ERR_IDENTITY_TOTP_ENABLED when there is one already.
 */
export async function enrollTotp(
  tx: Tx,
  deps: SecondFactorDeps,
  { userId }: { userId: string },
): Promise<Enrollment> {
  const user = await users.lockUser(tx, userId);
  if (!user) throw identityErrors.users_only();
  if (user.totpSecret) throw identityErrors.totp_enabled();
  const secret = newTotpSecret(deps.random);
  const sealed = deps.sealer.seal(secret, totpContext(userId));
  await users.setPendingTotp(tx, { id: userId, sealed, now: isoNow(deps.clock) });
  audit(tx, { action: "totp.enroll", resource: { type: "user", id: userId } });
  return { secret: base32(secret), otpauthUrl: otpauthUrl(secret, user.email) };
}

/**
 * Runs work in which somebody signed in shows a code or the password: a stolen access token is no
 * way to guess. Counts before and together with sign-ins; only a wrong guess stays counted, for
 * which `work` must forgive the attempt or let it succeed. Throws ERR_IDENTITY_TOO_MANY_ATTEMPTS.
 */
export async function countGuess<T>(
  { throttle }: { throttle: Throttle },
  { principal, client }: { principal: Principal; client: Client },
  work: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const attempt = await throttle.begin(principal.actor.name, client.address);
  const wrong = [identityErrors.wrong_code, identityErrors.wrong_password];
  return orForgive(throttle, attempt, () => work(attempt), wrong);
}

/**
 * Turns the second factor on with a first code, and answers the recovery codes, which nobody sees
 * again. The code proves the app and not the person, so it takes back no failure but its own
 * attempt. Throws ERR_IDENTITY_TOTP_NOT_ENROLLED or ERR_IDENTITY_WRONG_CODE.
 */
export async function confirmTotp(
  tx: Tx,
  deps: SecondFactorDeps & { throttle: Throttle },
  { userId, code, attempt }: { userId: string; code: string; attempt: Attempt },
): Promise<{ recoveryCodes: string[] }> {
  const user = await users.lockUser(tx, userId);
  if (user?.totpSecret) throw identityErrors.totp_enabled();
  if (!user?.totpPending) throw identityErrors.totp_not_enrolled();
  const secret = deps.sealer.open(user.totpPending, totpContext(userId));
  const step = matchTotp(secret, code, deps.clock.nowMs(), user.totpLastStep);
  if (step === null) throw wrongCode();
  await users.activateTotp(tx, { id: userId, step, now: isoNow(deps.clock) });
  const recoveryCodes = newRecoveryCodes(deps.random);
  const hashes = recoveryCodes.map((one) => recoveryCodeHash(one) as Buffer);
  await users.replaceRecoveryCodes(tx, userId, hashes);
  await deps.throttle.forgive(attempt, tx);
  audit(tx, { action: "totp.confirm", resource: { type: "user", id: userId } });
  return { recoveryCodes };
}

/**
 * Whether `code` is the user's second factor at this moment: a code of the app, or a recovery code.
 * Either is used up by it, also when two requests bring the same one at once.
 */
export async function useSecondFactor(
  tx: Transaction,
  deps: Pick<SecondFactorDeps, "clock" | "sealer">,
  user: UserRow,
  code: string,
): Promise<boolean> {
  if (!user.totpSecret) return false;
  const recovery = recoveryCodeHash(code);
  if (recovery) return users.useRecoveryCode(tx, user.id, recovery);
  const secret = deps.sealer.open(user.totpSecret, totpContext(user.id));
  const step = matchTotp(secret, code.trim(), deps.clock.nowMs(), user.totpLastStep);
  return step !== null && users.useTotpStep(tx, user.id, step);
}

export interface DisableTotpDeps extends SecondFactorDeps {
  db: Db;
  passwords: Passwords;
  throttle: Throttle;
}

/**
 * Turns the second factor off, for somebody who shows the password or a code: a stolen access token
 * is not enough. Throws ERR_IDENTITY_WRONG_PASSWORD or ERR_IDENTITY_WRONG_CODE, and
 * ERR_IDENTITY_TOO_MANY_ATTEMPTS as signing in does.
 */
export async function disableTotp(
  deps: DisableTotpDeps,
  input: {
    principal: Principal;
    client: Client;
    password?: string | undefined;
    code?: string | undefined;
  },
): Promise<void> {
  const { principal, client, password, code } = input;
  const { id: userId } = principal.actor;
  await countGuess(deps, { principal, client }, async (attempt) => {
    const knows = password !== undefined && (await assertOwnPassword(deps, userId, password));
    const work = async (tx: Tx) => {
      const user = await users.lockUser(tx, userId);
      if (!user?.totpSecret) throw identityErrors.totp_not_enrolled();
      if (!knows && !(await useSecondFactor(tx, deps, user, code ?? ""))) throw wrongCode();
      await users.clearTotp(tx, userId, isoNow(deps.clock));
      await deps.throttle.succeed(tx, attempt);
      audit(tx, { action: "totp.disable", resource: { type: "user", id: userId } });
    };
    const on = { actor: principal.actor, requestId: client.requestId };
    await deps.db.inTenant(principal.tenant, work, on);
  });
}

/** Outside of any transaction: no connection is held while a hash waits for its turn. */
async function assertOwnPassword(
  { db, passwords }: Pick<DisableTotpDeps, "db" | "passwords">,
  userId: string,
  password: string,
): Promise<true> {
  const user = await db.inPlatform((tx) => users.findUser(tx, userId));
  const { ok } = await passwords.verify(password, user?.passwordHash ?? null);
  if (ok) return true;
  throw identityErrors.wrong_password({ errors: [{ path: "/password", message: "is wrong" }] });
}

function wrongCode(): Problem {
  const errors = [{ path: "/code", message: "is wrong or was used before" }];
  return identityErrors.wrong_code({ errors });
}
