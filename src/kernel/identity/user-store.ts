import type { Transaction } from "../db/types.ts";
import type { UserView } from "./types.ts";

export interface UserRow {
  id: string;
  email: string;
  name: string;
  passwordHash: string | null;
  active: boolean;
  platformAdmin: boolean;
  totpSecret: Buffer | null;
  totpPending: Buffer | null;
  totpLastStep: number;
  lastTenant: string | null;
}

const userColumns = `id, email, name, password_hash as "passwordHash", active,
  platform_admin as "platformAdmin", totp_secret as "totpSecret", totp_pending as "totpPending",
  totp_last_step as "totpLastStep", last_tenant as "lastTenant"`;

/** What others may see of a user. */
export function userView(user: UserRow): UserView {
  const { id, email, name, platformAdmin } = user;
  return { id, email, name, platformAdmin, totpEnabled: user.totpSecret !== null };
}

/** `email` in lower case, as it is stored. */
export async function findUserByEmail(tx: Transaction, email: string): Promise<UserRow | null> {
  const { rows } = await tx.query<UserRow>(
    `select ${userColumns} from platform.app_user where email = $1`,
    [email],
  );
  return rows[0] ?? null;
}

/** Locked: what is decided about the user holds until the transaction ends. */
export async function lockUser(tx: Transaction, id: string): Promise<UserRow | null> {
  const { rows } = await tx.query<UserRow>(
    `select ${userColumns} from platform.app_user where id = $1 for update`,
    [id],
  );
  return rows[0] ?? null;
}

