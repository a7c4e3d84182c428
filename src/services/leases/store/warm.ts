import { type Clock, isoOf } from "#kernel/clock.ts";
import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { StoredWarm, WarmSpec } from "../rules/warm.ts";
import { epochMs, momentOf, nowAt } from "./moment.ts";

const columns = `id, template_id as "templateId", spec, state, container_id as "containerId", message,
  step_token as "stepToken", ${epochMs("step_until")} as "stepUntilMs", attempts,
  ${epochMs("retry_at")} as "retryAtMs", ${epochMs("created_at")} as "createdAtMs",
  ${epochMs("expires_at")} as "expiresAtMs", ${epochMs("updated_at")} as "updatedAtMs"`;

/** All of the tenant's, which its quota keeps few; `StoredWarm`s. */
export const selectWarm = (): Statement => ({
  text: `select ${columns} from lease_warm order by id`,
});

/** The same outside of a transaction. */
export async function listWarm(db: Db, tenant: TenantRef): Promise<StoredWarm[]> {
  const { text } = selectWarm();
  return (await db.query<StoredWarm>(tenant, text)).rows;
}

/** Whether anything is kept ready for the tenant, or is to be. */
export async function hasPools(db: Db, tenant: TenantRef): Promise<boolean> {
  const { rows } = await db.query<{ has: boolean }>(
    tenant,
    `select exists (select from lease_warm)
         or exists (select from lease_template where active and warm_size > 0) as has`,
  );
  return rows[0]?.has === true;
}

/** Null when there is none of this id: it was leased, or removed. */
export async function getWarm(db: Db, tenant: TenantRef, id: string): Promise<StoredWarm | null> {
  const { rows } = await db.query<StoredWarm>(
    tenant,
    `select ${columns} from lease_warm where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** `id`s of those among these that there are. */
export async function getWarmIds(
  db: Db,
  tenant: TenantRef,
  ids: readonly string[],
): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    tenant,
    "select id from lease_warm where id = any($1::uuid[])",
    [ids],
  );
  return rows.map(({ id }) => id);
}

/** A `StoredWarm` as it stays until the transaction ends, or no row. */
export const lockWarm = (id: string): Statement => ({
  text: `select ${columns} from lease_warm where id = $1 for update`,
  values: [id],
});

/** `count` of all that take of the quota. */
export const countWarm = (): Statement => ({
  text: "select count(*)::int as count from lease_warm where state <> 'removing'",
});

const iso = (ms: number | null) => (ms === null ? null : isoOf(ms));

/** One that is about to be made. */
export function insertWarm(tenant: TenantRef, warm: StoredWarm): Statement {
  const { id, templateId, spec, state, attempts, createdAtMs, expiresAtMs } = warm;
  return {
    text: `insert into lease_warm (tenant_id, id, template_id, spec, cpu_millis, memory_mb, disk_mb,
             state, attempts, created_at, expires_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::timestamptz, $11::timestamptz,
             $10::timestamptz)`,
    values: [
      tenant.id,
      id,
      templateId,
      JSON.stringify(spec),
      spec.cpuMillis,
      spec.memoryMb,
      spec.diskMb,
      state,
      attempts,
      isoOf(createdAtMs),
      isoOf(expiresAtMs),
    ],
  };
}

/** Overwrites how one stands. It is locked by then. */
export function updateWarm(after: StoredWarm): Statement {
  return {
    text: `update lease_warm
              set state = $2, container_id = $3, message = $4, step_token = $5,
                  step_until = $6::timestamptz, attempts = $7, retry_at = $8::timestamptz,
                  updated_at = $9::timestamptz
            where id = $1`,
    values: [
      after.id,
      after.state,
      after.containerId,
      after.message,
      after.stepToken,
      iso(after.stepUntilMs),
      after.attempts,
      iso(after.retryAtMs),
      isoOf(after.updatedAtMs),
    ],
  };
}

/**
 * Decides the end of those among these that nobody has locked, which is whoever leases them or has
 * made them ready: `id` and `spec` of each.
 */
export function retireWarm(ids: readonly string[], nowMs: number): Statement {
  return {
    text: `update lease_warm
              set state = 'removing', step_token = null, step_until = null, attempts = 0,
                  retry_at = null, updated_at = $2::timestamptz
            where id in (select id from lease_warm
                          where id = any($1::uuid[]) and state <> 'removing'
                            for update skip locked)
           returning id, spec`,
    values: [ids, isoOf(nowMs)],
  };
}

/** Its container is gone by then, or somebody's. */
export const deleteWarm = (id: string): Statement => ({
  text: "delete from lease_warm where id = $1",
  values: [id],
});

/**
 * Takes the oldest container that is exactly this: the row goes with the transaction, in which a
 * lease of its id is made. Null: none is ready, or others are taking those that are.
 */
export async function takeWarm(
  tx: Tx,
  { templateId, spec }: { templateId: string; spec: WarmSpec },
): Promise<StoredWarm | null> {
  const { rows } = await tx.query<StoredWarm>(
    `delete from lease_warm
      where id = (select id from lease_warm
                   where template_id = $1 and state = 'ready' and spec = $2::jsonb
                   order by created_at limit 1 for update skip locked)
    returning ${columns}`,
    [templateId, JSON.stringify(spec)],
  );
  return rows[0] ?? null;
}

/** Whoever makes or removes one goes on for longer; false: somebody else does, or nobody. */
export async function extendWarmStep(
  db: Db,
  tenant: TenantRef,
  { id, token, holdMs, clock }: { id: string; token: string; holdMs: number; clock: Clock },
): Promise<boolean> {
  const { rowCount } = await db.query(
    tenant,
    `update lease_warm set step_until = ${nowAt("$1")} + $4 * interval '1 millisecond'
      where id = $2 and step_token = $3 and step_until > ${nowAt("$1")}`,
    [momentOf(clock), id, token, holdMs],
  );
  return rowCount > 0;
}
