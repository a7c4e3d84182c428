-- scope: shared, dedicated
-- Containers for a limited time. What rules/lifecycle.ts decides stands here once more, so that no
-- path around the engine (a repair by hand, a later version) can store what it never would. Moments
-- are the database's, cut to milliseconds, so that money counted from them is exact.

create table lease_template (
  -- The nil UUID has the platform's own, which every tenant may use and none can change.
  tenant_id uuid not null,
  id uuid not null,
  name text not null check (name ~ '^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$'),
  description text not null check (char_length(description) <= 500),
  image text not null check (char_length(image) between 1 and 300),
  command text[] check (cardinality(command) between 1 and 64),
  cpu_millis integer not null check (cpu_millis between 10 and 256000),
  memory_mb integer not null check (memory_mb between 16 and 4194304),
  disk_mb integer check (disk_mb between 1 and 16777216),
  ttl_seconds integer not null check (ttl_seconds >= 1),
  idle_ttl_seconds integer check (idle_ttl_seconds >= 1),
  -- The most that a lease of it may ask for; null: what the tenant's limits say.
  max_cpu_millis integer check (max_cpu_millis >= cpu_millis),
  max_memory_mb integer check (max_memory_mb >= memory_mb),
  max_disk_mb integer check (max_disk_mb >= 1),
  max_ttl_seconds integer check (max_ttl_seconds >= ttl_seconds),
  pids_max integer not null check (pids_max between 8 and 512),
  run_as text check (run_as ~ '^[0-9]{1,10}:[0-9]{1,10}$'),
  writable boolean not null,
  egress text not null check (egress in ('none', 'internet')),
  oci_runtime text check (oci_runtime ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  ports integer[] not null check (cardinality(ports) <= 16),
  pre_stop jsonb check (jsonb_typeof(pre_stop) = 'object'),
  snapshot_on_end boolean not null check (not snapshot_on_end or writable),
  max_restarts integer not null check (max_restarts between 0 and 10),
  -- Null: the installation's own prices.
  price_cpu_hour_minor integer check (price_cpu_hour_minor between 0 and 1000000),
  price_gb_hour_minor integer check (price_gb_hour_minor between 0 and 1000000),
  price_flat_minor integer check (price_flat_minor between 0 and 100000000),
  active boolean not null,
  version integer not null default 1 check (version >= 1),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, id),
  constraint lease_template_name_taken unique (tenant_id, name)
);

alter table lease_template enable row level security;
alter table lease_template force row level security;
create policy tenant_isolation on lease_template
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on lease_template to plimsoll_app;

