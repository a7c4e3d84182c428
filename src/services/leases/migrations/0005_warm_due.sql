-- scope: platform
-- `warm`: a container that is not leased yet; `pools`: all of a tenant's pools, under its own id.
alter table lease_due drop constraint lease_due_kind_check;
alter table lease_due add constraint lease_due_kind_check
  check (kind in ('lease', 'snapshot', 'budget', 'warm', 'pools'));
