-- scope: platform
-- Overrides of flags for everybody. Flags are the operator's, so neither table has row-level security.
create table platform.flag (
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  is_on boolean not null,
  updated_at timestamptz not null default now()
);
grant select, insert, update, delete on platform.flag to plimsoll_app;

-- Overrides for one tenant. The column is not called tenant_id because the rows are not the tenant's.
create table platform.flag_tenant (
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  of_tenant uuid not null references platform.tenant (id) on delete cascade,
  is_on boolean not null,
  updated_at timestamptz not null default now(),
  primary key (name, of_tenant)
);
create index flag_tenant_of_tenant on platform.flag_tenant (of_tenant);
grant select, insert, update, delete on platform.flag_tenant to plimsoll_app;

-- What a tenant entrusts to us: keys of models, Git tokens, webhook secrets.
create table platform.secret (
  tenant_id uuid not null references platform.tenant (id) on delete cascade,
  name text not null check (name ~ '^[a-z][a-z0-9._:/-]{0,99}$'),
  -- AES-256-GCM, bound to tenant and name: copied into another row it does not open.
  sealed bytea not null check (length(sealed) between 34 and 65505),
  -- Kept beside it so that a list of secrets opens none.
  last_four text not null check (length(last_four) <= 4),
  -- Which master key sealed it.
  key_id text not null check (key_id ~ '^[0-9a-f]{8}$'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name)
);
alter table platform.secret enable row level security;
alter table platform.secret force row level security;
create policy tenant_isolation on platform.secret
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on platform.secret to plimsoll_app;
