-- scope: platform
-- What can be ended under If-Match has a version, as everything that can be changed.
alter table platform.api_key add column version integer not null default 1;
alter table platform.invitation add column version integer not null default 1;
alter table platform.session add column version integer not null default 1;

-- Answers to requests that come before there is a tenant, such as registering: kept for 24 hours, so
-- that the same key gets the same bytes again. platform.idempotency has those of tenants. Keys and
-- requests are here as codes under a key of the server (HMAC), answers are sealed.
create table platform.kept_answer (
  scope bytea primary key check (length(scope) = 32),
  request_code bytea not null check (length(request_code) = 32),
  sealed bytea not null,
  expires_at timestamptz not null
);
create index kept_answer_expiry on platform.kept_answer (expires_at);
grant select, insert, update, delete on platform.kept_answer to plimsoll_app;

-- When a look at everything that a deleted tenant had found nothing more to erase.
alter table platform.tenant add column erased_at timestamptz;
create index tenant_to_erase on platform.tenant (deleted_at)
  where deleted_at is not null and erased_at is null;

-- Whether this transaction erases all that a deleted tenant had. Triggers that keep rows from being
-- deleted let such a delete pass.
create function platform.is_erasing() returns boolean language sql stable as $$
  select coalesce(current_setting('plimsoll.erasing', true), '') = 'on'
$$;
