import type { Statement, Transaction } from "../db/types.ts";

export interface ThrottleRow {
  key: Buffer;
  failures: number;
  blockedUntilMs: number;
  trusted: boolean;
}

/**
 * Locks the rows of `keys`, making those that are missing. Keys must be sorted, so that
 * transactions which share some of them wait for each other and never in a circle. Counters past
 * their time of forgetting read as zero.
 */
export async function lockThrottles(
  tx: Transaction,
  { keys, now, forgetAt }: { keys: readonly Buffer[]; now: string; forgetAt: string },
): Promise<ThrottleRow[]> {
  const { rows } = await tx.query<ThrottleRow>(
    `insert into platform.login_throttle as t (key, failures, blocked_until, forget_at)
     select k, 0, $2::timestamptz, $3::timestamptz from unnest($1::bytea[]) k
     on conflict (key) do update set
       failures = case when t.forget_at <= $2::timestamptz then 0 else t.failures end,
       trusted = t.trusted and t.forget_at > $2::timestamptz
     returning key, failures, trusted,
       (extract(epoch from blocked_until) * 1000)::bigint as "blockedUntilMs"`,
    [keys, now, forgetAt],
  );
  return rows;
}

export interface ThrottleChange {
  key: Buffer;
  failures: number;
  blockedUntil: string;
  trusted: boolean;
  forgetAt: string;
}

/** Lock the rows first. */
export async function writeThrottles(
  tx: Transaction,
  changes: readonly ThrottleChange[],
): Promise<void> {
  await tx.query(
    `update platform.login_throttle t
        set failures = c.failures, blocked_until = c.blocked_until::timestamptz,
            trusted = c.trusted, forget_at = c.forget_at::timestamptz
       from unnest($1::bytea[], $2::int[], $3::text[], $4::bool[], $5::text[])
         as c (key, failures, blocked_until, trusted, forget_at)
      where t.key = c.key`,
    [
      changes.map((change) => change.key),
      changes.map((change) => change.failures),
      changes.map((change) => change.blockedUntil),
      changes.map((change) => change.trusted),
      changes.map((change) => change.forgetAt),
    ],
  );
}

/** Changes nothing, but has to be made durable like a change. */
export function touchThrottle(key: Buffer): Statement {
  return {
    text: "update platform.login_throttle set failures = failures where key = $1",
    values: [key],
  };
}

/** Some at a time; answers how many. */
export async function deleteForgottenThrottles(
  tx: Transaction,
  now: string,
  limit: number,
): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from platform.login_throttle where key in (
       select key from platform.login_throttle where forget_at <= $1::timestamptz
        limit $2 for update skip locked)`,
    [now, limit],
  );
  return rowCount;
}
