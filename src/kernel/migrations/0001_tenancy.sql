-- scope: platform
-- Tenants belong to nobody, so this table has no tenant_id and no row-level security.
create table platform.tenant (
  id uuid primary key,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
  name text not null check (length(name) between 1 and 200),
  isolation text not null check (isolation in ('shared', 'dedicated')),
  active boolean not null default true,
  -- Per-tenant overrides of limits and service settings, by setting name.
  settings jsonb not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
grant select, insert, update, delete on platform.tenant to plimsoll_app;
