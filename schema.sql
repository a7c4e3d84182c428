-- Dumped from a migrated database by `npm run schema -- --write`; never edited.
set check_function_bodies = off;

create schema consistency;
grant usage on schema consistency to plimsoll_app;

create schema leases;
grant usage on schema leases to plimsoll_app;

create schema orders;
grant usage on schema orders to plimsoll_app;

create schema platform;
grant usage on schema platform to plimsoll_app;

create sequence platform.event_position as bigint increment 1 minvalue 1 maxvalue 9223372036854775807 start 1 cache 1;
grant usage on sequence platform.event_position to plimsoll_app;

create sequence platform.flag_version as bigint increment 1 minvalue 1 maxvalue 9223372036854775807 start 2 cache 1;
grant usage on sequence platform.flag_version to plimsoll_app;

CREATE OR REPLACE FUNCTION leases.refuse_endless_usage()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (
    select from lease_usage u
     where u.tenant_id = new.tenant_id and u.lease_id = new.id and u.ended_at is null
  ) then
    raise exception 'a lease that does not run has no open interval'
      using errcode = 'check_violation', constraint = tg_name;
  end if;
  return new;
end
$function$;

CREATE OR REPLACE FUNCTION leases.refuse_lease_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'DELETE' and platform.is_erasing() then
    return old;
  end if;
  raise exception 'a lease does not change like this (%, state % to %)',
    tg_name, case when tg_op <> 'INSERT' then old.state end,
    case when tg_op <> 'DELETE' then new.state end
    using errcode = 'check_violation', constraint = tg_name;
end
$function$;

CREATE OR REPLACE FUNCTION leases.refuse_stray_usage()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if not exists (
    select from lease l
     where l.tenant_id = new.tenant_id and l.id = new.lease_id and l.state = 'running'
  ) then
    raise exception 'an open interval needs a lease that runs'
      using errcode = 'check_violation', constraint = tg_name;
  end if;
  return new;
end
$function$;

CREATE OR REPLACE FUNCTION leases.refuse_usage_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'DELETE' and platform.is_erasing() then
    return old;
  end if;
  raise exception 'usage is append-only' using errcode = 'restrict_violation', constraint = tg_name;
end
$function$;

CREATE OR REPLACE FUNCTION orders.is_allergen_list(names text[])
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select names = array_remove(array[
    case when 'gluten' = any (names) then 'gluten' end,
    case when 'crustaceans' = any (names) then 'crustaceans' end,
    case when 'eggs' = any (names) then 'eggs' end,
    case when 'fish' = any (names) then 'fish' end,
    case when 'peanuts' = any (names) then 'peanuts' end,
    case when 'soybeans' = any (names) then 'soybeans' end,
    case when 'milk' = any (names) then 'milk' end,
    case when 'nuts' = any (names) then 'nuts' end,
    case when 'celery' = any (names) then 'celery' end,
    case when 'mustard' = any (names) then 'mustard' end,
    case when 'sesame' = any (names) then 'sesame' end,
    case when 'sulphites' = any (names) then 'sulphites' end,
    case when 'lupin' = any (names) then 'lupin' end,
    case when 'molluscs' = any (names) then 'molluscs' end
  ], null)
$function$;

