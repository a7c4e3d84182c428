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
-- way, so whoever speaks for one tenant can't make work for another. Late bound: graphile-worker
-- makes its own schema, before or after this file.
create function platform.add_job(
  task text, payload jsonb, run_at timestamptz, job_key text, queue text, max_attempts integer
) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  tenant uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
begin
  if tenant is null then
    raise exception 'a job needs the transaction of a tenant' using errcode = 'insufficient_privilege';
  end if;
  if jsonb_typeof(payload) <> 'object' or octet_length(payload::text) > 65536 then
    raise exception 'a job''s payload is an object of at most 64 KiB' using errcode = 'check_violation';
  end if;
  perform graphile_worker.add_job(
    identifier => task,
    payload => (payload || jsonb_build_object('tenantId', tenant))::json,
    queue_name => tenant || ':' || queue,
    run_at => run_at,
    max_attempts => max_attempts,
    job_key => tenant || ':' || job_key);
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
