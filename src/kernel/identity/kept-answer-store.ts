import type { Statement, Transaction } from "../db/types.ts";

/** An answer as it is kept for replay. */
export interface KeptAnswerRow {
  requestCode: Buffer;
  sealed: Buffer;
}

/**
 * Takes a scope for the rest of the transaction and answers what is kept under it; null for
 * nothing. A duplicate of a transaction under way waits here, and its look at the table is a
 * statement of its own, which sees what the first one has committed.
 */
export async function claimAnswer(
  tx: Transaction,
  scope: Buffer,
  now: string,
): Promise<KeptAnswerRow | null> {
  const [, kept] = await tx.batch([
    {
      text: "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 20233))",
      values: [scope],
    },
    {
      text: `select request_code as "requestCode", sealed from platform.kept_answer
              where scope = $1 and expires_at > $2::timestamptz`,
      values: [scope, now],
    },
  ]);
  return (kept?.rows[0] as unknown as KeptAnswerRow | undefined) ?? null;
}

/** Claim the scope first. Travels with COMMIT: kept if and only if the change was made. */
export function keepAnswer(row: KeptAnswerRow & { scope: Buffer; expiresAt: string }): Statement {
  return {
    text: `insert into platform.kept_answer (scope, request_code, sealed, expires_at)
           values ($1, $2, $3, $4::timestamptz)
           on conflict (scope) do update
              set request_code = excluded.request_code, sealed = excluded.sealed,
                  expires_at = excluded.expires_at`,
    values: [row.scope, row.requestCode, row.sealed, row.expiresAt],
  };
}

/** Some at a time; answers how many. */
export async function deleteOldAnswers(
  tx: Transaction,
  now: string,
  limit: number,
): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from platform.kept_answer where scope in (
       select scope from platform.kept_answer where expires_at <= $1::timestamptz
        limit $2 for update skip locked)`,
    [now, limit],
  );
  return rowCount;
}
