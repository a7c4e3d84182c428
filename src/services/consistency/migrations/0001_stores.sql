-- scope: shared, dedicated
-- Replicated stores, which process holds the one that lives in memory, what was run on them, and
-- what their histories proved. What stands in a store is not here: it is its engine's.

create table store (
  tenant_id uuid not null,
  id uuid not null,
  name text not null check (char_length(name) between 1 and 100 and name = btrim(name)),
  engine text not null check (engine in ('embedded', 'redis', 'etcd')),
  mode text not null check (mode in ('CP', 'AP')),
  replicas integer not null check (replicas between 1 and 9),
  max_staleness_ms integer check (max_staleness_ms between 1 and 600000),
  max_staleness_versions integer check (max_staleness_versions between 0 and 1000000),
  operation_timeout_ms integer not null check (operation_timeout_ms between 50 and 30000),
  breaker_failures integer not null check (breaker_failures between 1 and 100),
  breaker_open_ms integer not null check (breaker_open_ms between 50 and 600000),
  -- Where its nodes are, without the password.
  topology jsonb not null,
  -- Sealed under the master key; base64url.
  password_sealed text,
  version integer not null default 1 check (version >= 1),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint store_name_taken unique (tenant_id, name)
);

alter table store enable row level security;
alter table store force row level security;
create policy tenant_isolation on store
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on store to plimsoll_app;

-- The process in whose memory an embedded store is. Each time that it begins anew, empty, is a
-- generation; what is not seen for a while may be taken by another process.
create table store_owner (
  tenant_id uuid not null,
  store_id uuid not null,
  process uuid not null,
  generation integer not null check (generation >= 1),
  seen_at timestamptz not null,
  primary key (tenant_id, store_id),
  foreign key (tenant_id, store_id) references store on delete cascade
);

alter table store_owner enable row level security;
alter table store_owner force row level security;
create policy tenant_isolation on store_owner
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on store_owner to plimsoll_app;

create table history_check (
  tenant_id uuid not null,
  id uuid not null,
  -- Null for an uploaded history. A check outlives its store.
  store_id uuid,
  name text not null check (char_length(name) between 1 and 200),
  state text not null check (state in ('running', 'done', 'failed')),
  status text check (status in ('ok', 'violation', 'unknown')),
  report jsonb,
  -- For people: why it could not be checked, or what was not looked at.
  message text check (char_length(message) <= 1000),
  -- The page, compressed with gzip.
  page bytea,
  created_at timestamptz not null,
  finished_at timestamptz,
  primary key (tenant_id, id),
  check ((state = 'running') = (finished_at is null)),
  check ((state = 'done') = (status is not null and report is not null))
);

alter table history_check enable row level security;
alter table history_check force row level security;
create policy tenant_isolation on history_check
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on history_check to plimsoll_app;

-- Workloads and experiments.
create table run (
  tenant_id uuid not null,
  id uuid not null,
  store_id uuid not null,
  kind text not null check (kind in ('workload', 'experiment')),
  -- Of an experiment.
  experiment text,
  spec jsonb not null,
  state text not null check (state in ('running', 'done', 'cancelled', 'failed')),
  done integer not null check (done >= 0),
  total integer check (total >= 0),
  summary jsonb,
  status text check (status in ('ok', 'violation', 'unknown')),
  words text check (char_length(words) <= 2000),
  check_id uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  finished_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, store_id) references store on delete cascade,
  check ((kind = 'experiment') = (experiment is not null)),
  check ((state = 'running') = (finished_at is null))
);

create index run_of_store on run (tenant_id, store_id, id desc);

alter table run enable row level security;
alter table run force row level security;
create policy tenant_isolation on run
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on run to plimsoll_app;
