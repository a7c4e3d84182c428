import { isLockTimeout } from "../db/pg-errors.ts";
import type { Db, Statement, Tx } from "../db/types.ts";
import type { TenantRef } from "../tenancy/types.ts";

/** How long an answer is kept for replay. */
const KEPT_HOURS = 24;

export interface IdempotencyKey {
  principal: string;
  key: string;
}

/** An answer as it went out, and as it goes out again. */
export interface KeptAnswer {
  requestHash: Buffer;
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  sealed: boolean;
}

/** SQLSTATE: an answer is kept under the key already. */
export const ANSWERED = "PLM01";
/** Takes the key for a transaction, as its guard. Fails with the state above, or after
 * lock_timeout where a transaction under way has the key: `isClaimTimeout`. */
export function claimIdempotencyKey(
  tenantId: string,
  { principal, key }: IdempotencyKey,
): Statement {
  return {
    text: "select platform.claim_idempotency_key($1, $2, $3)",
    values: [tenantId, principal, key],
  };
}

/** True where a transaction under way had the key for longer than lock_timeout. */
export function isClaimTimeout(error: unknown): boolean {
  return isLockTimeout(error) && String(error.where).includes("claim_idempotency_key");
}

/** Null when the answer has gone since the claim: purged in between. */
export async function getKeptAnswer(
  db: Db,
  tenant: TenantRef,
  { principal, key }: IdempotencyKey,
): Promise<KeptAnswer | null> {
  const { rows } = await db.query<KeptAnswer>(
    tenant,
    `select request_hash as "requestHash", status, headers, body, sealed
       from platform.idempotency
      where principal = $1 and key = $2 and expires_at > now()`,
    [principal, key],
  );
  return rows[0] ?? null;
}

/**
 * Travels with COMMIT: the answer is kept if and only if the change was made. The claim has made
 * sure that an answer already there has expired.
 */
export function keepAnswer(
  tenantId: string,
  { principal, key }: IdempotencyKey,
  answer: KeptAnswer,
): Statement {
  return {
    text: `insert into platform.idempotency
             (tenant_id, principal, key, request_hash, status, headers, body, sealed, expires_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, now() + $9 * interval '1 hour')
           on conflict (tenant_id, principal, key) do update
              set request_hash = excluded.request_hash, status = excluded.status,
                  headers = excluded.headers, body = excluded.body, sealed = excluded.sealed,
                  expires_at = excluded.expires_at`,
    values: [
      tenantId,
      principal,
      key,
      answer.requestHash,
      answer.status,
      JSON.stringify(answer.headers),
      answer.body,
      answer.sealed,
      KEPT_HOURS,
    ],
  };
}

/** Forgets a tenant's expired answers, `limit` at a time; how many. For a periodic job. */
export async function purgeIdempotency(tx: Tx, limit = 1_000): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from platform.idempotency
      where (principal, key) in (
        select principal, key from platform.idempotency
         where expires_at <= now()
         order by expires_at
         limit $1
           for update skip locked)`,
    [limit],
  );
  return rowCount;
}
