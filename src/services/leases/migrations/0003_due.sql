-- scope: platform
-- What has to be looked at, and when: pointers, and nothing of any tenant's. A process claims a few,
-- works through them tenant by tenant, and writes down when each is due again. A claim that its
-- process did not live to end is free again after `claimed_until`.
create table lease_due (
  of_tenant uuid not null,
  kind text not null check (kind in ('lease', 'snapshot', 'budget')),
  -- Of the lease or snapshot; of a budget, the tenant's.
  subject_id uuid not null,
  due_at timestamptz not null,
  claimed_until timestamptz not null default '-infinity',
  claim_id uuid,
  primary key (of_tenant, kind, subject_id)
);
create index lease_due_at on lease_due (due_at);
grant select, insert, update, delete on lease_due to plimsoll_app;

-- Which installation this is: its containers carry the id, so that those of another one that shares
-- an engine are left alone. Made at the first start, since a migrated database may be a template.
create table lease_installation (
  is_only boolean primary key default true check (is_only),
  id text not null check (id ~ '^[0-9a-f]{10}$')
);
grant select, insert on lease_installation to plimsoll_app;
