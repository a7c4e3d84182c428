import type pg from "pg";
import { createLink, fly, type Link } from "./flight.ts";

export interface SessionLimits {
  /** 0 means none. */
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly idleInTransactionTimeoutMs: number;
  /** How long to wait for a connection, new or from the pool. */
  readonly connectTimeoutMs: number;
}

/** What an answer may take beyond the server's own timeout before the connection counts as dead. */
const GRACE_MS = 5_000;

// Text forms that db/values.ts can read, whatever the role or database is set to; and a search path
// that finds no table, so that only a flight's own path does.
const settingsText = `select
  set_config('timezone', 'UTC', false),
  set_config('datestyle', 'ISO, YMD', false),
  set_config('intervalstyle', 'iso_8601', false),
  set_config('bytea_output', 'hex', false),
  set_config('client_min_messages', 'warning', false),
  set_config('jit', 'off', false),
  set_config('search_path', 'pg_catalog', false),
  set_config('statement_timeout', $1, false),
  set_config('lock_timeout', $2, false),
  set_config('idle_in_transaction_session_timeout', $3, false)`;

const roleText = `select rolsuper or rolbypassrls as "bypassesRls"
  from pg_catalog.pg_roles where rolname = current_user`;

/**
 * Prepares a new connection in one flight. Throws where its role could bypass row-level security:
 * no tenant is safe on such a connection, so it is never handed out.
 */
export async function prepareSession(
  client: pg.PoolClient,
  limits: SessionLimits,
  nowMs: number,
): Promise<Link> {
  const link = createLink(client);
  const timeouts = [
    limits.statementTimeoutMs,
    limits.lockTimeoutMs,
    limits.idleInTransactionTimeoutMs,
  ];
  const flight = fly(
    link,
    [
      { path: "", text: settingsText, values: timeouts, silent: true },
      { path: "", text: roleText },
    ],
    nowMs,
  );
  const { stream } = client.connection;
  const late = () => stream.destroy(new Error("The database does not answer on a new connection"));
  const timer = setTimeout(late, limits.connectTimeoutMs);
  const [role] = await flight.done.finally(() => clearTimeout(timer));
  if (role?.rows[0]?.bypassesRls !== false) {
    throw new Error("The app's database role bypasses row-level security; use one that can't");
  }
  return link;
}

/**
 * Ends a connection whose answer is long overdue: a server that stops answering does not keep its
 * own timeouts either. Whoever waits gets a `ConnectionError`.
 */
export function endWhenOverdue(link: Link, limits: SessionLimits, nowMs: number): void {
  const { current } = link;
  if (!current || limits.statementTimeoutMs <= 0) return;
  const allowedMs = limits.statementTimeoutMs * current.size + GRACE_MS;
  if (nowMs - current.startedMs <= allowedMs) return;
  const silence = new Error(`The database gave no answer within ${allowedMs} ms`);
  link.client.connection.stream.destroy(silence);
}
