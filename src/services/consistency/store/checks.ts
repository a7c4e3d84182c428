import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { beforeId, type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Check, CheckFilter, CheckSummary, ShownReport } from "../schemas/checks.ts";

/** So many of a tenant's are kept; the oldest go. */
export const checksMost = 200;

const summaryColumns = `id, store_id as "storeId", name, state, status, message,
  created_at as "createdAt", finished_at as "finishedAt"`;

/** Newest first. */
export async function listChecks(
  db: Db,
  tenant: TenantRef,
  { cursor, limit, storeId }: CheckFilter,
): Promise<Page<CheckSummary>> {
  const { rows } = await db.query<CheckSummary>(
    tenant,
    `select ${summaryColumns} from history_check
      where id < $1 and ($2::uuid is null or store_id = $2) order by id desc limit $3`,
    [beforeId(cursor), storeId ?? null, limit + 1],
  );
  return page(rows, limit, ({ id }) => [id]);
}

/** Null when the tenant has no such check. */
export async function getCheck(db: Db, tenant: TenantRef, id: string): Promise<Check | null> {
  const { rows } = await db.query<Check>(
    tenant,
    `select ${summaryColumns}, report from history_check where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** Its page, compressed with gzip: null when there is no such check, or it has none. */
export async function getCheckPage(
  db: Db,
  tenant: TenantRef,
  id: string,
): Promise<{ page: Buffer | null } | null> {
  const { rows } = await db.query<{ page: Buffer | null }>(
    tenant,
    "select page from history_check where id = $1",
    [id],
  );
  return rows[0] ?? null;
}

/** A check that has begun, and the end of those that are too many. */
export const insertCheck = (tenantId: string, check: CheckSummary): Statement[] => [
  {
    text: `insert into history_check (tenant_id, id, store_id, name, state, created_at)
           values ($1, $2, $3, $4, $5, $6)`,
    values: [tenantId, check.id, check.storeId, check.name, check.state, check.createdAt],
  },
  {
    text: `delete from history_check where id in
             (select id from history_check order by id desc offset $1)`,
    values: [checksMost],
  },
];

/** How a check ended. */
export interface CheckEnd {
  readonly state: "done" | "failed";
  readonly status: CheckSummary["status"];
  readonly report: ShownReport | null;
  readonly message: string | null;
  readonly page: Uint8Array | null;
  readonly finishedAt: string;
}

/** Null where it was forgotten meanwhile. */
export async function finishCheck(
  tx: Tx,
  id: string,
  { state, status, report, message, page: html, finishedAt }: CheckEnd,
): Promise<CheckSummary | null> {
  const { rows } = await tx.query<CheckSummary>(
    `update history_check
        set state = $2, status = $3, report = $4::jsonb, message = $5, page = $6, finished_at = $7
      where id = $1 and state = 'running'
  returning ${summaryColumns}`,
    [
      id,
      state,
      status,
      report && JSON.stringify(report),
      message,
      html && Buffer.from(html),
      finishedAt,
    ],
  );
  return rows[0] ?? null;
}