CREATE OR REPLACE FUNCTION orders.phone_digits(phone text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case
    when phone is null then null
    when digits ~ '^[+]?[0-9]{4,17}$' then digits
    else '?'
  end
  from regexp_replace(phone,
    '[[:space:]\u00a0\u2000-\u200f\u202a-\u202f\u2060-\u2069\ufeff]', '', 'g') as dense,
  lateral regexp_replace(dense, '^([(]?([+]|00)[-0-9.()/]*)[(]0[)]', '\1') as international,
  lateral regexp_replace(international, '[-().\u2010-\u2015/]', '', 'g') as joined,
  lateral regexp_replace(joined, '^00', '+') as digits
$function$;

CREATE OR REPLACE FUNCTION orders.refuse_ledger_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'DELETE' and platform.is_erasing() then
    return null;
  end if;
  raise exception 'ledger entries are append-only' using errcode = 'restrict_violation';
end
$function$;

CREATE OR REPLACE FUNCTION orders.refuse_line_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'orders'
AS $function$
begin
  if tg_op = 'DELETE' and platform.is_erasing() then
    return null;
  end if;
  if exists (
    select from changed c
      left join sales_order o on o.tenant_id = c.tenant_id and o.id = c.order_id
     where o.state is distinct from 'draft'
  ) then
    raise exception 'the lines of an order that is no draft do not change'
      using errcode = 'check_violation', constraint = 'sales_order_line_fixed';
  end if;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION orders.refuse_line_update()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'orders'
AS $function$
begin
  if (select state from sales_order where tenant_id = old.tenant_id and id = old.order_id)
    is distinct from 'draft'
  then
    raise exception 'the lines of an order that is no draft do not change'
      using errcode = 'check_violation', constraint = 'sales_order_line_fixed';
  end if;
  return new;
end
$function$;

CREATE OR REPLACE FUNCTION orders.refuse_order_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'an order does not change like this (%, state % to %)',
    tg_name, case when tg_op = 'UPDATE' then old.state end, new.state
    using errcode = 'check_violation', constraint = tg_name;
end
$function$;

CREATE OR REPLACE FUNCTION platform.add_job(task text, payload jsonb, run_at timestamp with time zone, job_key text, queue text, max_attempts integer)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
revoke execute on function platform.add_job(task text, payload jsonb, run_at timestamp with time zone, job_key text, queue text, max_attempts integer) from public;
grant execute on function platform.add_job(task text, payload jsonb, run_at timestamp with time zone, job_key text, queue text, max_attempts integer) to plimsoll_app;

CREATE OR REPLACE FUNCTION platform.append_audit(p_tenant_id uuid, p_records jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  chains constant integer := 32;
  own constant integer := pg_backend_pid() % chains;
  lock_key constant bigint := hashtextextended(p_tenant_id::text, 20232) & -32;
  at_chain integer;
  head_seq bigint;
  head_hash bytea;
  record jsonb;
  written platform.audit;
begin
  for tries in 0..chains loop
    at_chain := (own + tries) % chains;
    exit when tries < chains and pg_try_advisory_xact_lock(lock_key | at_chain);
    if tries = chains then
      perform pg_advisory_xact_lock(lock_key | at_chain);
    end if;
  end loop;
  select h.seq, h.hash into head_seq, head_hash
    from platform.audit_head h where h.tenant_id = p_tenant_id and h.chain = at_chain;
  written.tenant_id := p_tenant_id;
  written.chain := at_chain;
  written.seq := coalesce(head_seq, 0);
  written.hash := coalesce(head_hash, '\x');
  for record in select value from jsonb_array_elements(p_records) loop
    written.seq := written.seq + 1;
    written.at := clock_timestamp();
    written.id := platform.uuid_v7(written.at);
    written.actor_kind := record #>> '{actor,kind}';
    written.actor_id := record #>> '{actor,id}';
    written.actor_user_id := record #>> '{actor,userId}';
    written.actor_name := record #>> '{actor,name}';
    written.action := record ->> 'action';
    written.resource_type := record #>> '{resource,type}';
    written.resource_id := record #>> '{resource,id}';
    written.request_id := record ->> 'requestId';
    written.before := nullif(record -> 'before', 'null');
    written.after := nullif(record -> 'after', 'null');
    written.hash := platform.audit_digest(written.hash, written);
    insert into platform.audit values (written.*);
  end loop;
  if head_seq is null then
    insert into platform.audit_head (tenant_id, chain, seq, hash)
      values (p_tenant_id, at_chain, written.seq, written.hash);
  else
    update platform.audit_head h set seq = written.seq, hash = written.hash
     where h.tenant_id = p_tenant_id and h.chain = at_chain;
  end if;
end
$function$;
revoke execute on function platform.append_audit(p_tenant_id uuid, p_records jsonb) from public;
grant execute on function platform.append_audit(p_tenant_id uuid, p_records jsonb) to plimsoll_app;

CREATE OR REPLACE FUNCTION platform.claim_idempotency_key(p_tenant_id uuid, p_principal text, p_key text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  perform pg_advisory_xact_lock(
    hashtextextended(concat_ws(' ', p_tenant_id, p_principal, p_key), 20231));
  if exists (
    select from platform.idempotency
     where tenant_id = p_tenant_id and principal = p_principal and key = p_key
       and expires_at > now()
  ) then
    raise exception 'an answer is kept under the key' using errcode = 'PLM01';
  end if;
end $function$;
revoke execute on function platform.claim_idempotency_key(p_tenant_id uuid, p_principal text, p_key text) from public;
grant execute on function platform.claim_idempotency_key(p_tenant_id uuid, p_principal text, p_key text) to plimsoll_app;

CREATE OR REPLACE FUNCTION platform.is_erasing()
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(current_setting('plimsoll.erasing', true), '') = 'on'
$function$;

CREATE OR REPLACE FUNCTION platform.prune_audit(tenant uuid, older_than timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
declare
  head record;
  last platform.audit;
  removed_of_chain bigint;
  removed bigint := 0;
begin
  perform set_config('app.tenant_id', tenant::text, true);
  perform set_config('plimsoll.audit_retention', 'on', true);
  for head in select * from platform.audit_head where tenant_id = tenant for update loop
    select * into last from platform.audit
     where tenant_id = tenant and chain = head.chain
       and seq < coalesce(
         (select min(seq) from platform.audit
           where tenant_id = tenant and chain = head.chain and at >= older_than),
         head.seq + 1)
     order by seq desc limit 1;
    continue when not found;
    update platform.audit_head set base_seq = last.seq, base_hash = last.hash
     where tenant_id = tenant and chain = head.chain;
    delete from platform.audit
     where tenant_id = tenant and chain = head.chain and seq <= last.seq;
    get diagnostics removed_of_chain = row_count;
    removed := removed + removed_of_chain;
  end loop;
  perform set_config('plimsoll.audit_retention', '', true);
  return removed;
end
$function$;
revoke execute on function platform.prune_audit(tenant uuid, older_than timestamp with time zone) from public;

CREATE OR REPLACE FUNCTION platform.refuse_audit_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'DELETE' and current_setting('plimsoll.audit_retention', true) = 'on' then
    return null;
  end if;
  raise exception 'audit records are append-only' using errcode = 'restrict_violation';
end
$function$;

CREATE OR REPLACE FUNCTION platform.uuid_v7()
 RETURNS uuid
 LANGUAGE sql
 PARALLEL SAFE
AS $function$
  select platform.uuid_v7(clock_timestamp())
$function$;

CREATE OR REPLACE FUNCTION platform.uuid_v7(moment timestamp with time zone)
 RETURNS uuid
 LANGUAGE sql
 PARALLEL SAFE
AS $function$
  select encode(
    substring(int8send((extract(epoch from moment) * 1000000)::bigint / 1000) from 3)
      || substring(int4send((28672
        + (extract(epoch from moment) * 1000000)::bigint % 1000 * 4096 / 1000)::integer) from 3)
      || substring(uuid_send(gen_random_uuid()) from 9), 'hex')::uuid
$function$;

CREATE OR REPLACE FUNCTION platform.uuid_v7_at(moment timestamp with time zone)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select encode(
    substring(int8send(micros / 1000) from 3)
      || substring(int4send((28672 + (micros % 1000) * 4096 / 1000)::integer) from 3)
      || '\x8000000000000000'::bytea, 'hex')::uuid
    from (select (extract(epoch from moment) * 1000000)::bigint as micros) as time
$function$;

create table consistency.history_check (
  tenant_id uuid not null,
  id uuid not null,
  store_id uuid,
  name text not null,
  state text not null,
  status text,
  report jsonb,
  message text,
  page bytea,
  created_at timestamp with time zone not null,
  finished_at timestamp with time zone,
  constraint history_check_pkey PRIMARY KEY (tenant_id, id),
  constraint history_check_check CHECK (((state = 'running'::text) = (finished_at IS NULL))),
  constraint history_check_check1 CHECK (((state = 'done'::text) = ((status IS NOT NULL) AND (report IS NOT NULL)))),
  constraint history_check_message_check CHECK ((char_length(message) <= 1000)),
  constraint history_check_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200))),
  constraint history_check_state_check CHECK ((state = ANY (ARRAY['running'::text, 'done'::text, 'failed'::text]))),
  constraint history_check_status_check CHECK ((status = ANY (ARRAY['ok'::text, 'violation'::text, 'unknown'::text])))
);
alter table consistency.history_check enable row level security;
alter table consistency.history_check force row level security;
create policy tenant_isolation on consistency.history_check as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on consistency.history_check to plimsoll_app;

create table consistency.run (
  tenant_id uuid not null,
  id uuid not null,
  store_id uuid not null,
  kind text not null,
  experiment text,
  spec jsonb not null,
  state text not null,
  done integer not null,
  total integer,
  summary jsonb,
  status text,
  words text,
  check_id uuid,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  finished_at timestamp with time zone,
  constraint run_pkey PRIMARY KEY (tenant_id, id),
  constraint run_check CHECK (((kind = 'experiment'::text) = (experiment IS NOT NULL))),
  constraint run_check1 CHECK (((state = 'running'::text) = (finished_at IS NULL))),
  constraint run_done_check CHECK ((done >= 0)),
  constraint run_kind_check CHECK ((kind = ANY (ARRAY['workload'::text, 'experiment'::text]))),
  constraint run_state_check CHECK ((state = ANY (ARRAY['running'::text, 'done'::text, 'cancelled'::text, 'failed'::text]))),
  constraint run_status_check CHECK ((status = ANY (ARRAY['ok'::text, 'violation'::text, 'unknown'::text]))),
  constraint run_total_check CHECK ((total >= 0)),
  constraint run_words_check CHECK ((char_length(words) <= 2000))
);
CREATE INDEX run_of_store ON consistency.run USING btree (tenant_id, store_id, id DESC);
alter table consistency.run enable row level security;
alter table consistency.run force row level security;
create policy tenant_isolation on consistency.run as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on consistency.run to plimsoll_app;

create table consistency.store (
  tenant_id uuid not null,
  id uuid not null,
  name text not null,
  engine text not null,
  mode text not null,
  replicas integer not null,
  max_staleness_ms integer,
  max_staleness_versions integer,
  operation_timeout_ms integer not null,
  breaker_failures integer not null,
  breaker_open_ms integer not null,
  topology jsonb not null,
  password_sealed text,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint store_pkey PRIMARY KEY (tenant_id, id),
  constraint store_name_taken UNIQUE (tenant_id, name),
  constraint store_breaker_failures_check CHECK (((breaker_failures >= 1) AND (breaker_failures <= 100))),
  constraint store_breaker_open_ms_check CHECK (((breaker_open_ms >= 50) AND (breaker_open_ms <= 600000))),
  constraint store_engine_check CHECK ((engine = ANY (ARRAY['embedded'::text, 'redis'::text, 'etcd'::text]))),
  constraint store_max_staleness_ms_check CHECK (((max_staleness_ms >= 1) AND (max_staleness_ms <= 600000))),
  constraint store_max_staleness_versions_check CHECK (((max_staleness_versions >= 0) AND (max_staleness_versions <= 1000000))),
  constraint store_mode_check CHECK ((mode = ANY (ARRAY['CP'::text, 'AP'::text]))),
  constraint store_name_check CHECK ((((char_length(name) >= 1) AND (char_length(name) <= 100)) AND (name = btrim(name)))),
  constraint store_operation_timeout_ms_check CHECK (((operation_timeout_ms >= 50) AND (operation_timeout_ms <= 30000))),
  constraint store_replicas_check CHECK (((replicas >= 1) AND (replicas <= 9))),
  constraint store_version_check CHECK ((version >= 1))
);
alter table consistency.store enable row level security;
alter table consistency.store force row level security;
create policy tenant_isolation on consistency.store as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on consistency.store to plimsoll_app;

create table consistency.store_owner (
  tenant_id uuid not null,
  store_id uuid not null,
  process uuid not null,
  generation integer not null,
  seen_at timestamp with time zone not null,
  constraint store_owner_pkey PRIMARY KEY (tenant_id, store_id),
  constraint store_owner_generation_check CHECK ((generation >= 1))
);
alter table consistency.store_owner enable row level security;
alter table consistency.store_owner force row level security;
create policy tenant_isolation on consistency.store_owner as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on consistency.store_owner to plimsoll_app;

create table leases.lease (
  tenant_id uuid not null,
  id uuid not null,
  owner_id text not null,
  name text,
  template_id uuid,
  template_name text,
  restored_from uuid,
  image text not null,
  command text[],
  pre_stop jsonb,
  env_sealed bytea,
  env_names text[] not null,
  runtime text not null,
  runtime_place text not null,
  cpu_millis integer not null,
  memory_mb integer not null,
  disk_mb integer,
  pids_max integer not null,
  run_as text,
  writable boolean not null,
  egress text not null,
  oci_runtime text,
  ports integer[] not null,
  idle_ttl_seconds integer,
  pause_seconds integer not null,
  warn_seconds integer not null,
  snapshot_on_end boolean not null,
  max_restarts integer not null,
  price jsonb not null,
  rate numeric(40,0) not null,
  flat_micros numeric(40,0) not null,
  currency text not null,
  created_at timestamp with time zone not null,
  hard_expires_at timestamp with time zone not null,
  state text not null,
  desired text not null,
  generation integer not null,
  step_token uuid,
  step_until timestamp with time zone,
  attempts integer not null,
  retry_at timestamp with time zone,
  deadline timestamp with time zone,
  container_id text,
  isolation jsonb,
  ttl_seconds integer not null,
  started_at timestamp with time zone,
  running_since timestamp with time zone,
  expires_at timestamp with time zone not null,
  last_activity_at timestamp with time zone not null,
  paused_at timestamp with time zone,
  paused_until timestamp with time zone,
  ends_at timestamp with time zone not null,
  warned_for timestamp with time zone,
  seen_at timestamp with time zone,
  ended_at timestamp with time zone,
  termination_reason text,
  exit_code integer,
  message text,
  restarts integer not null,
  pre_stop_done boolean not null,
  snapshot_id uuid,
  cost_micros numeric(40,0) not null,
  version integer not null,
  updated_at timestamp with time zone not null,
  constraint lease_pkey PRIMARY KEY (tenant_id, id),
  constraint lease_attempts_check CHECK ((attempts >= 0)),
  constraint lease_check CHECK ((hard_expires_at > created_at)),
  constraint lease_check1 CHECK ((expires_at <= hard_expires_at)),
  constraint lease_check2 CHECK (((state = ANY (ARRAY['ended'::text, 'failed'::text])) = (ended_at IS NOT NULL))),
  constraint lease_check3 CHECK (((state = ANY (ARRAY['stopping'::text, 'ended'::text, 'failed'::text])) = (termination_reason IS NOT NULL))),
  constraint lease_check4 CHECK (((state = ANY (ARRAY['stopping'::text, 'ended'::text, 'failed'::text])) = (desired = 'ended'::text))),
  constraint lease_check5 CHECK (((state = 'running'::text) = (running_since IS NOT NULL))),
  constraint lease_check6 CHECK (((state = 'paused'::text) = (paused_at IS NOT NULL))),
  constraint lease_check7 CHECK (((paused_at IS NULL) = (paused_until IS NULL))),
  constraint lease_check8 CHECK (((step_token IS NULL) = (step_until IS NULL))),
  constraint lease_check9 CHECK (((state <> ALL (ARRAY['ended'::text, 'failed'::text])) OR ((env_sealed IS NULL) AND (step_token IS NULL) AND (retry_at IS NULL) AND (deadline IS NULL)))),
  constraint lease_command_check CHECK (((cardinality(command) >= 1) AND (cardinality(command) <= 64))),
  constraint lease_container_id_check CHECK ((container_id <> ''::text)),
  constraint lease_cost_micros_check CHECK ((cost_micros >= (0)::numeric)),
  constraint lease_cpu_millis_check CHECK ((cpu_millis > 0)),
  constraint lease_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
  constraint lease_desired_check CHECK ((desired = ANY (ARRAY['running'::text, 'paused'::text, 'ended'::text]))),
  constraint lease_disk_mb_check CHECK ((disk_mb > 0)),
  constraint lease_egress_check CHECK ((egress = ANY (ARRAY['none'::text, 'internet'::text]))),
  constraint lease_env_names_check CHECK ((cardinality(env_names) <= 64)),
  constraint lease_flat_micros_check CHECK ((flat_micros >= (0)::numeric)),
  constraint lease_generation_check CHECK ((generation >= 1)),
  constraint lease_idle_ttl_seconds_check CHECK ((idle_ttl_seconds > 0)),
  constraint lease_image_check CHECK (((char_length(image) >= 1) AND (char_length(image) <= 600))),
  constraint lease_max_restarts_check CHECK ((max_restarts >= 0)),
  constraint lease_memory_mb_check CHECK ((memory_mb > 0)),
  constraint lease_message_check CHECK ((char_length(message) <= 1000)),
  constraint lease_name_check CHECK ((((char_length(name) >= 1) AND (char_length(name) <= 100)) AND (name = btrim(name)))),
  constraint lease_owner_id_check CHECK ((owner_id <> ''::text)),
  constraint lease_pause_seconds_check CHECK ((pause_seconds > 0)),
  constraint lease_pids_max_check CHECK ((pids_max > 0)),
  constraint lease_ports_check CHECK ((cardinality(ports) <= 16)),
  constraint lease_pre_stop_check CHECK ((jsonb_typeof(pre_stop) = 'object'::text)),
  constraint lease_price_check CHECK ((jsonb_typeof(price) = 'object'::text)),
  constraint lease_rate_check CHECK ((rate >= (0)::numeric)),
  constraint lease_restarts_check CHECK ((restarts >= 0)),
  constraint lease_runtime_check CHECK ((runtime = ANY (ARRAY['docker'::text, 'kubernetes'::text, 'process'::text]))),
  constraint lease_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'starting'::text, 'running'::text, 'paused'::text, 'stopping'::text, 'ended'::text, 'failed'::text]))),
  constraint lease_termination_reason_check CHECK ((termination_reason = ANY (ARRAY['expired'::text, 'idle'::text, 'released'::text, 'hard_cap'::text, 'budget'::text, 'oom'::text, 'crashed'::text, 'failed'::text, 'admin'::text]))),
  constraint lease_ttl_seconds_check CHECK ((ttl_seconds > 0)),
  constraint lease_version_check CHECK ((version >= 1)),
  constraint lease_warn_seconds_check CHECK ((warn_seconds >= 0))
);
CREATE INDEX lease_alive ON leases.lease USING btree (tenant_id, id) WHERE (state <> ALL (ARRAY['ended'::text, 'failed'::text]));
CREATE INDEX lease_by_end ON leases.lease USING btree (tenant_id, ends_at, id);
CREATE INDEX lease_made ON leases.lease USING btree (tenant_id, created_at, id);
CREATE INDEX lease_of_owner ON leases.lease USING btree (tenant_id, owner_id, created_at, id);
CREATE INDEX lease_of_state ON leases.lease USING btree (tenant_id, state, created_at, id);
CREATE INDEX lease_over ON leases.lease USING btree (tenant_id, ended_at) WHERE (ended_at IS NOT NULL);
alter table leases.lease enable row level security;
alter table leases.lease force row level security;
create policy tenant_isolation on leases.lease as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
CREATE TRIGGER lease_agreed BEFORE UPDATE ON leases.lease FOR EACH ROW WHEN ((((((((((((((((new.id IS DISTINCT FROM old.id) OR (new.owner_id IS DISTINCT FROM old.owner_id)) OR (new.image IS DISTINCT FROM old.image)) OR (new.command IS DISTINCT FROM old.command)) OR (new.runtime IS DISTINCT FROM old.runtime)) OR (new.runtime_place IS DISTINCT FROM old.runtime_place)) OR (new.cpu_millis IS DISTINCT FROM old.cpu_millis)) OR (new.memory_mb IS DISTINCT FROM old.memory_mb)) OR (new.disk_mb IS DISTINCT FROM old.disk_mb)) OR (new.rate IS DISTINCT FROM old.rate)) OR (new.flat_micros IS DISTINCT FROM old.flat_micros)) OR (new.currency IS DISTINCT FROM old.currency)) OR (new.created_at IS DISTINCT FROM old.created_at)) OR (new.hard_expires_at IS DISTINCT FROM old.hard_expires_at)) OR (new.generation < old.generation) OR (old.state = ANY (ARRAY['ended'::text, 'failed'::text])))) EXECUTE FUNCTION leases.refuse_lease_change();
CREATE TRIGGER lease_begins BEFORE INSERT ON leases.lease FOR EACH ROW WHEN ((new.state <> 'pending'::text)) EXECUTE FUNCTION leases.refuse_lease_change();
CREATE TRIGGER lease_kept BEFORE DELETE ON leases.lease FOR EACH ROW WHEN ((old.state <> ALL (ARRAY['ended'::text, 'failed'::text]))) EXECUTE FUNCTION leases.refuse_lease_change();
CREATE TRIGGER lease_moves BEFORE UPDATE ON leases.lease FOR EACH ROW WHEN (((old.state <> new.state) AND (((((((((((((old.state <> 'pending'::text) OR (new.state <> 'starting'::text)) AND ((old.state <> 'pending'::text) OR (new.state <> 'stopping'::text))) AND ((old.state <> 'starting'::text) OR (new.state <> 'running'::text))) AND ((old.state <> 'starting'::text) OR (new.state <> 'stopping'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'paused'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'starting'::text))) AND ((old.state <> 'running'::text) OR (new.state <> 'stopping'::text))) AND ((old.state <> 'paused'::text) OR (new.state <> 'running'::text))) AND ((old.state <> 'paused'::text) OR (new.state <> 'starting'::text))) AND ((old.state <> 'paused'::text) OR (new.state <> 'stopping'::text))) AND ((old.state <> 'stopping'::text) OR (new.state <> 'ended'::text))) AND ((old.state <> 'stopping'::text) OR (new.state <> 'failed'::text))))) EXECUTE FUNCTION leases.refuse_lease_change();
CREATE TRIGGER lease_usage_ends AFTER UPDATE ON leases.lease FOR EACH ROW WHEN (((old.state = 'running'::text) AND (new.state <> 'running'::text))) EXECUTE FUNCTION leases.refuse_endless_usage();
grant select, insert, update, delete on leases.lease to plimsoll_app;

create table leases.lease_due (
  of_tenant uuid not null,
  kind text not null,
  subject_id uuid not null,
  due_at timestamp with time zone not null,
  claimed_until timestamp with time zone default '-infinity'::timestamp with time zone not null,
  claim_id uuid,
  constraint lease_due_pkey PRIMARY KEY (of_tenant, kind, subject_id),
  constraint lease_due_kind_check CHECK ((kind = ANY (ARRAY['lease'::text, 'snapshot'::text, 'budget'::text, 'warm'::text, 'pools'::text])))
);
CREATE INDEX lease_due_at ON leases.lease_due USING btree (due_at);
grant select, insert, update, delete on leases.lease_due to plimsoll_app;

create table leases.lease_installation (
  is_only boolean default true not null,
  id text not null,
  constraint lease_installation_pkey PRIMARY KEY (is_only),
  constraint lease_installation_id_check CHECK ((id ~ '^[0-9a-f]{10}$'::text)),
  constraint lease_installation_is_only_check CHECK (is_only)
);
grant select, insert on leases.lease_installation to plimsoll_app;

create table leases.lease_quota (
  tenant_id uuid not null,
  owner_id text not null,
  leases integer not null,
  cpu_millis bigint not null,
  memory_mb bigint not null,
  disk_mb bigint not null,
  snapshots integer not null,
  constraint lease_quota_pkey PRIMARY KEY (tenant_id, owner_id),
  constraint lease_quota_cpu_millis_check CHECK ((cpu_millis >= 0)),
  constraint lease_quota_disk_mb_check CHECK ((disk_mb >= 0)),
  constraint lease_quota_leases_check CHECK ((leases >= 0)),
  constraint lease_quota_memory_mb_check CHECK ((memory_mb >= 0)),
  constraint lease_quota_snapshots_check CHECK ((snapshots >= 0))
);
alter table leases.lease_quota enable row level security;
alter table leases.lease_quota force row level security;
create policy tenant_isolation on leases.lease_quota as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on leases.lease_quota to plimsoll_app;

create table leases.lease_snapshot (
  tenant_id uuid not null,
  id uuid not null,
  lease_id uuid not null,
  owner_id text not null,
  name text,
  description text not null,
  state text not null,
  automatic boolean not null,
  runtime text not null,
  runtime_place text not null,
  image text,
  size_bytes bigint,
  settings jsonb not null,
  message text,
  step_token uuid,
  step_until timestamp with time zone,
  attempts integer default 0 not null,
  retry_at timestamp with time zone,
  deadline timestamp with time zone,
  version integer default 1 not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint lease_snapshot_pkey PRIMARY KEY (tenant_id, id),
  constraint lease_snapshot_attempts_check CHECK ((attempts >= 0)),
  constraint lease_snapshot_check CHECK (((state <> 'ready'::text) OR (image IS NOT NULL))),
  constraint lease_snapshot_check1 CHECK (((step_token IS NULL) = (step_until IS NULL))),
  constraint lease_snapshot_check2 CHECK (((state = ANY (ARRAY['pending'::text, 'deleting'::text])) OR (step_token IS NULL))),
  constraint lease_snapshot_description_check CHECK ((char_length(description) <= 500)),
  constraint lease_snapshot_image_check CHECK (((char_length(image) >= 1) AND (char_length(image) <= 600))),
  constraint lease_snapshot_message_check CHECK ((char_length(message) <= 1000)),
  constraint lease_snapshot_name_check CHECK ((((char_length(name) >= 1) AND (char_length(name) <= 100)) AND (name = btrim(name)))),
  constraint lease_snapshot_owner_id_check CHECK ((owner_id <> ''::text)),
  constraint lease_snapshot_runtime_check CHECK ((runtime = ANY (ARRAY['docker'::text, 'kubernetes'::text, 'process'::text]))),
  constraint lease_snapshot_settings_check CHECK ((jsonb_typeof(settings) = 'object'::text)),
  constraint lease_snapshot_size_bytes_check CHECK ((size_bytes >= 0)),
  constraint lease_snapshot_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'ready'::text, 'failed'::text, 'deleting'::text]))),
  constraint lease_snapshot_version_check CHECK ((version >= 1))
);
CREATE INDEX lease_snapshot_of_lease ON leases.lease_snapshot USING btree (tenant_id, lease_id, id);
CREATE INDEX lease_snapshot_of_owner ON leases.lease_snapshot USING btree (tenant_id, owner_id, id);
alter table leases.lease_snapshot enable row level security;
alter table leases.lease_snapshot force row level security;
create policy tenant_isolation on leases.lease_snapshot as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on leases.lease_snapshot to plimsoll_app;

