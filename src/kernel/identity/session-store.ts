import type { Transaction } from "../db/types.ts";

export type SessionMethod = "password" | "sso" | "registration";

export interface SessionView {
  id: string;
  method: SessionMethod;
  userAgent: string;
  address: string;
  tenantId: string;
  createdAt: string;
  lastUsedAt: string;
  expiresAt: string;
  version: number;
}

const viewColumns = `id, method, user_agent as "userAgent", address,
  acting_tenant_id as "tenantId", created_at as "createdAt", last_used_at as "lastUsedAt",
  expires_at as "expiresAt", version`;

export interface NewSession {
  id: string;
  userId: string;
  tenantId: string;
  method: SessionMethod;
  refreshHash: Buffer;
  reuseKey: Buffer;
  userAgent: string;
  address: string;
  now: string;
  expiresAt: string;
}

/** Stores a session with its first refresh token's hash. */
export async function insertSession(tx: Transaction, row: NewSession): Promise<void> {
  await tx.query(
    `insert into platform.session (id, user_id, acting_tenant_id, method, refresh_hash, reuse_key,
       user_agent, address, created_at, last_used_at, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9::timestamptz, $9::timestamptz, $10::timestamptz)`,
    [
      row.id,
      row.userId,
      row.tenantId,
      row.method,
      row.refreshHash,
      row.reuseKey,
      row.userAgent,
      row.address,
      row.now,
      row.expiresAt,
    ],
  );
}

/** Revokes the oldest live sessions beyond `keep`, and answers which. */
export async function revokeOldestSessions(
  tx: Transaction,
  { userId, keep, now }: { userId: string; keep: number; now: string },
): Promise<string[]> {
  const { rows } = await tx.query<{ id: string }>(
    `update platform.session set revoked_at = $3::timestamptz, revoked_because = 'too many'
      where id in (
        select id from platform.session
         where user_id = $1 and revoked_at is null and expires_at > $3::timestamptz
         order by created_at desc, id desc offset $2)
     returning id`,
    [userId, keep, now],
  );
  return rows.map((row) => row.id);
}

export interface SessionRow {
  id: string;
  userId: string;
  tenantId: string;
  refreshHash: Buffer;
  generation: number;
  reuseKey: Buffer;
  revokedAt: string | null;
  live: boolean;
  /** Milliseconds since the epoch. */
  createdAtMs: number;
}

/** Locked: of two refreshes with the same token, the second one sees what the first has done. */
export async function lockSession(
  tx: Transaction,
  id: string,
  now: string,
): Promise<SessionRow | null> {
  const { rows } = await tx.query<SessionRow>(
    `select id, user_id as "userId", acting_tenant_id as "tenantId",
            refresh_hash as "refreshHash", refresh_generation as generation,
            reuse_key as "reuseKey", revoked_at as "revokedAt",
            revoked_at is null and expires_at > $2::timestamptz as live,
            (extract(epoch from created_at) * 1000)::bigint as "createdAtMs"
       from platform.session where id = $1 for update`,
    [id, now],
  );
  return rows[0] ?? null;
}

export interface Rotation {
  id: string;
  tenantId: string;
  refreshHash: Buffer;
  generation: number;
  userAgent: string;
  address: string;
  now: string;
  expiresAt: string;
}

/** Replaces a session's refresh token. Lock the row first. */
export async function rotateSession(tx: Transaction, row: Rotation): Promise<void> {
  await tx.query(
    `update platform.session
        set acting_tenant_id = $2, refresh_hash = $3, refresh_generation = $4, user_agent = $5,
            address = $6, last_used_at = $7::timestamptz, expires_at = $8::timestamptz,
            version = version + 1
      where id = $1`,
    [
      row.id,
      row.tenantId,
      row.refreshHash,
      row.generation,
      row.userAgent,
      row.address,
      row.now,
      row.expiresAt,
    ],
  );
}

/** Live sessions, newest first; `after` is the last one of the page before. */
export async function listSessions(
  tx: Transaction,
  page: { userId: string; now: string; limit: number; after: [string, string] | null },
): Promise<SessionView[]> {
  const { rows } = await tx.query<SessionView>(
    `select ${viewColumns} from platform.session
      where user_id = $1 and revoked_at is null and expires_at > $2::timestamptz
        and ($4::timestamptz is null or (created_at, id) < ($4::timestamptz, $5::uuid))
      order by created_at desc, id desc limit $3`,
    [page.userId, page.now, page.limit, page.after?.[0] ?? null, page.after?.[1] ?? null],
  );
  return rows;
}

export interface OwnSession {
  id: string;
  userId: string;
  now: string;
}

/** One of the user's live sessions; null when there is no such. */
export async function findSession(
  tx: Transaction,
  { id, userId, now }: OwnSession,
): Promise<SessionView | null> {
  const { rows } = await tx.query<SessionView>(
    `select ${viewColumns} from platform.session
      where id = $1 and user_id = $2 and revoked_at is null and expires_at > $3::timestamptz`,
    [id, userId, now],
  );
  return rows[0] ?? null;
}

/** The same, locked until the transaction ends. */
export async function lockOwnSession(
  tx: Transaction,
  { id, userId, now }: OwnSession,
): Promise<SessionView | null> {
  const { rows } = await tx.query<SessionView>(
    `select ${viewColumns} from platform.session
      where id = $1 and user_id = $2 and revoked_at is null and expires_at > $3::timestamptz
        for update`,
    [id, userId, now],
  );
  return rows[0] ?? null;
}

/** Revokes one of the user's live sessions; null when there is no such. */
export async function revokeSession(
  tx: Transaction,
  { id, userId, because, now }: { id: string; userId: string; because: string; now: string },
): Promise<SessionView | null> {
  const { rows } = await tx.query<SessionView>(
    `update platform.session set revoked_at = $4::timestamptz, revoked_because = $3
      where id = $1 and user_id = $2 and revoked_at is null and expires_at > $4::timestamptz
     returning ${viewColumns}`,
    [id, userId, because, now],
  );
  return rows[0] ?? null;
}

/**
 * Revokes a user's live sessions: all, all but one, or those in one tenant. Answers how many.
 */
export async function revokeSessions(
  tx: Transaction,
  which: { userId: string; except?: string; tenantId?: string; because: string; now: string },
): Promise<number> {
  const { rowCount } = await tx.query(
    `update platform.session set revoked_at = $5::timestamptz, revoked_because = $4
      where user_id = $1 and revoked_at is null
        and ($2::uuid is null or id <> $2::uuid)
        and ($3::uuid is null or acting_tenant_id = $3::uuid)`,
    [which.userId, which.except ?? null, which.tenantId ?? null, which.because, which.now],
  );
  return rowCount;
}

/** Forgets sessions that ended before a moment, some at a time; answers how many. */
export async function deleteEndedSessions(
  tx: Transaction,
  before: string,
  limit: number,
): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from platform.session where id in (
       select id from platform.session
        where expires_at < $1::timestamptz or revoked_at < $1::timestamptz
        limit $2 for update skip locked)`,
    [before, limit],
  );
  return rowCount;
}

/** All that act in a tenant, live or not; answers how many. */
export async function deleteSessionsOfTenant(tx: Transaction, tenantId: string): Promise<number> {
  const { rowCount } = await tx.query("delete from platform.session where acting_tenant_id = $1", [
    tenantId,
  ]);
  return rowCount;
}
