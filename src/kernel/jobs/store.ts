import type { Queryable } from "../db/roles.ts";
import { thePlatform } from "../tenancy/types.ts";

/*
 * The queue's tables belong to graphile-worker, so these statements run as the owner. Where it has
 * no function for what is needed here they touch its private tables; its version is pinned.
 */

export type JobState = "waiting" | "running" | "failed";

export interface JobSummary {
  id: string;
  task: string;
  state: JobState;
  /** Null for jobs of the platform. */
  tenantId: string | null;
  attempts: number;
  maxAttempts: number;
  runAt: string;
  createdAt: string;
  lockedAt: string | null;
  lastError: string | null;
}

const iso = (column: string) =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

const stateText = `case when j.locked_at is not null then 'running'
  when j.attempts >= j.max_attempts then 'failed' else 'waiting' end`;

const jobColumns = `j.id::text, t.identifier as task, ${stateText} as state,
  nullif(j.payload->>'tenantId', '${thePlatform.id}') as "tenantId", j.attempts::int, j.max_attempts::int as "maxAttempts",
  ${iso("j.run_at")} as "runAt", ${iso("j.created_at")} as "createdAt",
  ${iso("j.locked_at")} as "lockedAt", left(j.last_error, 2000) as "lastError"`;

/** Jobs, newest first, after the id `beforeId`. */
export async function selectJobs(
  client: Queryable,
  wanted: { state?: JobState; task?: string; beforeId?: string; limit: number },
): Promise<JobSummary[]> {
  const { rows } = await client.query(
    `select ${jobColumns}
       from graphile_worker._private_jobs j
       join graphile_worker._private_tasks t on t.id = j.task_id
      where ($1::text is null or ${stateText} = $1)
        and ($2::text is null or t.identifier = $2)
        and ($3::bigint is null or j.id < $3)
      order by j.id desc limit $4`,
    [wanted.state ?? null, wanted.task ?? null, wanted.beforeId ?? null, wanted.limit],
  );
  return rows;
}

/** Only tasks and states that there are. */
export async function countJobs(
  client: Queryable,
): Promise<{ task: string; state: JobState; count: number }[]> {
  const { rows } = await client.query(
    `select t.identifier as task, ${stateText} as state, count(*)::int as count
       from graphile_worker._private_jobs j
       join graphile_worker._private_tasks t on t.id = j.task_id group by 1, 2`,
  );
  return rows;
}

/** How many jobs of these tasks could run now; of many that wait only the first are looked at. */
export async function countRunnable(
  client: Queryable,
  tasks: readonly string[],
  most: number,
): Promise<number> {
  const { rows } = await client.query(
    `select count(*)::int as runnable from (
       select 1 from (
         select j.job_queue_id, j.task_id from graphile_worker._private_jobs j
          where j.is_available and j.run_at <= now() order by j.priority, j.run_at limit 1000) j
        where j.task_id in (
            select id from graphile_worker._private_tasks where identifier = any($1::text[]))
          and (j.job_queue_id is null or j.job_queue_id in (
            select id from graphile_worker._private_job_queues where is_available))
        limit $2) one`,
    [tasks, most],
  );
  return rows[0].runnable;
}

/** Starts a job that isn't running anew; false when there is none such. */
export async function restartJob(client: Queryable, id: string): Promise<boolean> {
  const { rows } = await client.query(
    `select id from graphile_worker.reschedule_jobs(
       array[$1::bigint], run_at := now(), attempts := 0)`,
    [id],
  );
  return rows.length > 0;
}

/** Forgets the jobs of a tenant that are not running; answers how many. */
export async function removeTenantJobs(client: Queryable, tenantId: string): Promise<number> {
  const { rows } = await client.query(
    `with gone as (
       delete from graphile_worker._private_jobs
        where payload->>'tenantId' = $1 and locked_at is null returning 1)
     select count(*)::int as count from gone`,
    [tenantId],
  );
  return rows[0].count;
}

/** False for a job that is running, or is not there. */
export async function removeJob(client: Queryable, id: string): Promise<boolean> {
  const { rows } = await client.query(
    "select id from graphile_worker.complete_jobs(array[$1::bigint])",
    [id],
  );
  return rows.length > 0;
}

/** A job in whatever state; null when there is none such. */
export async function selectJob(client: Queryable, id: string): Promise<JobSummary | null> {
  const { rows } = await client.query(
    `select ${jobColumns}
       from graphile_worker._private_jobs j
       join graphile_worker._private_tasks t on t.id = j.task_id
      where j.id = $1::bigint`,
    [id],
  );
  return rows[0] ?? null;
}

/** Says that a worker is alive. */
export async function beat(
  client: Queryable,
  worker: { id: string; host: string; pid: number },
): Promise<void> {
  await client.query(
    `insert into platform.worker (id, host, pid) values ($1, $2, $3)
     on conflict (id) do update set seen_at = now()`,
    [worker.id, worker.host, worker.pid],
  );
}

