-- scope: shared, dedicated
-- What a till calls its resources, and which of its changes were applied: so that a batch that is
-- sent again changes nothing.

create table sync_receipt (
  tenant_id uuid not null,
  client_id text not null check (char_length(client_id) between 1 and 100),
  type text not null check (type in ('shop', 'product', 'customer', 'order')),
  key text not null check (char_length(key) between 1 and 100),
  -- Stays when the resource is deleted, so that its key never makes another one.
  resource_id uuid not null,
  -- SHA-256 of each of the last changes under the key, the newest last.
  changes bytea[] not null check (cardinality(changes) between 1 and 100),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, client_id, type, key)
);

alter table sync_receipt enable row level security;
alter table sync_receipt force row level security;
create policy tenant_isolation on sync_receipt
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update on sync_receipt to plimsoll_app;
