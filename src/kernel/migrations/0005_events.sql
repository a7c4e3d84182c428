-- scope: platform
-- What has happened, per tenant. The relay stamps `position` in the order in which it hands events
-- out; readers resume by it. Null: still in the outbox.
create table platform.event (
  tenant_id uuid not null,
  id uuid not null,
  type text not null check (type ~ '^[a-z][a-z0-9_]*([.][a-z0-9_]+)+$' and length(type) <= 100),
  resource_type text not null,
  resource_id text not null,
  -- The user who owns the resource, for readers who may see only their own.
  owner_id text,
  data jsonb not null,
  occurred_at timestamptz not null,
  position bigint,
  primary key (tenant_id, id)
);
create index event_by_position on platform.event (tenant_id, position) where position is not null;
alter table platform.event enable row level security;
alter table platform.event force row level security;
create policy tenant_isolation on platform.event
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on platform.event to plimsoll_app;

create sequence platform.event_position;
grant usage on sequence platform.event_position to plimsoll_app;

-- Pointers to events that are still to be handed out, of all tenants, and nothing of what is in
-- them. With a broker a pointer stays, with its position, until the broker has confirmed the event.
create table platform.outbox (
  seq bigint generated always as identity primary key,
  of_tenant uuid not null,
  event_id uuid not null,
  position bigint,
  queued_at timestamptz not null default clock_timestamp()
);
create index outbox_to_relay on platform.outbox (seq) where position is null;
create index outbox_to_publish on platform.outbox (position) where position is not null;
grant select, insert, update, delete on platform.outbox to plimsoll_app;

create table platform.webhook_endpoint (
  tenant_id uuid not null,
  id uuid not null,
  url text not null check (length(url) <= 2000),
  -- Types, "order.*" or "*".
  events text[] not null check (cardinality(events) between 1 and 50),
  description text not null default '' check (length(description) <= 500),
  active boolean not null default true,
  -- Why it is not active when nobody switched it off: "gone" (410) or "failing".
  disabled_reason text,
  -- The secrets themselves are among the tenant's sealed secrets. The one before signs too until
  -- this moment, so that a receiver can change over.
  secret_last_four text not null,
  old_secret_until timestamptz,
  failing_since timestamptz,
  failures_in_row integer not null default 0,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
alter table platform.webhook_endpoint enable row level security;
alter table platform.webhook_endpoint force row level security;
create policy tenant_isolation on platform.webhook_endpoint
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on platform.webhook_endpoint to plimsoll_app;

-- One event for one endpoint.
create table platform.webhook_delivery (
  tenant_id uuid not null,
  id uuid not null default platform.uuid_v7(),
  endpoint_id uuid not null,
  event_id uuid not null,
  event_type text not null,
  resource_type text not null,
  resource_id text not null,
  position bigint not null,
  state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
  -- Attempts since it was planned or replayed.
  attempts integer not null default 0,
  next_attempt_at timestamptz not null,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  primary key (tenant_id, id),
  unique (tenant_id, endpoint_id, event_id),
  foreign key (tenant_id, endpoint_id)
    references platform.webhook_endpoint (tenant_id, id) on delete cascade,
  foreign key (tenant_id, event_id) references platform.event (tenant_id, id) on delete cascade
);
create index webhook_delivery_pending on platform.webhook_delivery
  (tenant_id, endpoint_id, resource_type, resource_id, position) where state = 'pending';
create index webhook_delivery_by_position on platform.webhook_delivery
  (tenant_id, endpoint_id, position);
create index webhook_delivery_by_event on platform.webhook_delivery (tenant_id, event_id);
alter table platform.webhook_delivery enable row level security;
alter table platform.webhook_delivery force row level security;
create policy tenant_isolation on platform.webhook_delivery
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on platform.webhook_delivery to plimsoll_app;

-- What each attempt met.
create table platform.webhook_attempt (
  tenant_id uuid not null,
  id uuid not null default platform.uuid_v7(),
  delivery_id uuid not null,
  at timestamptz not null,
  status integer,
  latency_ms integer not null,
  error text,
  response_excerpt text,
  primary key (tenant_id, delivery_id, id),
  foreign key (tenant_id, delivery_id)
    references platform.webhook_delivery (tenant_id, id) on delete cascade
);
alter table platform.webhook_attempt enable row level security;
alter table platform.webhook_attempt force row level security;
create policy tenant_isolation on platform.webhook_attempt
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert, update, delete on platform.webhook_attempt to plimsoll_app;

-- Endpoints with something to send, of all tenants, and when; a sender leases one at a time, so
-- that one endpoint's deliveries keep their order whatever the number of workers.
create table platform.webhook_due (
  of_tenant uuid not null,
  endpoint_id uuid not null,
  due_at timestamptz not null,
  -- A failing endpoint is held back, however much there is to send.
  not_before timestamptz not null default '-infinity',
  leased_until timestamptz not null default '-infinity',
  lease_id uuid,
  primary key (of_tenant, endpoint_id)
);
create index webhook_due_at on platform.webhook_due (due_at);
grant select, insert, update, delete on platform.webhook_due to plimsoll_app;
