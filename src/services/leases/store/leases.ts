import { type Clock, isoOf } from "#kernel/clock.ts";
import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { decodeCursor, type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Lease } from "../rules/lease.ts";
import type { LeaseFilter } from "../schemas/leases.ts";
import {
  insertedNames,
  insertedPlaces,
  insertedValues,
  leaseColumns,
  leaseOf,
  standingNames,
  standingPlaces,
  standingValues,
} from "./lease-row.ts";
import { epochMs, momentOf, nowAt } from "./moment.ts";

/** A lease as it is read, with the moment at which it was. */
export interface Read {
  readonly lease: Lease;
  readonly nowMs: number;
}

const readColumns = `${leaseColumns}, ${epochMs(nowAt("$1"))} as "nowMs"`;

function readOf(row: Record<string, unknown>): Read {
  const { nowMs, ...lease } = row;
  return { lease: leaseOf(lease), nowMs: nowMs as number };
}

/** Null when the tenant, or `ownerId`, has no such lease. */
export async function getLease(
  db: Db,
  tenant: TenantRef,
  { id, ownerId, clock }: { id: string; ownerId: string | null; clock: Clock },
): Promise<Read | null> {
  const { rows } = await db.query(
    tenant,
    `select ${readColumns} from lease where id = $2 and ($3::text is null or owner_id = $3)`,
    [momentOf(clock), id, ownerId],
  );
  return rows[0] ? readOf(rows[0]) : null;
}

/** The same of many, in no order. */
export async function getLeases(
  db: Db,
  tenant: TenantRef,
  { ids, clock }: { ids: readonly string[]; clock: Clock },
): Promise<Read[]> {
  const { rows } = await db.query(
    tenant,
    `select ${readColumns} from lease where id = any($2::uuid[])`,
    [momentOf(clock), ids],
  );
  return rows.map(readOf);
}

interface ListOptions {
  filter: LeaseFilter;
  /** With it, only that one's. */
  ownerId: string | null;
  clock: Clock;
}

/**
 * Newest first, or those first that end first. Ids don't say which is newer: one whose container
 * was ready has that container's.
 */
export async function listLeases(
  db: Db,
  tenant: TenantRef,
  { filter, ownerId, clock }: ListOptions,
): Promise<Page<Read>> {
  const { cursor, limit, sort } = filter;
  const values: unknown[] = [momentOf(clock), limit + 1];
  const place = (value: unknown) => `$${values.push(value)}`;
  const conditions = ["true"];
  if (ownerId !== null) conditions.push(`owner_id = ${place(ownerId)}`);
  if (filter.owner !== undefined) conditions.push(`owner_id = ${place(filter.owner)}`);
  if (filter.state !== undefined) conditions.push(`state = ${place(filter.state)}`);
  if (filter.template !== undefined) {
    conditions.push(`template_name = ${place(filter.template)}`);
  }
  if (filter.live !== undefined) {
    conditions.push(`state ${filter.live ? "not in" : "in"} ('ended', 'failed')`);
  }
  const byEnd = sort === "expiry";
  if (cursor !== undefined) conditions.push(afterCursor(cursor, byEnd, place));
  const { rows } = await db.query(
    tenant,
    `select ${readColumns} from lease where ${conditions.join(" and ")}
      order by ${byEnd ? "ends_at, id" : "created_at desc, id desc"} limit $2`,
    values,
  );
  return page(rows.map(readOf), limit, ({ lease }) => [
    isoOf(byEnd ? lease.endsAtMs : lease.createdAtMs),
    lease.id,
  ]);
}

function afterCursor(cursor: string, byEnd: boolean, place: (value: unknown) => string): string {
  const [at, id] = decodeCursor(cursor, 2);
  const [column, order] = byEnd ? ["ends_at", ">"] : ["created_at", "<"];
  return `(${column}, id) ${order} (${place(at)}::timestamptz, ${place(id)}::uuid)`;
}

/** Whether there is this lease, of the owner if one is given. */
export async function hasLease(
  db: Db,
  tenant: TenantRef,
  id: string,
  ownerId: string | null,
): Promise<boolean> {
  const { rows } = await db.query(
    tenant,
    "select 1 from lease where id = $1 and ($2::text is null or owner_id = $2)",
    [id, ownerId],
  );
  return rows.length > 0;
}

/** The lease as it is, and as it stays until the transaction ends: a row for `leaseOf`. */
export function lockLease(id: string, ownerId: string | null = null): Statement {
  return {
    text: `select ${leaseColumns} from lease
            where id = $1 and ($2::text is null or owner_id = $2) for no key update`,
    values: [id, ownerId],
  };
}

/** Until when an ending lease waits for the snapshots that are being taken of it: `untilMs`. */
export function selectWaiting(leaseId: string): Statement {
  return {
    text: `select ${epochMs("max(deadline)")} as "untilMs" from lease_snapshot
            where lease_id = $1 and state = 'pending' and not automatic`,
    values: [leaseId],
  };
}