create table leases.lease_template (
  tenant_id uuid not null,
  id uuid not null,
  name text not null,
  description text not null,
  image text not null,
  command text[],
  cpu_millis integer not null,
  memory_mb integer not null,
  disk_mb integer,
  ttl_seconds integer not null,
  idle_ttl_seconds integer,
  max_cpu_millis integer,
  max_memory_mb integer,
  max_disk_mb integer,
  max_ttl_seconds integer,
  pids_max integer not null,
  run_as text,
  writable boolean not null,
  egress text not null,
  oci_runtime text,
  ports integer[] not null,
  pre_stop jsonb,
  snapshot_on_end boolean not null,
  max_restarts integer not null,
  price_cpu_hour_minor integer,
  price_gb_hour_minor integer,
  price_flat_minor integer,
  active boolean not null,
  version integer default 1 not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  warm_size integer default 0 not null,
  constraint lease_template_pkey PRIMARY KEY (tenant_id, id),
  constraint lease_template_name_taken UNIQUE (tenant_id, name),
  constraint lease_template_check CHECK ((max_cpu_millis >= cpu_millis)),
  constraint lease_template_check1 CHECK ((max_memory_mb >= memory_mb)),
  constraint lease_template_check2 CHECK ((max_ttl_seconds >= ttl_seconds)),
  constraint lease_template_check3 CHECK (((NOT snapshot_on_end) OR writable)),
  constraint lease_template_command_check CHECK (((cardinality(command) >= 1) AND (cardinality(command) <= 64))),
  constraint lease_template_cpu_millis_check CHECK (((cpu_millis >= 10) AND (cpu_millis <= 256000))),
  constraint lease_template_description_check CHECK ((char_length(description) <= 500)),
  constraint lease_template_disk_mb_check CHECK (((disk_mb >= 1) AND (disk_mb <= 16777216))),
  constraint lease_template_egress_check CHECK ((egress = ANY (ARRAY['none'::text, 'internet'::text]))),
  constraint lease_template_idle_ttl_seconds_check CHECK ((idle_ttl_seconds >= 1)),
  constraint lease_template_image_check CHECK (((char_length(image) >= 1) AND (char_length(image) <= 300))),
  constraint lease_template_max_disk_mb_check CHECK ((max_disk_mb >= 1)),
  constraint lease_template_max_restarts_check CHECK (((max_restarts >= 0) AND (max_restarts <= 10))),
  constraint lease_template_memory_mb_check CHECK (((memory_mb >= 16) AND (memory_mb <= 4194304))),
  constraint lease_template_name_check CHECK ((name ~ '^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$'::text)),
  constraint lease_template_oci_runtime_check CHECK ((oci_runtime ~ '^[a-z0-9][a-z0-9._-]{0,62}$'::text)),
  constraint lease_template_pids_max_check CHECK (((pids_max >= 8) AND (pids_max <= 512))),
  constraint lease_template_ports_check CHECK ((cardinality(ports) <= 16)),
  constraint lease_template_pre_stop_check CHECK ((jsonb_typeof(pre_stop) = 'object'::text)),
  constraint lease_template_price_cpu_hour_minor_check CHECK (((price_cpu_hour_minor >= 0) AND (price_cpu_hour_minor <= 1000000))),
  constraint lease_template_price_flat_minor_check CHECK (((price_flat_minor >= 0) AND (price_flat_minor <= 100000000))),
  constraint lease_template_price_gb_hour_minor_check CHECK (((price_gb_hour_minor >= 0) AND (price_gb_hour_minor <= 1000000))),
  constraint lease_template_run_as_check CHECK ((run_as ~ '^[0-9]{1,10}:[0-9]{1,10}$'::text)),
  constraint lease_template_ttl_seconds_check CHECK ((ttl_seconds >= 1)),
  constraint lease_template_version_check CHECK ((version >= 1)),
  constraint lease_template_warm_size_check CHECK (((warm_size >= 0) AND (warm_size <= 20)))
);
alter table leases.lease_template enable row level security;
alter table leases.lease_template force row level security;
create policy tenant_isolation on leases.lease_template as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on leases.lease_template to plimsoll_app;