create table lease (
  tenant_id uuid not null,
  id uuid not null,
  -- The user who asked for it, or what did; "own" in a permission means this.
  owner_id text not null check (owner_id <> ''),
  name text check (char_length(name) between 1 and 100 and name = btrim(name)),

  -- What was agreed on when it was asked for. No foreign keys: templates and snapshots may go.
  template_id uuid,
  template_name text,
  restored_from uuid,
  image text not null check (char_length(image) between 1 and 600),
  command text[] check (cardinality(command) between 1 and 64),
  pre_stop jsonb check (jsonb_typeof(pre_stop) = 'object'),
  -- Sealed under the master key, and gone with the final state; only the names are ever shown.
  env_sealed bytea,
  env_names text[] not null check (cardinality(env_names) <= 64),
  runtime text not null check (runtime in ('docker', 'kubernetes', 'process')),
  -- Which engine, where the tenant has one of its own; else empty.
  runtime_place text not null,
  cpu_millis integer not null check (cpu_millis > 0),
  memory_mb integer not null check (memory_mb > 0),
  disk_mb integer check (disk_mb > 0),
  pids_max integer not null check (pids_max > 0),
  run_as text,
  writable boolean not null,
  egress text not null check (egress in ('none', 'internet')),
  oci_runtime text,
  ports integer[] not null check (cardinality(ports) <= 16),
  idle_ttl_seconds integer check (idle_ttl_seconds > 0),
  pause_seconds integer not null check (pause_seconds > 0),
  warn_seconds integer not null check (warn_seconds >= 0),
  snapshot_on_end boolean not null,
  max_restarts integer not null check (max_restarts >= 0),
  -- What it was agreed on, and what follows from it and the size: in 1/1024 of a millionth of the
  -- minor unit per hour, so that every price is a whole number.
  price jsonb not null check (jsonb_typeof(price) = 'object'),
  rate numeric(40, 0) not null check (rate >= 0),
  flat_micros numeric(40, 0) not null check (flat_micros >= 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  created_at timestamptz not null,
  hard_expires_at timestamptz not null check (hard_expires_at > created_at),

  -- How it stands.
  state text not null check (
    state in ('pending', 'starting', 'running', 'paused', 'stopping', 'ended', 'failed')
  ),
  desired text not null check (desired in ('running', 'paused', 'ended')),
  -- Goes up with each restart: the container's name has it.
  generation integer not null check (generation >= 1),
  -- Who works on it now: nobody else may until then, and whoever lost it writes nothing.
  step_token uuid,
  step_until timestamptz,
  attempts integer not null check (attempts >= 0),
  retry_at timestamptz,
  -- Of a state that must not last.
  deadline timestamptz,
  container_id text check (container_id <> ''),
  isolation jsonb,
  ttl_seconds integer not null check (ttl_seconds > 0),
  started_at timestamptz,
  running_since timestamptz,
  expires_at timestamptz not null check (expires_at <= hard_expires_at),
  last_activity_at timestamptz not null,
  paused_at timestamptz,
  paused_until timestamptz,
  -- When it will end as far as is known, or has ended: lists are sorted by it.
  ends_at timestamptz not null,
  -- The end of which its owner was warned.
  warned_for timestamptz,
  -- When its container was last known to be alive.
  seen_at timestamptz,
  ended_at timestamptz,
  termination_reason text check (
    termination_reason in ('expired', 'idle', 'released', 'hard_cap', 'budget', 'oom', 'crashed',
      'failed', 'admin')
  ),
  exit_code integer,
  -- For people: what went wrong.
  message text check (char_length(message) <= 1000),
  restarts integer not null check (restarts >= 0),
  pre_stop_done boolean not null,
  -- Taken by itself at the end.
  snapshot_id uuid,
  cost_micros numeric(40, 0) not null check (cost_micros >= 0),
  version integer not null check (version >= 1),
  updated_at timestamptz not null,
  primary key (tenant_id, id),
  check ((state in ('ended', 'failed')) = (ended_at is not null)),
  check ((state in ('stopping', 'ended', 'failed')) = (termination_reason is not null)),
  check ((state in ('stopping', 'ended', 'failed')) = (desired = 'ended')),
  check ((state = 'running') = (running_since is not null)),
  check ((state = 'paused') = (paused_at is not null)),
  check ((paused_at is null) = (paused_until is null)),
  check ((step_token is null) = (step_until is null)),
  check (
    state not in ('ended', 'failed')
    or (env_sealed is null and step_token is null and retry_at is null and deadline is null)
  )
);
-- Lists are newest first (the primary key), of one owner, state or template, or by their end.
create index lease_of_owner on lease (tenant_id, owner_id, id);
create index lease_of_state on lease (tenant_id, state, id);
create index lease_of_template on lease (tenant_id, template_id, id) where template_id is not null;
create index lease_by_end on lease (tenant_id, ends_at, id);
-- What lives, for reconciling; how many were started in a minute; what may be forgotten.
create index lease_alive on lease (tenant_id, id) where state not in ('ended', 'failed');
create index lease_made on lease (tenant_id, created_at);
create index lease_over on lease (tenant_id, ended_at) where ended_at is not null;

alter table lease enable row level security;
alter table lease force row level security;
create policy tenant_isolation on lease
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on lease to plimsoll_app;

create function refuse_lease_change() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' and platform.is_erasing() then
    return old;
  end if;
  raise exception 'a lease does not change like this (%, state % to %)',
    tg_name, case when tg_op <> 'INSERT' then old.state end,
    case when tg_op <> 'DELETE' then new.state end
    using errcode = 'check_violation', constraint = tg_name;
end
$$;
create trigger lease_begins before insert on lease
  for each row when (new.state <> 'pending') execute function refuse_lease_change();
-- The moves of rules/lifecycle.ts.
create trigger lease_moves before update on lease
  for each row when (
    old.state <> new.state and (old.state, new.state) not in (
      ('pending', 'starting'), ('pending', 'stopping'),
      ('starting', 'running'), ('starting', 'stopping'),
      ('running', 'paused'), ('running', 'starting'), ('running', 'stopping'),
      ('paused', 'running'), ('paused', 'starting'), ('paused', 'stopping'),
      ('stopping', 'ended'), ('stopping', 'failed')
    )
  ) execute function refuse_lease_change();
-- What was agreed on stays, what is over stays over, and generations only grow.
create trigger lease_agreed before update on lease
  for each row when (
    (new.id, new.owner_id, new.image, new.command, new.runtime, new.runtime_place, new.cpu_millis,
      new.memory_mb, new.disk_mb, new.rate, new.flat_micros, new.currency, new.created_at,
      new.hard_expires_at)
    is distinct from
    (old.id, old.owner_id, old.image, old.command, old.runtime, old.runtime_place, old.cpu_millis,
      old.memory_mb, old.disk_mb, old.rate, old.flat_micros, old.currency, old.created_at,
      old.hard_expires_at)
    or new.generation < old.generation
    or old.state in ('ended', 'failed')
  ) execute function refuse_lease_change();
create trigger lease_kept before delete on lease
  for each row when (old.state not in ('ended', 'failed')) execute function refuse_lease_change();

-- For how long each lease ran, and what that cost. Append-only: an interval is opened, and closed
-- once. It outlives its lease's row.
create table lease_usage (
  tenant_id uuid not null,
  id uuid not null,
  lease_id uuid not null,
  owner_id text not null check (owner_id <> ''),
  template_name text,
  image text not null,
  cpu_millis integer not null,
  memory_mb integer not null,
  rate numeric(40, 0) not null check (rate >= 0),
  -- Of a lease's first interval; else 0.
  flat_micros numeric(40, 0) not null check (flat_micros >= 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  started_at timestamptz not null,
  ended_at timestamptz check (ended_at >= started_at),
  cost_micros numeric(40, 0) check (cost_micros >= flat_micros),
  primary key (tenant_id, id),
  check ((ended_at is null) = (cost_micros is null))
);
create unique index lease_usage_open on lease_usage (tenant_id, lease_id) where ended_at is null;
create index lease_usage_of_lease on lease_usage (tenant_id, lease_id, started_at);
create index lease_usage_by_time on lease_usage (tenant_id, started_at);

alter table lease_usage enable row level security;
alter table lease_usage force row level security;
create policy tenant_isolation on lease_usage
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update (ended_at, cost_micros) on lease_usage to plimsoll_app;

create function refuse_usage_change() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' and platform.is_erasing() then
    return old;
  end if;
  raise exception 'usage is append-only' using errcode = 'restrict_violation', constraint = tg_name;
end
$$;
create trigger lease_usage_closed_once before update on lease_usage
  for each row when (
    old.ended_at is not null
    or (new.id, new.lease_id, new.owner_id, new.rate, new.flat_micros, new.started_at)
      is distinct from
      (old.id, old.lease_id, old.owner_id, old.rate, old.flat_micros, old.started_at)
  ) execute function refuse_usage_change();
create trigger lease_usage_append_only before delete on lease_usage
  for each row execute function refuse_usage_change();

-- An open interval without a lease that runs would count money for ever. Leases are written after
-- their interval was closed, and before one is opened.
create function refuse_stray_usage() returns trigger
language plpgsql
as $$
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
$$;
create trigger lease_usage_opens after insert on lease_usage
  for each row when (new.ended_at is null) execute function refuse_stray_usage();

create function refuse_endless_usage() returns trigger
language plpgsql
as $$
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
$$;
create trigger lease_usage_ends after update on lease
  for each row when (old.state = 'running' and new.state <> 'running')
  execute function refuse_endless_usage();
