-- scope: shared, dedicated
-- What was kept of containers, and how much of its quota each tenant and owner has taken.

create table lease_snapshot (
  tenant_id uuid not null,
  id uuid not null,
  lease_id uuid not null,
  owner_id text not null check (owner_id <> ''),
  name text check (char_length(name) between 1 and 100 and name = btrim(name)),
  description text not null check (char_length(description) <= 500),
  state text not null check (state in ('pending', 'ready', 'failed', 'deleting')),
  -- Taken by itself at the lease's end.
  automatic boolean not null,
  runtime text not null check (runtime in ('docker', 'kubernetes', 'process')),
  runtime_place text not null,
  -- As the engine knows it; null until it is ready.
  image text check (char_length(image) between 1 and 600),
  size_bytes bigint check (size_bytes >= 0),
  -- What a lease restored from it begins with: never values of environment variables.
  settings jsonb not null check (jsonb_typeof(settings) = 'object'),
  message text check (char_length(message) <= 1000),
  step_token uuid,
  step_until timestamptz,
  attempts integer not null default 0 check (attempts >= 0),
  retry_at timestamptz,
  deadline timestamptz,
  version integer not null default 1 check (version >= 1),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (tenant_id, id),
  check (state <> 'ready' or image is not null),
  check ((step_token is null) = (step_until is null)),
  check (state in ('pending', 'deleting') or step_token is null)
);
create index lease_snapshot_of_lease on lease_snapshot (tenant_id, lease_id, id);
create index lease_snapshot_of_owner on lease_snapshot (tenant_id, owner_id, id);

alter table lease_snapshot enable row level security;
alter table lease_snapshot force row level security;
create policy tenant_isolation on lease_snapshot
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on lease_snapshot to plimsoll_app;

-- One row for the tenant (its owner is empty) and one for each owner, always locked in this order.
-- Taken in the transaction that makes a lease or snapshot, given back in the one that ends it.
create table lease_quota (
  tenant_id uuid not null,
  owner_id text not null,
  leases integer not null check (leases >= 0),
  cpu_millis bigint not null check (cpu_millis >= 0),
  memory_mb bigint not null check (memory_mb >= 0),
  disk_mb bigint not null check (disk_mb >= 0),
  snapshots integer not null check (snapshots >= 0),
  primary key (tenant_id, owner_id)
);

alter table lease_quota enable row level security;
alter table lease_quota force row level security;
create policy tenant_isolation on lease_quota
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on lease_quota to plimsoll_app;
