-- scope: platform
-- What a POST that creates has answered, for 24 hours, so that the same key gets the same bytes again.
create table platform.idempotency (
  tenant_id uuid not null references platform.tenant (id) on delete cascade,
  -- Kind and id of the user or key that made the request: nobody replays another's.
  principal text not null,
  key text not null check (length(key) between 1 and 255),
  -- SHA-256 over method, address and body.
  request_hash bytea not null,
  -- Null only inside the transaction that is working on it.
  status smallint check (status between 200 and 299),
  headers jsonb,
  body bytea,
  -- Whether the body holds a secret and is therefore encrypted.
  sealed boolean not null default false,
  expires_at timestamptz not null,
  primary key (tenant_id, principal, key)
);
create index idempotency_expiry on platform.idempotency (tenant_id, expires_at);

alter table platform.idempotency enable row level security;
alter table platform.idempotency force row level security;
create policy tenant_isolation on platform.idempotency
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on platform.idempotency to plimsoll_app;
