import type { Transaction } from "../db/types.ts";

/** False where it was spent before. */
export async function spendTicket(
  tx: Transaction,
  { nonce, expiresAt }: { nonce: Buffer; expiresAt: string },
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `insert into platform.spent_ticket (nonce, expires_at) values ($1, $2::timestamptz)
     on conflict do nothing`,
    [nonce, expiresAt],
  );
  return rowCount === 1;
}

/** Forgets those that nobody could use any more, some at a time; answers how many. */
export async function deleteOldTickets(
  tx: Transaction,
  now: string,
  limit: number,
): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from platform.spent_ticket where nonce in (
       select nonce from platform.spent_ticket where expires_at <= $1::timestamptz
        limit $2 for update skip locked)`,
    [now, limit],
  );
  return rowCount;
}