create table leases.lease_usage (
  tenant_id uuid not null,
  id uuid not null,
  lease_id uuid not null,
  owner_id text not null,
  template_name text,
  image text not null,
  cpu_millis integer not null,
  memory_mb integer not null,
  rate numeric(40,0) not null,
  flat_micros numeric(40,0) not null,
  currency text not null,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  cost_micros numeric(40,0),
  constraint lease_usage_pkey PRIMARY KEY (tenant_id, id),
  constraint lease_usage_check CHECK ((ended_at >= started_at)),
  constraint lease_usage_check1 CHECK ((cost_micros >= flat_micros)),
  constraint lease_usage_check2 CHECK (((ended_at IS NULL) = (cost_micros IS NULL))),
  constraint lease_usage_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
  constraint lease_usage_flat_micros_check CHECK ((flat_micros >= (0)::numeric)),
  constraint lease_usage_owner_id_check CHECK ((owner_id <> ''::text)),
  constraint lease_usage_rate_check CHECK ((rate >= (0)::numeric))
);
CREATE INDEX lease_usage_by_time ON leases.lease_usage USING btree (tenant_id, started_at);
CREATE INDEX lease_usage_of_lease ON leases.lease_usage USING btree (tenant_id, lease_id, started_at);
CREATE UNIQUE INDEX lease_usage_open ON leases.lease_usage USING btree (tenant_id, lease_id) WHERE (ended_at IS NULL);
alter table leases.lease_usage enable row level security;
alter table leases.lease_usage force row level security;
create policy tenant_isolation on leases.lease_usage as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
CREATE TRIGGER lease_usage_append_only BEFORE DELETE ON leases.lease_usage FOR EACH ROW EXECUTE FUNCTION leases.refuse_usage_change();
CREATE TRIGGER lease_usage_closed_once BEFORE UPDATE ON leases.lease_usage FOR EACH ROW WHEN (((old.ended_at IS NOT NULL) OR ((((((new.id IS DISTINCT FROM old.id) OR (new.lease_id IS DISTINCT FROM old.lease_id)) OR (new.owner_id IS DISTINCT FROM old.owner_id)) OR (new.rate IS DISTINCT FROM old.rate)) OR (new.flat_micros IS DISTINCT FROM old.flat_micros)) OR (new.started_at IS DISTINCT FROM old.started_at)))) EXECUTE FUNCTION leases.refuse_usage_change();
CREATE TRIGGER lease_usage_opens AFTER INSERT ON leases.lease_usage FOR EACH ROW WHEN ((new.ended_at IS NULL)) EXECUTE FUNCTION leases.refuse_stray_usage();
grant select, insert on leases.lease_usage to plimsoll_app;
grant update (ended_at) on leases.lease_usage to plimsoll_app;
grant update (cost_micros) on leases.lease_usage to plimsoll_app;

create table leases.lease_warm (
  tenant_id uuid not null,
  id uuid not null,
  template_id uuid not null,
  spec jsonb not null,
  cpu_millis integer not null,
  memory_mb integer not null,
  disk_mb integer,
  state text not null,
  container_id text,
  message text,
  step_token uuid,
  step_until timestamp with time zone,
  attempts integer not null,
  retry_at timestamp with time zone,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint lease_warm_pkey PRIMARY KEY (tenant_id, id),
  constraint lease_warm_attempts_check CHECK ((attempts >= 0)),
  constraint lease_warm_check CHECK ((expires_at > created_at)),
  constraint lease_warm_check1 CHECK (((state <> 'ready'::text) OR ((container_id IS NOT NULL) AND (step_token IS NULL)))),
  constraint lease_warm_check2 CHECK (((step_token IS NULL) = (step_until IS NULL))),
  constraint lease_warm_container_id_check CHECK ((container_id <> ''::text)),
  constraint lease_warm_cpu_millis_check CHECK ((cpu_millis > 0)),
  constraint lease_warm_disk_mb_check CHECK ((disk_mb > 0)),
  constraint lease_warm_memory_mb_check CHECK ((memory_mb > 0)),
  constraint lease_warm_message_check CHECK ((char_length(message) <= 1000)),
  constraint lease_warm_spec_check CHECK ((jsonb_typeof(spec) = 'object'::text)),
  constraint lease_warm_state_check CHECK ((state = ANY (ARRAY['preparing'::text, 'ready'::text, 'removing'::text])))
);
CREATE INDEX lease_warm_ready ON leases.lease_warm USING btree (tenant_id, template_id, created_at) WHERE (state = 'ready'::text);
alter table leases.lease_warm enable row level security;
alter table leases.lease_warm force row level security;
create policy tenant_isolation on leases.lease_warm as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on leases.lease_warm to plimsoll_app;

create table orders.customer (
  tenant_id uuid not null,
  id uuid not null,
  name text not null,
  email text,
  phone text,
  allergen_restrictions text[] not null,
  notes text not null,
  active boolean not null,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  phone_digits text generated always as (orders.phone_digits(phone)) stored,
  constraint customer_pkey PRIMARY KEY (tenant_id, id),
  constraint customer_allergen_restrictions_check CHECK (orders.is_allergen_list(allergen_restrictions)),
  constraint customer_email_check CHECK ((((char_length(email) >= 3) AND (char_length(email) <= 254)) AND (email = btrim(email)))),
  constraint customer_name_check CHECK ((((char_length(name) >= 1) AND (char_length(name) <= 200)) AND (name = btrim(name)))),
  constraint customer_notes_check CHECK ((char_length(notes) <= 2000)),
  constraint customer_phone_check CHECK ((((char_length(phone) >= 1) AND (char_length(phone) <= 40)) AND (phone = btrim(phone)))),
  constraint customer_version_check CHECK ((version >= 1))
);
CREATE UNIQUE INDEX customer_email_taken ON orders.customer USING btree (tenant_id, lower(email));
CREATE INDEX customer_of_phone ON orders.customer USING btree (tenant_id, phone_digits, id) WHERE (phone_digits IS NOT NULL);
alter table orders.customer enable row level security;
alter table orders.customer force row level security;
create policy tenant_isolation on orders.customer as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on orders.customer to plimsoll_app;

