import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { beforeId, type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Run, RunFilter } from "../schemas/runs.ts";

/** So many of a store's are kept; the oldest go. */
export const runsMost = 100;

const runColumns = `id, store_id as "storeId", kind, experiment, state,
  json_build_object('done', done, 'total', total) as progress, summary, status, words,
  check_id as "checkId", created_at as "createdAt", updated_at as "updatedAt",
  finished_at as "finishedAt"`;

/** Newest first. */
export async function listRuns(
  db: Db,
  tenant: TenantRef,
  storeId: string,
  { cursor, limit, kind }: RunFilter,
): Promise<Page<Run>> {
  const { rows } = await db.query<Run>(
    tenant,
    `select ${runColumns} from run
      where store_id = $1 and id < $2 and ($3::text is null or kind = $3)
      order by id desc limit $4`,
    [storeId, beforeId(cursor), kind ?? null, limit + 1],
  );
  return page(rows, limit, ({ id }) => [id]);
}

/** Null when the store has no such run. */
export async function getRun(
  db: Db,
  tenant: TenantRef,
  { storeId, id }: { storeId: string; id: string },
): Promise<Run | null> {
  const { rows } = await db.query<Run>(
    tenant,
    `select ${runColumns} from run where store_id = $1 and id = $2`,
    [storeId, id],
  );
  return rows[0] ?? null;
}

/** A run that has begun, and the end of those that are too many. */
export const insertRun = (tenantId: string, run: Run, spec: object): Statement[] => [
  {
    text: `insert into run (tenant_id, id, store_id, kind, experiment, spec, state, done, total,
             created_at, updated_at)
           values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10, clock_timestamp())`,
    values: [
      tenantId,
      run.id,
      run.storeId,
      run.kind,
      run.experiment,
      JSON.stringify(spec),
      run.state,
      run.progress.done,
      run.progress.total,
      run.createdAt,
    ],
  },
  {
    text: `delete from run where id in
             (select id from run where store_id = $1 order by id desc offset $2)`,
    values: [run.storeId, runsMost],
  },
];

/** How far a run is; that it says so shows that somebody works on it. */
export async function reportRun(
  db: Db,
  tenant: TenantRef,
  id: string,
  done: number,
): Promise<void> {
  await db.query(
    tenant,
    "update run set done = $2, updated_at = clock_timestamp() where id = $1 and state = 'running'",
    [id, done],
  );
}

/** What a run came to. */
export type RunEnd = Pick<Run, "state" | "summary" | "status" | "words" | "checkId"> & {
  readonly done: number;
  readonly finishedAt: string;
};

/** Null where it was forgotten meanwhile. */
export async function finishRun(tx: Tx, id: string, end: RunEnd): Promise<Run | null> {
  const { rows } = await tx.query<Run>(
    `update run
        set state = $2, summary = $3::jsonb, status = $4, words = $5, check_id = $6, done = $7,
            finished_at = $8, updated_at = clock_timestamp()
      where id = $1 and state = 'running'
  returning ${runColumns}`,
    [
      id,
      end.state,
      end.summary && JSON.stringify(end.summary),
      end.status,
      end.words,
      end.checkId,
      end.done,
      end.finishedAt,
    ],
  );
  return rows[0] ?? null;
}
