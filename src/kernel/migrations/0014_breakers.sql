-- scope: platform
-- What platform admins do to breakers, so that it holds in every process. Rows are of dependencies
-- that the code names, which every process adds, and of any other that was isolated once.
create table platform.breaker (
  name text primary key check (length(name) between 1 and 400),
  is_held boolean not null default false,
  -- A process that has seen fewer of them resets its own breaker.
  resets bigint not null default 0,
  updated_at timestamptz not null default now()
);
grant select, insert, update on platform.breaker to plimsoll_app;