create table orders.ledger_entry (
  tenant_id uuid not null,
  id uuid not null,
  order_id uuid,
  currency text not null,
  amount_minor bigint not null,
  vat_rate text not null,
  vat_minor bigint not null,
  reference text not null,
  created_at timestamp with time zone not null,
  constraint ledger_entry_pkey PRIMARY KEY (tenant_id, id),
  constraint ledger_entry_amount_minor_check CHECK (((amount_minor >= '-9007199254740991'::bigint) AND (amount_minor <= '9007199254740991'::bigint))),
  constraint ledger_entry_check CHECK (((id >= platform.uuid_v7_at(created_at)) AND (id < platform.uuid_v7_at((created_at + '00:00:00.001'::interval))))),
  constraint ledger_entry_check1 CHECK ((((vat_minor >= LEAST(amount_minor, (0)::bigint)) AND (vat_minor <= GREATEST(amount_minor, (0)::bigint))) AND ((vat_minor = 0) OR (vat_rate = ANY (ARRAY['reduced'::text, 'standard'::text]))))),
  constraint ledger_entry_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
  constraint ledger_entry_reference_check CHECK (((char_length(reference) >= 1) AND (char_length(reference) <= 200))),
  constraint ledger_entry_vat_rate_check CHECK ((vat_rate = ANY (ARRAY['zero'::text, 'reduced'::text, 'standard'::text, 'exempt'::text])))
);
CREATE INDEX ledger_entry_of_order ON orders.ledger_entry USING btree (tenant_id, order_id, id) WHERE (order_id IS NOT NULL);
alter table orders.ledger_entry enable row level security;
alter table orders.ledger_entry force row level security;
create policy tenant_isolation on orders.ledger_entry as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
CREATE TRIGGER ledger_entry_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON orders.ledger_entry FOR EACH STATEMENT EXECUTE FUNCTION orders.refuse_ledger_change();
grant select, insert on orders.ledger_entry to plimsoll_app;

create table orders.product (
  tenant_id uuid not null,
  id uuid not null,
  sku text not null,
  title text not null,
  ingredients text not null,
  allergens text[] not null,
  price_minor bigint not null,
  vat_rate text not null,
  stock integer,
  active boolean not null,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint product_pkey PRIMARY KEY (tenant_id, id),
  constraint product_sku_taken UNIQUE (tenant_id, sku),
  constraint product_allergens_check CHECK (orders.is_allergen_list(allergens)),
  constraint product_ingredients_check CHECK ((char_length(ingredients) <= 2000)),
  constraint product_price_minor_check CHECK (((price_minor >= 0) AND (price_minor <= '9007199254740991'::bigint))),
  constraint product_sku_check CHECK ((((char_length(sku) >= 1) AND (char_length(sku) <= 100)) AND (sku = btrim(sku)))),
  constraint product_stock_check CHECK ((stock >= 0)),
  constraint product_title_check CHECK ((((char_length(title) >= 1) AND (char_length(title) <= 255)) AND (title = btrim(title)))),
  constraint product_vat_rate_check CHECK ((vat_rate = ANY (ARRAY['zero'::text, 'reduced'::text, 'standard'::text, 'exempt'::text]))),
  constraint product_version_check CHECK ((version >= 1))
);
alter table orders.product enable row level security;
alter table orders.product force row level security;
create policy tenant_isolation on orders.product as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on orders.product to plimsoll_app;

create table orders.sales_order (
  tenant_id uuid not null,
  id uuid not null,
  number text not null,
  shop_id uuid not null,
  customer_id uuid,
  customer_name text,
  customer_email text,
  customer_phone text,
  notes text not null,
  state text not null,
  currency text not null,
  net_minor bigint not null,
  vat_minor bigint not null,
  total_minor bigint not null,
  allergen_warnings jsonb not null,
  acknowledged_allergens boolean not null,
  owner_id text not null,
  version integer default 1 not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint sales_order_pkey PRIMARY KEY (tenant_id, id),
  constraint sales_order_number_taken UNIQUE (tenant_id, number),
  constraint sales_order_allergen_warnings_check CHECK ((jsonb_typeof(allergen_warnings) = 'array'::text)),
  constraint sales_order_check CHECK (((id >= platform.uuid_v7_at(created_at)) AND (id < platform.uuid_v7_at((created_at + '00:00:00.001'::interval))))),
  constraint sales_order_check1 CHECK (((net_minor + vat_minor) = total_minor)),
  constraint sales_order_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
  constraint sales_order_customer_email_check CHECK (((char_length(customer_email) >= 3) AND (char_length(customer_email) <= 254))),
  constraint sales_order_customer_name_check CHECK (((char_length(customer_name) >= 1) AND (char_length(customer_name) <= 200))),
  constraint sales_order_customer_phone_check CHECK (((char_length(customer_phone) >= 1) AND (char_length(customer_phone) <= 40))),
  constraint sales_order_net_minor_check CHECK ((net_minor >= 0)),
  constraint sales_order_notes_check CHECK ((char_length(notes) <= 2000)),
  constraint sales_order_number_check CHECK ((number ~ '^[0-9]{6}-[0-9A-HJKMNP-TV-Z]{5}$'::text)),
  constraint sales_order_owner_id_check CHECK ((owner_id <> ''::text)),
  constraint sales_order_state_check CHECK ((state = ANY (ARRAY['draft'::text, 'pending'::text, 'confirmed'::text, 'preparing'::text, 'ready'::text, 'completed'::text, 'cancelled'::text]))),
  constraint sales_order_total_minor_check CHECK (((total_minor >= 0) AND (total_minor <= '9007199254740991'::bigint))),
  constraint sales_order_vat_minor_check CHECK ((vat_minor >= 0)),
  constraint sales_order_version_check CHECK ((version >= 1))
);
CREATE INDEX sales_order_completed ON orders.sales_order USING btree (tenant_id, updated_at) INCLUDE (currency, net_minor, vat_minor, total_minor, shop_id, owner_id) WHERE (state = 'completed'::text);
CREATE INDEX sales_order_of_customer ON orders.sales_order USING btree (tenant_id, customer_id, id) WHERE (customer_id IS NOT NULL);
CREATE INDEX sales_order_of_owner ON orders.sales_order USING btree (tenant_id, owner_id, id);
CREATE INDEX sales_order_of_shop ON orders.sales_order USING btree (tenant_id, shop_id, id);
CREATE INDEX sales_order_of_state ON orders.sales_order USING btree (tenant_id, state, id);
alter table orders.sales_order enable row level security;
alter table orders.sales_order force row level security;
create policy tenant_isolation on orders.sales_order as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
CREATE TRIGGER sales_order_agreed BEFORE UPDATE ON orders.sales_order FOR EACH ROW WHEN ((((((new.id IS DISTINCT FROM old.id) OR (new.number IS DISTINCT FROM old.number)) OR (new.owner_id IS DISTINCT FROM old.owner_id)) OR (new.created_at IS DISTINCT FROM old.created_at)) OR ((old.state <> 'draft'::text) AND ((((((new.shop_id IS DISTINCT FROM old.shop_id) OR (new.customer_id IS DISTINCT FROM old.customer_id)) OR (new.currency IS DISTINCT FROM old.currency)) OR (new.net_minor IS DISTINCT FROM old.net_minor)) OR (new.vat_minor IS DISTINCT FROM old.vat_minor)) OR (new.total_minor IS DISTINCT FROM old.total_minor))))) EXECUTE FUNCTION orders.refuse_order_change();
CREATE TRIGGER sales_order_begins BEFORE INSERT ON orders.sales_order FOR EACH ROW WHEN ((new.state <> 'draft'::text)) EXECUTE FUNCTION orders.refuse_order_change();
CREATE TRIGGER sales_order_moves BEFORE UPDATE ON orders.sales_order FOR EACH ROW WHEN (((old.state <> new.state) AND (((((((((((old.state <> 'draft'::text) OR (new.state <> 'pending'::text)) AND ((old.state <> 'draft'::text) OR (new.state <> 'cancelled'::text))) AND ((old.state <> 'pending'::text) OR (new.state <> 'confirmed'::text))) AND ((old.state <> 'pending'::text) OR (new.state <> 'cancelled'::text))) AND ((old.state <> 'confirmed'::text) OR (new.state <> 'preparing'::text))) AND ((old.state <> 'confirmed'::text) OR (new.state <> 'cancelled'::text))) AND ((old.state <> 'preparing'::text) OR (new.state <> 'ready'::text))) AND ((old.state <> 'preparing'::text) OR (new.state <> 'cancelled'::text))) AND ((old.state <> 'ready'::text) OR (new.state <> 'completed'::text))) AND ((old.state <> 'ready'::text) OR (new.state <> 'cancelled'::text))))) EXECUTE FUNCTION orders.refuse_order_change();
grant select, insert, update on orders.sales_order to plimsoll_app;

create table orders.sales_order_line (
  tenant_id uuid not null,
  order_id uuid not null,
  product_id uuid not null,
  "position" smallint not null,
  title text not null,
  unit_price_minor bigint not null,
  vat_rate text not null,
  allergens text[] not null,
  quantity integer not null,
  total_minor bigint not null,
  vat_minor bigint not null,
  reserved integer,
  constraint sales_order_line_pkey PRIMARY KEY (tenant_id, order_id, product_id),
  constraint sales_order_line_allergens_check CHECK (orders.is_allergen_list(allergens)),
  constraint sales_order_line_check CHECK ((total_minor = (unit_price_minor * quantity))),
  constraint sales_order_line_check1 CHECK ((((vat_minor >= 0) AND (vat_minor <= total_minor)) AND ((vat_minor = 0) OR (vat_rate = ANY (ARRAY['reduced'::text, 'standard'::text]))))),
  constraint sales_order_line_check2 CHECK (((reserved = 0) OR (reserved = quantity))),
  constraint sales_order_line_position_check CHECK ((("position" >= 0) AND ("position" <= 99))),
  constraint sales_order_line_quantity_check CHECK (((quantity >= 1) AND (quantity <= 10000))),
  constraint sales_order_line_title_check CHECK (((char_length(title) >= 1) AND (char_length(title) <= 255))),
  constraint sales_order_line_unit_price_minor_check CHECK (((unit_price_minor >= 0) AND (unit_price_minor <= '9007199254740991'::bigint))),
  constraint sales_order_line_vat_rate_check CHECK ((vat_rate = ANY (ARRAY['zero'::text, 'reduced'::text, 'standard'::text, 'exempt'::text])))
);
CREATE INDEX sales_order_line_of_product ON orders.sales_order_line USING btree (tenant_id, product_id);
alter table orders.sales_order_line enable row level security;
alter table orders.sales_order_line force row level security;
create policy tenant_isolation on orders.sales_order_line as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
CREATE TRIGGER sales_order_line_changed BEFORE UPDATE ON orders.sales_order_line FOR EACH ROW WHEN ((((((((((((new.tenant_id IS DISTINCT FROM old.tenant_id) OR (new.order_id IS DISTINCT FROM old.order_id)) OR (new.product_id IS DISTINCT FROM old.product_id)) OR (new."position" IS DISTINCT FROM old."position")) OR (new.title IS DISTINCT FROM old.title)) OR (new.unit_price_minor IS DISTINCT FROM old.unit_price_minor)) OR (new.vat_rate IS DISTINCT FROM old.vat_rate)) OR (new.allergens IS DISTINCT FROM old.allergens)) OR (new.quantity IS DISTINCT FROM old.quantity)) OR (new.total_minor IS DISTINCT FROM old.total_minor)) OR (new.vat_minor IS DISTINCT FROM old.vat_minor))) EXECUTE FUNCTION orders.refuse_line_update();
CREATE TRIGGER sales_order_line_made AFTER INSERT ON orders.sales_order_line REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION orders.refuse_line_change();
CREATE TRIGGER sales_order_line_removed AFTER DELETE ON orders.sales_order_line REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION orders.refuse_line_change();
grant select, insert, delete on orders.sales_order_line to plimsoll_app;
grant update (allergens) on orders.sales_order_line to plimsoll_app;
grant update (reserved) on orders.sales_order_line to plimsoll_app;

