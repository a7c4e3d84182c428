-- scope: shared, dedicated
-- Containers that run before anybody leases them. A row's id is that of the lease that it may become,
-- so that the container's name and labels are the lease's from the beginning: leasing one deletes its
-- row and makes the lease in the same transaction. So none is ever leased twice.

alter table lease_template add column warm_size integer not null default 0
  check (warm_size between 0 and 20);

create table lease_warm (
  tenant_id uuid not null,
  id uuid not null,
  -- No foreign key: the platform's templates are no rows of the tenant's.
  template_id uuid not null,
  -- All that a container is made of: only a lease that asks for exactly this may have it.
  spec jsonb not null check (jsonb_typeof(spec) = 'object'),
  -- Of the spec, for counting what of the quota is taken.
  cpu_millis integer not null check (cpu_millis > 0),
  memory_mb integer not null check (memory_mb > 0),
  disk_mb integer check (disk_mb > 0),
  state text not null check (state in ('preparing', 'ready', 'removing')),
  container_id text check (container_id <> ''),
  -- For people: why there is none yet.
  message text check (char_length(message) <= 1000),
  step_token uuid,
  step_until timestamptz,
  attempts integer not null check (attempts >= 0),
  retry_at timestamptz,
  created_at timestamptz not null,
  -- From then on it is replaced, so that what is leased is fresh.
  expires_at timestamptz not null check (expires_at > created_at),
  updated_at timestamptz not null,
  primary key (tenant_id, id),
  check (state <> 'ready' or (container_id is not null and step_token is null)),
  check ((step_token is null) = (step_until is null))
);
create index lease_warm_ready on lease_warm (tenant_id, template_id, created_at)
  where state = 'ready';

alter table lease_warm enable row level security;
alter table lease_warm force row level security;
create policy tenant_isolation on lease_warm
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on lease_warm to plimsoll_app;

-- A lease's id may now be older than the lease, so lists go by when leases were asked for.
drop index lease_of_owner;
drop index lease_of_state;
drop index lease_of_template;
drop index lease_made;
create index lease_made on lease (tenant_id, created_at, id);
create index lease_of_owner on lease (tenant_id, owner_id, created_at, id);
create index lease_of_state on lease (tenant_id, state, created_at, id);