/** A lease that was just asked for, with its environment sealed. */
export function insertLease(tenant: TenantRef, lease: Lease, envSealed: Buffer | null): Statement {
  return {
    text: `insert into lease (tenant_id, env_sealed, ${insertedNames})
           values ($1, $2, ${insertedPlaces(3)})`,
    values: [tenant.id, envSealed, ...insertedValues(lease)],
  };
}

/**
 * Overwrites how a lease stands if it is still as `before` was: the compare-and-set that everything
 * rests on. The environment goes with the final state.
 */
export function updateLease(before: Lease, after: Lease): Statement {
  const { id, state, generation, version, stepToken } = before;
  return {
    text: `update lease
              set (env_sealed, ${standingNames}) = (
                case when $6 then null else env_sealed end, ${standingPlaces(7)})
            where id = $1 and state = $2 and generation = $3 and version = $4
              and step_token is not distinct from $5`,
    values: [
      id,
      state,
      generation,
      version,
      stepToken,
      after.endedAtMs !== null,
      ...standingValues(after),
    ],
  };
}

/** The sealed environment; null where there is none, or where it is gone. */
export async function readEnvironment(
  db: Db,
  tenant: TenantRef,
  id: string,
): Promise<Buffer | null> {
  const { rows } = await db.query<{ sealed: Buffer | null }>(
    tenant,
    "select env_sealed as sealed from lease where id = $1",
    [id],
  );
  return rows[0]?.sealed ?? null;
}

/**
 * Whoever works on the lease goes on for longer; false: somebody else does, or nobody has to any
 * more, since its time is over.
 */
export async function extendStep(
  db: Db,
  tenant: TenantRef,
  { id, token, holdMs, clock }: { id: string; token: string; holdMs: number; clock: Clock },
): Promise<boolean> {
  const { rowCount } = await db.query(
    tenant,
    `update lease set step_until = m.now + $4 * interval '1 millisecond'
       from (select ${nowAt("$1")} as now) m
      where id = $2 and step_token = $3 and step_until > m.now
        and (deadline is null or deadline > m.now)
        and (state = 'stopping' or hard_expires_at > m.now
          and (state <> 'starting' or started_at is null or expires_at > m.now))`,
    [momentOf(clock), id, token, holdMs],
  );
  return rowCount > 0;
}

/** Somebody uses the lease now: its idleness begins anew, unless it has ended. */
export async function touchLease(
  db: Db,
  tenant: TenantRef,
  { id, clock }: { id: string; clock: Clock },
): Promise<void> {
  await db.query(
    tenant,
    `update lease
        set last_activity_at = greatest(last_activity_at, m.now),
            ends_at = case when idle_ttl_seconds is null or started_at is null then ends_at
              else least(expires_at, hard_expires_at,
                greatest(last_activity_at, m.now) + idle_ttl_seconds * interval '1 second') end
       from (select ${nowAt("$1")} as now) m
      where id = $2 and state in ('starting', 'running')`,
    [momentOf(clock), id],
  );
}

/** These were seen alive at `atMs`: until then they are paid for, whatever becomes of them. */
export async function noteSeen(
  db: Db,
  tenant: TenantRef,
  ids: readonly string[],
  atMs: number,
): Promise<void> {
  await db.query(
    tenant,
    `update lease set seen_at = greatest(seen_at, $1::timestamptz)
      where id = any($2::uuid[]) and state in ('running', 'paused')`,
    [isoOf(atMs), ids],
  );
}

/** What lives of the tenant's leases, `limit` at a time by id. */
export async function listAlive(
  db: Db,
  tenant: TenantRef,
  { afterId, limit }: { afterId: string | null; limit: number },
): Promise<Lease[]> {
  const { rows } = await db.query(
    tenant,
    `select ${leaseColumns} from lease
      where state not in ('ended', 'failed') and ($1::uuid is null or id > $1::uuid)
      order by id limit $2`,
    [afterId, limit],
  );
  return rows.map(leaseOf);
}

/** Leases that run, of the tenant or one owner: those that a spent budget ends. */
export async function listRunning(
  db: Db,
  tenant: TenantRef,
  ownerId: string | null,
  limit: number,
): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    tenant,
    `select id from lease where state = 'running' and ($1::text is null or owner_id = $1)
      order by id limit $2`,
    [ownerId, limit],
  );
  return rows.map(({ id }) => id);
}

/** A row where anything of the tenant lives. */
export const hasAlive = (): Statement => ({
  text: "select 1 from lease where state not in ('ended', 'failed') limit 1",
});

/** Whether a lease that lives was restored from the snapshot. */
export function selectRestored(snapshotId: string): Statement {
  return {
    text: `select id from lease
            where restored_from = $1 and state not in ('ended', 'failed') limit 1`,
    values: [snapshotId],
  };
}

/** Forgets leases that have ended before `before`, `limit` at a time; how many. */
export async function forgetLeases(tx: Tx, before: string, limit = 1_000): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from lease where id in (
       select id from lease where ended_at < $1::timestamptz
        order by ended_at limit $2 for update skip locked)`,
    [before, limit],
  );
  return rowCount;
}