create table orders.shop (
  tenant_id uuid not null,
  id uuid not null,
  name text not null,
  address text not null,
  currency text not null,
  active boolean not null,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint shop_pkey PRIMARY KEY (tenant_id, id),
  constraint shop_name_taken UNIQUE (tenant_id, name),
  constraint shop_address_check CHECK ((char_length(address) <= 500)),
  constraint shop_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
  constraint shop_name_check CHECK ((((char_length(name) >= 1) AND (char_length(name) <= 200)) AND (name = btrim(name)))),
  constraint shop_version_check CHECK ((version >= 1))
);
alter table orders.shop enable row level security;
alter table orders.shop force row level security;
create policy tenant_isolation on orders.shop as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on orders.shop to plimsoll_app;

create table orders.sync_receipt (
  tenant_id uuid not null,
  client_id text not null,
  type text not null,
  key text not null,
  resource_id uuid not null,
  changes bytea[] not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint sync_receipt_pkey PRIMARY KEY (tenant_id, client_id, type, key),
  constraint sync_receipt_changes_check CHECK (((cardinality(changes) >= 1) AND (cardinality(changes) <= 100))),
  constraint sync_receipt_client_id_check CHECK (((char_length(client_id) >= 1) AND (char_length(client_id) <= 100))),
  constraint sync_receipt_key_check CHECK (((char_length(key) >= 1) AND (char_length(key) <= 100))),
  constraint sync_receipt_type_check CHECK ((type = ANY (ARRAY['shop'::text, 'product'::text, 'customer'::text, 'order'::text])))
);
alter table orders.sync_receipt enable row level security;
alter table orders.sync_receipt force row level security;
create policy tenant_isolation on orders.sync_receipt as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update on orders.sync_receipt to plimsoll_app;

create table orders.whatsapp_message (
  tenant_id uuid not null,
  message_id text not null,
  sender text not null,
  sender_name text,
  content jsonb not null,
  received_at timestamp with time zone not null,
  handled_at timestamp with time zone,
  order_id uuid,
  reply text,
  replied_at timestamp with time zone,
  constraint whatsapp_message_pkey PRIMARY KEY (tenant_id, message_id),
  constraint whatsapp_message_check CHECK (((handled_at IS NULL) = (reply IS NULL))),
  constraint whatsapp_message_check1 CHECK (((handled_at IS NOT NULL) OR ((order_id IS NULL) AND (replied_at IS NULL)))),
  constraint whatsapp_message_message_id_check CHECK (((char_length(message_id) >= 1) AND (char_length(message_id) <= 200))),
  constraint whatsapp_message_reply_check CHECK (((char_length(reply) >= 1) AND (char_length(reply) <= 4096))),
  constraint whatsapp_message_sender_check CHECK ((sender ~ '^\+[1-9][0-9]{6,14}$'::text)),
  constraint whatsapp_message_sender_name_check CHECK (((char_length(sender_name) >= 1) AND (char_length(sender_name) <= 200)))
);
CREATE INDEX whatsapp_message_received ON orders.whatsapp_message USING btree (tenant_id, received_at);
alter table orders.whatsapp_message enable row level security;
alter table orders.whatsapp_message force row level security;
create policy tenant_isolation on orders.whatsapp_message as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on orders.whatsapp_message to plimsoll_app;

create table orders.whatsapp_number (
  phone_number_id text not null,
  of_tenant uuid not null,
  constraint whatsapp_number_pkey PRIMARY KEY (phone_number_id),
  constraint whatsapp_number_of_tenant_key UNIQUE (of_tenant),
  constraint whatsapp_number_phone_number_id_check CHECK ((phone_number_id ~ '^[0-9]{1,30}$'::text))
);
grant select, insert, update, delete on orders.whatsapp_number to plimsoll_app;

create table platform.api_key (
  tenant_id uuid not null,
  id uuid not null,
  name text not null,
  key_hash bytea not null,
  last_four text not null,
  permissions text[] not null,
  created_by uuid not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  version integer default 1 not null,
  constraint api_key_pkey PRIMARY KEY (tenant_id, id),
  constraint api_key_tenant_id_key_hash_key UNIQUE (tenant_id, key_hash),
  constraint api_key_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);
CREATE INDEX api_key_created_by ON platform.api_key USING btree (created_by);
alter table platform.api_key enable row level security;
alter table platform.api_key force row level security;
create policy tenant_isolation on platform.api_key as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.api_key to plimsoll_app;

create table platform.app_user (
  id uuid not null,
  email text not null,
  name text not null,
  password_hash text,
  active boolean default true not null,
  platform_admin boolean default false not null,
  totp_secret bytea,
  totp_pending bytea,
  totp_last_step bigint default 0 not null,
  last_tenant uuid,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint app_user_pkey PRIMARY KEY (id),
  constraint app_user_email_key UNIQUE (email),
  constraint app_user_email_check CHECK (((email !~ '[A-Z]'::text) AND ((length(email) >= 3) AND (length(email) <= 254)))),
  constraint app_user_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);
CREATE INDEX app_user_last_tenant ON platform.app_user USING btree (last_tenant);
grant select, insert, update, delete on platform.app_user to plimsoll_app;

create table platform.audit (
  tenant_id uuid not null,
  seq bigint not null,
  id uuid not null,
  at timestamp with time zone not null,
  actor_kind text not null,
  actor_id text not null,
  actor_user_id text,
  actor_name text not null,
  action text not null,
  resource_type text not null,
  resource_id text not null,
  request_id text not null,
  before jsonb,
  after jsonb,
  hash bytea not null,
  chain smallint not null,
  constraint audit_pkey PRIMARY KEY (tenant_id, chain, seq)
);
CREATE INDEX audit_by_actor ON platform.audit USING btree (tenant_id, actor_id, id);
CREATE INDEX audit_by_id ON platform.audit USING btree (tenant_id, id);
CREATE INDEX audit_by_resource ON platform.audit USING btree (tenant_id, resource_type, resource_id, id);
alter table platform.audit enable row level security;
alter table platform.audit force row level security;
create policy tenant_isolation on platform.audit as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON platform.audit FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_audit_change();
grant select, insert on platform.audit to plimsoll_app;

create table platform.audit_head (
  tenant_id uuid not null,
  seq bigint not null,
  hash bytea not null,
  base_seq bigint default 0 not null,
  base_hash bytea default '\x'::bytea not null,
  chain smallint not null,
  constraint audit_head_pkey PRIMARY KEY (tenant_id, chain)
) with (fillfactor=50);
alter table platform.audit_head enable row level security;
alter table platform.audit_head force row level security;
create policy tenant_isolation on platform.audit_head as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select on platform.audit_head to plimsoll_app;
grant insert (tenant_id) on platform.audit_head to plimsoll_app;
grant insert (seq) on platform.audit_head to plimsoll_app;
grant insert (hash) on platform.audit_head to plimsoll_app;
grant insert (chain) on platform.audit_head to plimsoll_app;
grant update (seq) on platform.audit_head to plimsoll_app;
grant update (hash) on platform.audit_head to plimsoll_app;

create table platform.breaker (
  name text not null,
  is_held boolean default false not null,
  resets bigint default 0 not null,
  updated_at timestamp with time zone default now() not null,
  constraint breaker_pkey PRIMARY KEY (name),
  constraint breaker_name_check CHECK (((length(name) >= 1) AND (length(name) <= 400)))
);
grant select, insert, update on platform.breaker to plimsoll_app;

create table platform.event (
  tenant_id uuid not null,
  id uuid not null,
  type text not null,
  resource_type text not null,
  resource_id text not null,
  owner_id text,
  data jsonb not null,
  occurred_at timestamp with time zone not null,
  "position" bigint,
  constraint event_pkey PRIMARY KEY (tenant_id, id)
);
CREATE INDEX event_by_position ON platform.event USING btree (tenant_id, "position") WHERE ("position" IS NOT NULL);
alter table platform.event enable row level security;
alter table platform.event force row level security;
create policy tenant_isolation on platform.event as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.event to plimsoll_app;

create table platform.fault (
  point text not null,
  version integer default 2 not null,
  kind text,
  probability double precision not null,
  count integer,
  latency_ms integer not null,
  struck integer default 0 not null,
  updated_at timestamp with time zone default now() not null,
  constraint fault_pkey PRIMARY KEY (point),
  constraint fault_check CHECK (((kind <> 'crash'::text) OR (count IS NOT NULL))),
  constraint fault_count_check CHECK (((count >= 1) AND (count <= 1000000))),
  constraint fault_kind_check CHECK ((kind = ANY (ARRAY['latency'::text, 'error'::text, 'timeout'::text, 'corruption'::text, 'crash'::text]))),
  constraint fault_latency_ms_check CHECK (((latency_ms >= 0) AND (latency_ms <= 600000))),
  constraint fault_point_check CHECK (((point ~ '^[a-z][a-z0-9_]*([.][a-z0-9_]+)+$'::text) AND (length(point) <= 100))),
  constraint fault_probability_check CHECK (((probability > (0)::double precision) AND (probability <= (1)::double precision)))
);
grant select, insert, update on platform.fault to plimsoll_app;

