import { type Clock, isoOf } from "#kernel/clock.ts";
import type { Db, Statement } from "#kernel/db/types.ts";
import { beforeId, type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { StoredSnapshot } from "../rules/snapshots.ts";
import type { SnapshotFilter } from "../schemas/snapshots.ts";
import { epochMs, momentOf, nowAt } from "./moment.ts";

const columns = `id, lease_id as "leaseId", owner_id as "ownerId", name, description, state,
  automatic, runtime, runtime_place as "runtimePlace", image, size_bytes as "sizeBytes", settings,
  message, step_token as "stepToken", ${epochMs("step_until")} as "stepUntilMs", attempts,
  ${epochMs("retry_at")} as "retryAtMs", ${epochMs("deadline")} as "deadlineMs", version,
  ${epochMs("created_at")} as "createdAtMs", ${epochMs("updated_at")} as "updatedAtMs"`;

/** Newest first; with `ownerId`, only that one's. */
export async function listSnapshots(
  db: Db,
  tenant: TenantRef,
  { cursor, limit, leaseId, state }: SnapshotFilter,
  ownerId: string | null,
): Promise<Page<StoredSnapshot>> {
  const { rows } = await db.query<StoredSnapshot>(
    tenant,
    `select ${columns} from lease_snapshot
      where id < $1 and ($3::uuid is null or lease_id = $3) and ($4::text is null or state = $4)
        and ($5::text is null or owner_id = $5)
      order by id desc limit $2`,
    [beforeId(cursor), limit + 1, leaseId ?? null, state ?? null, ownerId],
  );
  return page(rows, limit, ({ id }) => [id]);
}

/** Null when the tenant, or `ownerId`, has no such snapshot. */
export async function getSnapshot(
  db: Db,
  tenant: TenantRef,
  id: string,
  ownerId: string | null,
): Promise<StoredSnapshot | null> {
  const { rows } = await db.query<StoredSnapshot>(
    tenant,
    `select ${columns} from lease_snapshot
      where id = $1 and ($2::text is null or owner_id = $2)`,
    [id, ownerId],
  );
  return rows[0] ?? null;
}

/** The same of many, in no order. */
export async function getSnapshots(
  db: Db,
  tenant: TenantRef,
  ids: readonly string[],
): Promise<StoredSnapshot[]> {
  const { rows } = await db.query<StoredSnapshot>(
    tenant,
    // As texts: what an engine has may be called anything.
    `select ${columns} from lease_snapshot where id::text = any($1)`,
    [ids],
  );
  return rows;
}

/** A `StoredSnapshot` as it stays until the transaction ends, or no row. */
export function lockSnapshot(id: string, ownerId: string | null = null): Statement {
  return {
    text: `select ${columns} from lease_snapshot
            where id = $1 and ($2::text is null or owner_id = $2) for no key update`,
    values: [id, ownerId],
  };
}

const iso = (ms: number | null) => (ms === null ? null : isoOf(ms));

/** One that was just asked for. */
export function insertSnapshot(tenant: TenantRef, snapshot: StoredSnapshot): Statement {
  return {
    text: `insert into lease_snapshot (tenant_id, id, lease_id, owner_id, name, description, state,
             automatic, runtime, runtime_place, settings, deadline, created_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::timestamptz,
             $13::timestamptz, $13::timestamptz)`,
    values: [
      tenant.id,
      snapshot.id,
      snapshot.leaseId,
      snapshot.ownerId,
      snapshot.name,
      snapshot.description,
      snapshot.state,
      snapshot.automatic,
      snapshot.runtime,
      snapshot.runtimePlace,
      JSON.stringify(snapshot.settings),
      iso(snapshot.deadlineMs),
      iso(snapshot.createdAtMs),
    ],
  };
}

/** Overwrites how a snapshot stands if it is still as `before` was. */
export function updateSnapshot(before: StoredSnapshot, after: StoredSnapshot): Statement {
  return {
    text: `update lease_snapshot
              set state = $5, image = $6, size_bytes = $7, message = $8, step_token = $9,
                  step_until = $10::timestamptz, attempts = $11, retry_at = $12::timestamptz,
                  deadline = $13::timestamptz, version = $14, updated_at = $15::timestamptz
            where id = $1 and state = $2 and version = $3
              and step_token is not distinct from $4`,
    values: [
      before.id,
      before.state,
      before.version,
      before.stepToken,
      after.state,
      after.image,
      after.sizeBytes,
      after.message,
      after.stepToken,
      iso(after.stepUntilMs),
      after.attempts,
      iso(after.retryAtMs),
      iso(after.deadlineMs),
      after.version,
      iso(after.updatedAtMs),
    ],
  };
}

/** Its image is gone by then. */
export function deleteSnapshot(id: string): Statement {
  return { text: "delete from lease_snapshot where id = $1", values: [id] };
}

/** Whoever takes or removes it goes on for longer; false: somebody else does, or nobody. */
export async function extendSnapshotStep(
  db: Db,
  tenant: TenantRef,
  { id, token, holdMs, clock }: { id: string; token: string; holdMs: number; clock: Clock },
): Promise<boolean> {
  const { rowCount } = await db.query(
    tenant,
    `update lease_snapshot set step_until = ${nowAt("$1")} + $4 * interval '1 millisecond'
      where id = $2 and step_token = $3 and step_until > ${nowAt("$1")}`,
    [momentOf(clock), id, token, holdMs],
  );
  return rowCount > 0;
}