/** Without a lock; null when there is no such user. */
export async function findUser(tx: Transaction, id: string): Promise<UserRow | null> {
  const { rows } = await tx.query<UserRow>(
    `select ${userColumns} from platform.app_user where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

export interface NewUser {
  id: string;
  email: string;
  name: string;
  passwordHash: string | null;
  platformAdmin: boolean;
  now: string;
}

/** Null when the e-mail address is taken, also by a registration that commits at this moment. */
export async function insertUser(tx: Transaction, user: NewUser): Promise<UserRow | null> {
  const { rows } = await tx.query<UserRow>(
    `insert into platform.app_user
       (id, email, name, password_hash, platform_admin, created_at, updated_at)
     values ($1, $2, $3, $4, $5, $6::timestamptz, $6::timestamptz)
     on conflict (email) do nothing
     returning ${userColumns}`,
    [user.id, user.email, user.name, user.passwordHash, user.platformAdmin, user.now],
  );
  return rows[0] ?? null;
}

/** False when the hash is no longer `from`: somebody else changed it in between. */
export async function replacePasswordHash(
  tx: Transaction,
  { id, from, to, now }: { id: string; from: string | null; to: string; now: string },
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `update platform.app_user set password_hash = $3, updated_at = $4::timestamptz
      where id = $1 and password_hash is not distinct from $2`,
    [id, from, to, now],
  );
  return rowCount === 1;
}

/** Remembers where a user signed in last. */
export async function setLastTenant(tx: Transaction, id: string, tenantId: string) {
  await tx.query(
    `update platform.app_user set last_tenant = $2
      where id = $1 and last_tenant is distinct from $2`,
    [id, tenantId],
  );
}

/** Of everybody who was last in a tenant that is gone. */
export async function forgetLastTenant(tx: Transaction, tenantId: string): Promise<void> {
  await tx.query("update platform.app_user set last_tenant = null where last_tenant = $1", [
    tenantId,
  ]);
}

/** Null when there is no such user. */
export async function setUserFlags(
  tx: Transaction,
  change: { id: string; active?: boolean; platformAdmin?: boolean; now: string },
): Promise<UserRow | null> {
  const { rows } = await tx.query<UserRow>(
    `update platform.app_user
        set active = coalesce($2, active), platform_admin = coalesce($3, platform_admin),
            updated_at = $4::timestamptz
      where id = $1 returning ${userColumns}`,
    [change.id, change.active ?? null, change.platformAdmin ?? null, change.now],
  );
  return rows[0] ?? null;
}

/** Active ones. */
export async function countPlatformAdmins(tx: Transaction): Promise<number> {
  const { rows } = await tx.query<{ count: number }>(
    "select count(*) as count from platform.app_user where platform_admin and active",
  );
  return rows[0]?.count ?? 0;
}

/** Begins a second factor; nothing where there is one already. */
export async function setPendingTotp(
  tx: Transaction,
  { id, sealed, now }: { id: string; sealed: Buffer; now: string },
): Promise<void> {
  await tx.query(
    `update platform.app_user set totp_pending = $2, updated_at = $3::timestamptz
      where id = $1 and totp_secret is null`,
    [id, sealed, now],
  );
}

/** Turns the pending secret into the active one; the code that confirmed it is used up. */
export async function activateTotp(
  tx: Transaction,
  { id, step, now }: { id: string; step: number; now: string },
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `update platform.app_user
        set totp_secret = totp_pending, totp_pending = null, totp_last_step = $2,
            updated_at = $3::timestamptz
      where id = $1 and totp_secret is null and totp_pending is not null`,
    [id, step, now],
  );
  return rowCount === 1;
}

/** Forgets the second factor with its recovery codes. */
export async function clearTotp(tx: Transaction, id: string, now: string): Promise<void> {
  await tx.query(
    `update platform.app_user
        set totp_secret = null, totp_pending = null, updated_at = $2::timestamptz where id = $1`,
    [id, now],
  );
  await tx.query("delete from platform.recovery_code where user_id = $1", [id]);
}

/** False when a code of this step or a later one was used already: of two at once, one wins. */
export async function useTotpStep(tx: Transaction, id: string, step: number): Promise<boolean> {
  const { rowCount } = await tx.query(
    "update platform.app_user set totp_last_step = $2 where id = $1 and totp_last_step < $2",
    [id, step],
  );
  return rowCount === 1;
}

/** Earlier codes are worth nothing afterwards. */
export async function replaceRecoveryCodes(
  tx: Transaction,
  userId: string,
  hashes: readonly Buffer[],
): Promise<void> {
  await tx.query("delete from platform.recovery_code where user_id = $1", [userId]);
  await tx.query(
    "insert into platform.recovery_code (user_id, code_hash) select $1, unnest($2::bytea[])",
    [userId, hashes],
  );
}

/** False when the code is unknown or was used before. */
export async function useRecoveryCode(
  tx: Transaction,
  userId: string,
  hash: Buffer,
): Promise<boolean> {
  const { rowCount } = await tx.query(
    "delete from platform.recovery_code where user_id = $1 and code_hash = $2",
    [userId, hash],
  );
  return rowCount === 1;
}

export interface IdentityRow {
  userId: string;
}

/** The id of the user whom an issuer's subject is; null when they have never come. */
export async function findIdentity(
  tx: Transaction,
  issuer: string,
  subject: string,
): Promise<string | null> {
  const { rows } = await tx.query<IdentityRow>(
    `select user_id as "userId" from platform.identity where issuer = $1 and subject = $2`,
    [issuer, subject],
  );
  return rows[0]?.userId ?? null;
}

/** False when the identity is there already. */
export async function insertIdentity(
  tx: Transaction,
  row: { issuer: string; subject: string; userId: string; now: string },
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `insert into platform.identity (issuer, subject, user_id, created_at, last_used_at)
     values ($1, $2, $3, $4::timestamptz, $4::timestamptz) on conflict do nothing`,
    [row.issuer, row.subject, row.userId, row.now],
  );
  return rowCount === 1;
}

/** Remembers that an identity was used. */
export async function touchIdentity(
  tx: Transaction,
  { issuer, subject, now }: { issuer: string; subject: string; now: string },
): Promise<void> {
  await tx.query(
    `update platform.identity set last_used_at = $3::timestamptz
      where issuer = $1 and subject = $2`,
    [issuer, subject, now],
  );
}

export interface SealedTotpRow {
  id: string;
  secret: Buffer | null;
  pending: Buffer | null;
}

/** Users with a second factor, by id, locked. */
export async function lockSealedTotp(
  tx: Transaction,
  afterId: string | null,
  limit: number,
): Promise<SealedTotpRow[]> {
  const { rows } = await tx.query<SealedTotpRow>(
    `select id, totp_secret as secret, totp_pending as pending from platform.app_user
      where (totp_secret is not null or totp_pending is not null)
        and ($1::uuid is null or id > $1::uuid)
      order by id limit $2 for update`,
    [afterId, limit],
  );
  return rows;
}

/** The same secrets, sealed under another master key. */
export async function replaceSealedTotp(
  tx: Transaction,
  id: string,
  secret: Buffer | null,
  pending: Buffer | null,
): Promise<void> {
  await tx.query("update platform.app_user set totp_secret = $2, totp_pending = $3 where id = $1", [
    id,
    secret,
    pending,
  ]);
}