create table platform.flag (
  name text not null,
  is_on boolean,
  updated_at timestamp with time zone default now() not null,
  version bigint default nextval('platform.flag_version'::regclass) not null,
  constraint flag_pkey PRIMARY KEY (name),
  constraint flag_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,62}$'::text))
);
grant select, insert, update, delete on platform.flag to plimsoll_app;

create table platform.flag_tenant (
  name text not null,
  of_tenant uuid not null,
  is_on boolean not null,
  updated_at timestamp with time zone default now() not null,
  constraint flag_tenant_pkey PRIMARY KEY (name, of_tenant),
  constraint flag_tenant_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,62}$'::text))
);
CREATE INDEX flag_tenant_of_tenant ON platform.flag_tenant USING btree (of_tenant);
grant select, insert, update, delete on platform.flag_tenant to plimsoll_app;

create table platform.idempotency (
  tenant_id uuid not null,
  principal text not null,
  key text not null,
  request_hash bytea not null,
  status smallint not null,
  headers jsonb not null,
  body bytea not null,
  sealed boolean not null,
  expires_at timestamp with time zone not null,
  constraint idempotency_pkey PRIMARY KEY (tenant_id, principal, key)
);
CREATE INDEX idempotency_expiry ON platform.idempotency USING btree (tenant_id, expires_at);
alter table platform.idempotency enable row level security;
alter table platform.idempotency force row level security;
create policy tenant_isolation on platform.idempotency as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.idempotency to plimsoll_app;

create table platform.identity (
  issuer text not null,
  subject text not null,
  user_id uuid not null,
  created_at timestamp with time zone not null,
  last_used_at timestamp with time zone not null,
  constraint identity_pkey PRIMARY KEY (issuer, subject),
  constraint identity_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 255)))
);
CREATE INDEX identity_user ON platform.identity USING btree (user_id);
grant select, insert, update on platform.identity to plimsoll_app;

create table platform.invitation (
  tenant_id uuid not null,
  id uuid not null,
  email text not null,
  role text not null,
  token_hash bytea not null,
  invited_by uuid not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  accepted_at timestamp with time zone,
  accepted_by uuid,
  version integer default 1 not null,
  constraint invitation_pkey PRIMARY KEY (tenant_id, id),
  constraint invitation_tenant_id_token_hash_key UNIQUE (tenant_id, token_hash),
  constraint invitation_email_check CHECK (((email !~ '[A-Z]'::text) AND ((length(email) >= 3) AND (length(email) <= 254)))),
  constraint invitation_role_check CHECK (((role ~ '^[a-z][a-z0-9_]{1,39}$'::text) AND (role <> 'admin'::text)))
);
CREATE INDEX invitation_accepted_by ON platform.invitation USING btree (accepted_by);
CREATE INDEX invitation_invited_by ON platform.invitation USING btree (invited_by);
CREATE INDEX invitation_role ON platform.invitation USING btree (tenant_id, role);
alter table platform.invitation enable row level security;
alter table platform.invitation force row level security;
create policy tenant_isolation on platform.invitation as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.invitation to plimsoll_app;

create table platform.job_progress (
  tenant_id uuid not null,
  resource_type text not null,
  resource_id text not null,
  done bigint not null,
  total bigint,
  message text default ''::text not null,
  updated_at timestamp with time zone default now() not null,
  constraint job_progress_pkey PRIMARY KEY (tenant_id, resource_type, resource_id),
  constraint job_progress_message_check CHECK ((length(message) <= 500))
);
alter table platform.job_progress enable row level security;
alter table platform.job_progress force row level security;
create policy tenant_isolation on platform.job_progress as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.job_progress to plimsoll_app;

create table platform.kept_answer (
  scope bytea not null,
  request_code bytea not null,
  sealed bytea not null,
  expires_at timestamp with time zone not null,
  constraint kept_answer_pkey PRIMARY KEY (scope),
  constraint kept_answer_request_code_check CHECK ((length(request_code) = 32)),
  constraint kept_answer_scope_check CHECK ((length(scope) = 32))
);
CREATE INDEX kept_answer_expiry ON platform.kept_answer USING btree (expires_at);
grant select, insert, update, delete on platform.kept_answer to plimsoll_app;

create table platform.login_throttle (
  key bytea not null,
  failures integer not null,
  blocked_until timestamp with time zone not null,
  trusted boolean default false not null,
  forget_at timestamp with time zone not null,
  constraint login_throttle_pkey PRIMARY KEY (key)
);
CREATE INDEX login_throttle_forget ON platform.login_throttle USING btree (forget_at);
grant select, insert, update, delete on platform.login_throttle to plimsoll_app;

create table platform.membership (
  tenant_id uuid not null,
  user_id uuid not null,
  role text not null,
  active boolean default true not null,
  version integer default 1 not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint membership_pkey PRIMARY KEY (tenant_id, user_id),
  constraint membership_role_check CHECK (((role ~ '^[a-z][a-z0-9_]{1,39}$'::text) AND (role <> 'admin'::text)))
);
CREATE INDEX membership_joined ON platform.membership USING btree (tenant_id, created_at, user_id);
CREATE INDEX membership_role ON platform.membership USING btree (tenant_id, role);
CREATE INDEX membership_user ON platform.membership USING btree (user_id);
alter table platform.membership enable row level security;
alter table platform.membership force row level security;
create policy membership_of_user on platform.membership as permissive for select to public
  using ((user_id = ( SELECT (NULLIF(current_setting('app.user_id'::text, true), ''::text))::uuid AS "nullif")));
create policy tenant_isolation on platform.membership as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.membership to plimsoll_app;

create table platform.migration (
  schema_name text not null,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone default clock_timestamp() not null,
  duration_ms integer not null,
  constraint migration_pkey PRIMARY KEY (schema_name, name)
);

create table platform.outbox (
  seq bigint generated always as identity not null,
  of_tenant uuid not null,
  event_id uuid not null,
  "position" bigint,
  queued_at timestamp with time zone default clock_timestamp() not null,
  constraint outbox_pkey PRIMARY KEY (seq)
);
CREATE INDEX outbox_to_publish ON platform.outbox USING btree ("position") WHERE ("position" IS NOT NULL);
CREATE INDEX outbox_to_relay ON platform.outbox USING btree (seq) WHERE ("position" IS NULL);
grant select, insert, update, delete on platform.outbox to plimsoll_app;

create table platform.recovery_code (
  user_id uuid not null,
  code_hash bytea not null,
  constraint recovery_code_pkey PRIMARY KEY (user_id, code_hash)
);
grant select, insert, delete on platform.recovery_code to plimsoll_app;

create table platform.role (
  tenant_id uuid not null,
  name text not null,
  title text not null,
  permissions text[] not null,
  version integer default 1 not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint role_pkey PRIMARY KEY (tenant_id, name),
  constraint role_name_check CHECK (((name ~ '^[a-z][a-z0-9_]{1,39}$'::text) AND (name <> ALL (ARRAY['admin'::text, 'tenant_admin'::text, 'user'::text, 'system'::text, 'api_key'::text])))),
  constraint role_title_check CHECK (((length(title) >= 1) AND (length(title) <= 200)))
);
alter table platform.role enable row level security;
alter table platform.role force row level security;
create policy tenant_isolation on platform.role as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.role to plimsoll_app;

create table platform.secret (
  tenant_id uuid not null,
  name text not null,
  sealed bytea not null,
  last_four text not null,
  key_id text not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint secret_pkey PRIMARY KEY (tenant_id, name),
  constraint secret_key_id_check CHECK ((key_id ~ '^[0-9a-f]{8}$'::text)),
  constraint secret_last_four_check CHECK ((length(last_four) <= 4)),
  constraint secret_name_check CHECK ((name ~ '^[a-z][a-z0-9._:/-]{0,99}$'::text)),
  constraint secret_sealed_check CHECK (((length(sealed) >= 34) AND (length(sealed) <= 65505)))
);
alter table platform.secret enable row level security;
alter table platform.secret force row level security;
create policy tenant_isolation on platform.secret as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.secret to plimsoll_app;

create table platform.session (
  id uuid not null,
  user_id uuid not null,
  acting_tenant_id uuid not null,
  method text not null,
  refresh_hash bytea not null,
  refresh_generation integer default 1 not null,
  reuse_key bytea not null,
  user_agent text not null,
  address text not null,
  created_at timestamp with time zone not null,
  last_used_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  revoked_at timestamp with time zone,
  revoked_because text,
  version integer default 1 not null,
  constraint session_pkey PRIMARY KEY (id),
  constraint session_address_check CHECK ((length(address) <= 100)),
  constraint session_method_check CHECK ((method = ANY (ARRAY['password'::text, 'sso'::text, 'registration'::text]))),
  constraint session_user_agent_check CHECK ((length(user_agent) <= 300))
);
CREATE INDEX session_expiry ON platform.session USING btree (expires_at);
CREATE INDEX session_of_tenant ON platform.session USING btree (acting_tenant_id);
CREATE INDEX session_of_user ON platform.session USING btree (user_id, created_at DESC);
grant select, insert, update, delete on platform.session to plimsoll_app;

create table platform.signing_key (
  kid text not null,
  algorithm text not null,
  public_jwk jsonb not null,
  sealed_private bytea,
  created_at timestamp with time zone not null,
  activates_at timestamp with time zone not null,
  retires_at timestamp with time zone,
  dead_at timestamp with time zone,
  created_by uuid,
  constraint signing_key_pkey PRIMARY KEY (kid),
  constraint signing_key_algorithm_check CHECK ((algorithm = ANY (ARRAY['EdDSA'::text, 'ES256'::text])))
);
CREATE INDEX signing_key_created_by ON platform.signing_key USING btree (created_by);
CREATE UNIQUE INDEX signing_key_newest ON platform.signing_key USING btree ((true)) WHERE (retires_at IS NULL);
grant select, insert, update on platform.signing_key to plimsoll_app;

create table platform.spent_ticket (
  nonce bytea not null,
  expires_at timestamp with time zone not null,
  constraint spent_ticket_pkey PRIMARY KEY (nonce),
  constraint spent_ticket_nonce_check CHECK ((length(nonce) = 16))
);
CREATE INDEX spent_ticket_expiry ON platform.spent_ticket USING btree (expires_at);
grant select, insert, update, delete on platform.spent_ticket to plimsoll_app;

