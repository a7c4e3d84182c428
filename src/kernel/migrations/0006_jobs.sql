-- scope: platform
-- Workers that are alive, by the id under which graphile-worker locks jobs for them. Only the owner
-- uses it.
create table platform.worker (
  id text primary key,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  seen_at timestamptz not null default now()
);

-- Queues a job for the tenant of the transaction. The app role can't reach the queue in any other
-- way, so whoever speaks for one tenant can't make work for another. It does what graphile-worker's
-- add_job does, without its NOTIFY: that takes a lock of the whole cluster until the commit is on
-- disk, which cost half of all writes under load; workers look for jobs instead. Late bound:
-- graphile-worker makes its own schema, before or after this file.
create function platform.add_job(
  task text, payload jsonb, run_at timestamptz, job_key text, queue text, max_attempts integer
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  tenant uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
  full_key text := tenant || ':' || job_key;
  full_queue text := tenant || ':' || queue;
  the_task integer;
  the_queue integer;
begin
  if tenant is null then
    raise exception 'a job needs the transaction of a tenant' using errcode = 'insufficient_privilege';
  end if;
  if jsonb_typeof(payload) <> 'object' or octet_length(payload::text) > 65536 then
    raise exception 'a job''s payload is an object of at most 64 KiB' using errcode = 'check_violation';
  end if;
  select id into the_task from graphile_worker._private_tasks where identifier = task;
  if the_task is null then
    insert into graphile_worker._private_tasks (identifier) values (task) on conflict do nothing;
    select id into strict the_task from graphile_worker._private_tasks where identifier = task;
  end if;
  if full_queue is not null then
    select id into the_queue from graphile_worker._private_job_queues where queue_name = full_queue;
    if the_queue is null then
      insert into graphile_worker._private_job_queues (queue_name) values (full_queue)
        on conflict do nothing;
      select id into strict the_queue from graphile_worker._private_job_queues
       where queue_name = full_queue;
    end if;
  end if;
  for try in 1 .. 10 loop
    -- A job that is running, or has failed for good, gives its key to the new one.
    update graphile_worker._private_jobs j
       set key = null, attempts = j.max_attempts, updated_at = now()
     where j.key = full_key and not j.is_available;
    insert into graphile_worker._private_jobs as j
      (job_queue_id, task_id, payload, run_at, max_attempts, key)
    values (the_queue, the_task, (payload || jsonb_build_object('tenantId', tenant))::json,
      coalesce(add_job.run_at, now()), coalesce(add_job.max_attempts, 25), full_key)
    on conflict (key) do update set
      job_queue_id = excluded.job_queue_id, task_id = excluded.task_id, payload = excluded.payload,
      run_at = excluded.run_at, max_attempts = excluded.max_attempts, revision = j.revision + 1,
      attempts = 0, last_error = null, updated_at = now()
    where j.locked_at is null;
    if found then
      return;
    end if;
    -- A worker took the job of that key between the two statements.
  end loop;
  raise exception 'the job could not be queued' using errcode = 'serialization_failure';
end
$$;
revoke execute on function platform.add_job(text, jsonb, timestamptz, text, text, integer) from public;
grant execute on function platform.add_job(text, jsonb, timestamptz, text, text, integer)
  to plimsoll_app;

-- How far long work has come, by the resource that is being worked on.
create table platform.job_progress (
  tenant_id uuid not null,
  resource_type text not null,
  resource_id text not null,
  done bigint not null,
  total bigint,
  message text not null default '' check (length(message) <= 500),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, resource_type, resource_id)
);
alter table platform.job_progress enable row level security;
alter table platform.job_progress force row level security;
create policy tenant_isolation on platform.job_progress
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on platform.job_progress to plimsoll_app;