/** Takes a worker that has ended off the list and frees what it may still hold. */
export async function release(client: Queryable, id: string): Promise<void> {
  await client.query("delete from platform.worker where id = $1", [id]);
  await client.query("select graphile_worker.force_unlock_workers($1::text[])", [[id]]);
}

/**
 * Frees what workers hold that have not been seen for `deadAfterMs`, or were never heard of for as
 * long, and answers with their ids. An attempt that ended so counts as one; when it was the last,
 * the job is listed as failed with this as its reason.
 */
export async function freeDeadWorkers(client: Queryable, deadAfterMs: number): Promise<string[]> {
  const { rows } = await client.query(
    `with dead as (
       delete from platform.worker where seen_at < now() - $1 * interval '1 millisecond'
       returning id
     ), lost as (
       select distinct locked_by as id from graphile_worker._private_jobs
        where locked_by is not null and (locked_by in (select id from dead)
          or (locked_at < now() - $1 * interval '1 millisecond'
            and locked_by not in (select id from platform.worker)))
       union
       select locked_by from graphile_worker._private_job_queues
        where locked_by is not null and (locked_by in (select id from dead)
          or (locked_at < now() - $1 * interval '1 millisecond'
            and locked_by not in (select id from platform.worker)))
     ), noted as (
       select array_agg(id) as ids from lost
     )
     select ids from noted where ids is not null`,
    [deadAfterMs],
  );
  const ids: string[] = rows[0]?.ids ?? [];
  if (ids.length > 0) await unlock(client, ids);
  return ids;
}

/**
 * Frees jobs that a living worker holds and is not working on: their end could not be noted, say
 * because the connection broke at that moment. They run again. `workingOn`: ids of its jobs.
 */
export async function freeForgotten(
  client: Queryable,
  worker: { id: string; workingOn: readonly string[]; forgottenAfterMs: number },
): Promise<number> {
  const { rows } = await client.query(
    `with freed as (
       update graphile_worker._private_jobs
          set locked_at = null, locked_by = null, last_error = 'The end of the job was not noted'
        where locked_by = $1 and id <> all($2::bigint[])
          and locked_at < now() - $3 * interval '1 millisecond'
       returning id, job_queue_id
     ), queues as (
       update graphile_worker._private_job_queues set locked_at = null, locked_by = null
        where locked_by = $1 and id in (select job_queue_id from freed)
     )
     select count(*)::int as jobs from freed`,
    [worker.id, worker.workingOn, worker.forgottenAfterMs],
  );
  return rows[0].jobs;
}

async function unlock(client: Queryable, workerIds: readonly string[]): Promise<void> {
  await client.query(
    `update graphile_worker._private_jobs set last_error = 'The worker died while the job ran'
      where locked_by = any($1::text[])`,
    [workerIds],
  );
  await client.query("select graphile_worker.force_unlock_workers($1::text[])", [workerIds]);
}

/** Gives jobs that a stopping worker could not end back, as if this attempt had not been. */
export async function handBack(
  client: Queryable,
  workerId: string,
  jobIds: readonly string[],
): Promise<number> {
  const { rows } = await client.query(
    `with jobs as (
       update graphile_worker._private_jobs
          set locked_by = null, locked_at = null, attempts = greatest(attempts - 1, 0),
            run_at = greatest(run_at, now())
        where locked_by = $1 and id = any($2::bigint[])
       returning id, job_queue_id
     ), queues as (
       update graphile_worker._private_job_queues set locked_by = null, locked_at = null
        where locked_by = $1 and id in (select job_queue_id from jobs)
     )
     select id from jobs`,
    [workerId, jobIds],
  );
  return rows.length;
}

/** Makes this attempt of a job its last. */
export async function endAttempts(client: Queryable, jobId: string): Promise<void> {
  await client.query(
    `update graphile_worker._private_jobs set max_attempts = greatest(attempts, 1) where id = $1`,
    [jobId],
  );
}

/**
 * Drops queue names that no job uses when there are more than `most`: every look for a job reads
 * them all. The lock keeps a job from being queued under a name that is just going.
 */
export async function dropUnusedQueues(client: Queryable, most: number): Promise<void> {
  const { rows } = await client.query(
    "select count(*)::int as names from graphile_worker._private_job_queues",
  );
  if (rows[0].names <= most) return;
  await client.query(
    `do $$ begin
       set local lock_timeout = '2s';
       lock table graphile_worker._private_jobs in share row exclusive mode;
       delete from graphile_worker._private_job_queues q where q.locked_at is null and not exists (
         select 1 from graphile_worker._private_jobs j where j.job_queue_id = q.id);
     end $$`,
  );
}