create table platform.tenant (
  id uuid not null,
  slug text not null,
  name text not null,
  isolation text not null,
  active boolean default true not null,
  settings jsonb default '{}'::jsonb not null,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  deleted_at timestamp with time zone,
  erased_at timestamp with time zone,
  constraint tenant_pkey PRIMARY KEY (id),
  constraint tenant_slug_key UNIQUE (slug),
  constraint tenant_isolation_check CHECK ((isolation = ANY (ARRAY['shared'::text, 'dedicated'::text]))),
  constraint tenant_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
  constraint tenant_slug_check CHECK ((slug ~ '^[a-z0-9][a-z0-9-]{1,62}$'::text))
);
CREATE INDEX tenant_to_erase ON platform.tenant USING btree (deleted_at) WHERE ((deleted_at IS NOT NULL) AND (erased_at IS NULL));
grant select, insert, update, delete on platform.tenant to plimsoll_app;

create table platform.webhook_attempt (
  tenant_id uuid not null,
  id uuid default platform.uuid_v7() not null,
  delivery_id uuid not null,
  at timestamp with time zone not null,
  status integer,
  latency_ms integer not null,
  error text,
  response_excerpt text,
  constraint webhook_attempt_pkey PRIMARY KEY (tenant_id, delivery_id, id)
);
alter table platform.webhook_attempt enable row level security;
alter table platform.webhook_attempt force row level security;
create policy tenant_isolation on platform.webhook_attempt as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.webhook_attempt to plimsoll_app;

create table platform.webhook_delivery (
  tenant_id uuid not null,
  id uuid default platform.uuid_v7() not null,
  endpoint_id uuid not null,
  event_id uuid not null,
  event_type text not null,
  resource_type text not null,
  resource_id text not null,
  "position" bigint not null,
  state text default 'pending'::text not null,
  attempts integer default 0 not null,
  next_attempt_at timestamp with time zone not null,
  created_at timestamp with time zone default now() not null,
  finished_at timestamp with time zone,
  constraint webhook_delivery_pkey PRIMARY KEY (tenant_id, id),
  constraint webhook_delivery_tenant_id_endpoint_id_event_id_key UNIQUE (tenant_id, endpoint_id, event_id),
  constraint webhook_delivery_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
);
CREATE INDEX webhook_delivery_by_event ON platform.webhook_delivery USING btree (tenant_id, event_id);
CREATE INDEX webhook_delivery_by_position ON platform.webhook_delivery USING btree (tenant_id, endpoint_id, "position");
CREATE INDEX webhook_delivery_pending ON platform.webhook_delivery USING btree (tenant_id, endpoint_id, resource_type, resource_id, "position") WHERE (state = 'pending'::text);
alter table platform.webhook_delivery enable row level security;
alter table platform.webhook_delivery force row level security;
create policy tenant_isolation on platform.webhook_delivery as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.webhook_delivery to plimsoll_app;

create table platform.webhook_due (
  of_tenant uuid not null,
  endpoint_id uuid not null,
  due_at timestamp with time zone not null,
  not_before timestamp with time zone default '-infinity'::timestamp with time zone not null,
  leased_until timestamp with time zone default '-infinity'::timestamp with time zone not null,
  lease_id uuid,
  constraint webhook_due_pkey PRIMARY KEY (of_tenant, endpoint_id)
);
CREATE INDEX webhook_due_at ON platform.webhook_due USING btree (due_at);
grant select, insert, update, delete on platform.webhook_due to plimsoll_app;

create table platform.webhook_endpoint (
  tenant_id uuid not null,
  id uuid not null,
  url text not null,
  events text[] not null,
  description text default ''::text not null,
  active boolean default true not null,
  disabled_reason text,
  secret_last_four text not null,
  old_secret_until timestamp with time zone,
  failing_since timestamp with time zone,
  failures_in_row integer default 0 not null,
  version integer default 1 not null,
  created_at timestamp with time zone default now() not null,
  updated_at timestamp with time zone default now() not null,
  constraint webhook_endpoint_pkey PRIMARY KEY (tenant_id, id),
  constraint webhook_endpoint_description_check CHECK ((length(description) <= 500)),
  constraint webhook_endpoint_events_check CHECK (((cardinality(events) >= 1) AND (cardinality(events) <= 50))),
  constraint webhook_endpoint_url_check CHECK ((length(url) <= 2000))
);
alter table platform.webhook_endpoint enable row level security;
alter table platform.webhook_endpoint force row level security;
create policy tenant_isolation on platform.webhook_endpoint as permissive for all to public
  using ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")))
  with check ((tenant_id = ( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS "nullif")));
grant select, insert, update, delete on platform.webhook_endpoint to plimsoll_app;

create table platform.worker (
  id text not null,
  host text not null,
  pid integer not null,
  started_at timestamp with time zone default now() not null,
  seen_at timestamp with time zone default now() not null,
  constraint worker_pkey PRIMARY KEY (id)
);

CREATE OR REPLACE FUNCTION platform.audit_digest(previous bytea, r platform.audit)
 RETURNS bytea
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$
  select sha256(previous || convert_to(jsonb_build_array(
    r.tenant_id, r.seq, r.id, (extract(epoch from r.at) * 1000000)::bigint,
    r.actor_kind, r.actor_id, r.actor_user_id, r.actor_name,
    r.action, r.resource_type, r.resource_id, r.request_id, r.before, r.after)::text, 'UTF8'))
$function$;

alter table consistency.run add constraint run_tenant_id_store_id_fkey
  FOREIGN KEY (tenant_id, store_id) REFERENCES consistency.store(tenant_id, id) ON DELETE CASCADE;

alter table consistency.store_owner add constraint store_owner_tenant_id_store_id_fkey
  FOREIGN KEY (tenant_id, store_id) REFERENCES consistency.store(tenant_id, id) ON DELETE CASCADE;

alter table orders.ledger_entry add constraint ledger_entry_order
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders.sales_order(tenant_id, id) ON DELETE RESTRICT;

alter table orders.sales_order add constraint sales_order_customer
  FOREIGN KEY (tenant_id, customer_id) REFERENCES orders.customer(tenant_id, id) ON DELETE RESTRICT;

alter table orders.sales_order add constraint sales_order_shop
  FOREIGN KEY (tenant_id, shop_id) REFERENCES orders.shop(tenant_id, id) ON DELETE RESTRICT;

alter table orders.sales_order_line add constraint sales_order_line_order
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders.sales_order(tenant_id, id) ON DELETE RESTRICT;

alter table orders.sales_order_line add constraint sales_order_line_product
  FOREIGN KEY (tenant_id, product_id) REFERENCES orders.product(tenant_id, id) ON DELETE RESTRICT;

alter table orders.whatsapp_message add constraint whatsapp_message_order
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders.sales_order(tenant_id, id) ON DELETE RESTRICT;

alter table orders.whatsapp_number add constraint whatsapp_number_of_tenant_fkey
  FOREIGN KEY (of_tenant) REFERENCES platform.tenant(id) ON DELETE CASCADE;

alter table platform.api_key add constraint api_key_created_by_fkey
  FOREIGN KEY (created_by) REFERENCES platform.app_user(id);

alter table platform.api_key add constraint api_key_tenant_id_fkey
  FOREIGN KEY (tenant_id) REFERENCES platform.tenant(id);

alter table platform.app_user add constraint app_user_last_tenant_fkey
  FOREIGN KEY (last_tenant) REFERENCES platform.tenant(id);

alter table platform.flag_tenant add constraint flag_tenant_name_fkey
  FOREIGN KEY (name) REFERENCES platform.flag(name);

alter table platform.flag_tenant add constraint flag_tenant_of_tenant_fkey
  FOREIGN KEY (of_tenant) REFERENCES platform.tenant(id) ON DELETE CASCADE;

alter table platform.identity add constraint identity_user_id_fkey
  FOREIGN KEY (user_id) REFERENCES platform.app_user(id) ON DELETE CASCADE;

alter table platform.invitation add constraint invitation_accepted_by_fkey
  FOREIGN KEY (accepted_by) REFERENCES platform.app_user(id);

alter table platform.invitation add constraint invitation_invited_by_fkey
  FOREIGN KEY (invited_by) REFERENCES platform.app_user(id);

alter table platform.invitation add constraint invitation_tenant_id_fkey
  FOREIGN KEY (tenant_id) REFERENCES platform.tenant(id);

alter table platform.membership add constraint membership_tenant_id_fkey
  FOREIGN KEY (tenant_id) REFERENCES platform.tenant(id);

alter table platform.membership add constraint membership_user_id_fkey
  FOREIGN KEY (user_id) REFERENCES platform.app_user(id);

alter table platform.recovery_code add constraint recovery_code_user_id_fkey
  FOREIGN KEY (user_id) REFERENCES platform.app_user(id) ON DELETE CASCADE;

alter table platform.role add constraint role_tenant_id_fkey
  FOREIGN KEY (tenant_id) REFERENCES platform.tenant(id);

alter table platform.secret add constraint secret_tenant_id_fkey
  FOREIGN KEY (tenant_id) REFERENCES platform.tenant(id) ON DELETE CASCADE;

alter table platform.session add constraint session_acting_tenant_id_fkey
  FOREIGN KEY (acting_tenant_id) REFERENCES platform.tenant(id);

alter table platform.session add constraint session_user_id_fkey
  FOREIGN KEY (user_id) REFERENCES platform.app_user(id) ON DELETE CASCADE;

alter table platform.signing_key add constraint signing_key_created_by_fkey
  FOREIGN KEY (created_by) REFERENCES platform.app_user(id) ON DELETE SET NULL;

alter table platform.webhook_attempt add constraint webhook_attempt_tenant_id_delivery_id_fkey
  FOREIGN KEY (tenant_id, delivery_id) REFERENCES platform.webhook_delivery(tenant_id, id) ON DELETE CASCADE;

alter table platform.webhook_delivery add constraint webhook_delivery_tenant_id_endpoint_id_fkey
  FOREIGN KEY (tenant_id, endpoint_id) REFERENCES platform.webhook_endpoint(tenant_id, id) ON DELETE CASCADE;

alter table platform.webhook_delivery add constraint webhook_delivery_tenant_id_event_id_fkey
  FOREIGN KEY (tenant_id, event_id) REFERENCES platform.event(tenant_id, id) ON DELETE CASCADE;
