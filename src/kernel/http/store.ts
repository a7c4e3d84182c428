import type { Statement, Transaction, Tx } from "../db/types.ts";

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

/**
 * Takes the key for this transaction; false when an answer is kept under it already. Waits, up to
 * lock_timeout, while another transaction has it. An expired answer is replaced.
 */
export async function claimIdempotencyKey(
  tx: Tx,
  { principal, key }: IdempotencyKey,
  requestHash: Buffer,
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `insert into platform.idempotency as kept
       (tenant_id, principal, key, request_hash, expires_at)
     values ($1, $2, $3, $4, now() + $5 * interval '1 hour')
     on conflict (tenant_id, principal, key) do update
        set request_hash = excluded.request_hash, expires_at = excluded.expires_at,
            status = null, headers = null, body = null, sealed = false
      where kept.expires_at <= now()`,
    [tx.tenant.id, principal, key, requestHash, KEPT_HOURS],
  );
  return rowCount === 1;
}

/** Null when the answer has gone since the claim: purged in between. */
export async function getKeptAnswer(
  tx: Transaction,
  { principal, key }: IdempotencyKey,
): Promise<KeptAnswer | null> {
  const { rows } = await tx.query<KeptAnswer>(
    `select request_hash as "requestHash", status, headers, body, sealed
       from platform.idempotency
      where principal = $1 and key = $2 and status is not null`,
    [principal, key],
  );
  return rows[0] ?? null;
}

/** Travels with COMMIT: the answer is kept if and only if the change was made. */
export function keepAnswer(
  { principal, key }: IdempotencyKey,
  answer: Omit<KeptAnswer, "requestHash">,
): Statement {
  return {
    text: `update platform.idempotency
              set status = $3, headers = $4, body = $5, sealed = $6
            where principal = $1 and key = $2`,
    values: [
      principal,
      key,
      answer.status,
      JSON.stringify(answer.headers),
      answer.body,
      answer.sealed,
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
