-- scope: platform
-- A flag has a row for as long as anybody overrides it: for all (is_on) or for a tenant. Versions are
-- never given twice, so that a flag which is made anew is not taken for the one before; 1 is that of
-- flags without an override.
create sequence platform.flag_version start 2;
grant usage on sequence platform.flag_version to plimsoll_app;
alter table platform.flag alter column is_on drop not null;
alter table platform.flag add column version bigint not null
  default nextval('platform.flag_version');
insert into platform.flag (name) select distinct name from platform.flag_tenant
  on conflict (name) do nothing;
alter table platform.flag_tenant add foreign key (name) references platform.flag (name);

-- What is told to go wrong at points of the code, in every process. A row stays when its fault is
-- cleared or has struck as often as it was to, so that versions go on; kind is null then. Points
-- without a row have version 1.
create table platform.fault (
  point text primary key check (point ~ '^[a-z][a-z0-9_]*([.][a-z0-9_]+)+$' and length(point) <= 100),
  version integer not null default 2,
  kind text check (kind in ('latency', 'error', 'timeout', 'corruption', 'crash')),
  probability double precision not null check (probability > 0 and probability <= 1),
  -- How often it strikes in all; null for no limit. A crash without one would never end.
  count integer check (count between 1 and 1000000),
  latency_ms integer not null check (latency_ms between 0 and 600000),
  struck integer not null default 0,
  updated_at timestamptz not null default now(),
  check (kind <> 'crash' or count is not null)
);
grant select, insert, update on platform.fault to plimsoll_app;
