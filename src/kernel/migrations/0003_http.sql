-- scope: platform
-- What a POST that creates has answered, for 24 hours, so that the same key gets the same bytes again.
create table platform.idempotency (
  tenant_id uuid not null references platform.tenant (id) on delete cascade,
  -- Kind and id of the user or key that made the request: nobody replays another's.
  principal text not null,
  key text not null check (length(key) between 1 and 255),
  -- SHA-256 over method, address and body.
  request_hash bytea not null,
  status smallint not null check (status between 200 and 299),
  headers jsonb not null,
  body bytea not null,
  -- Whether the body holds a secret and is therefore encrypted.
  sealed boolean not null,
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

-- Takes a key for the rest of the transaction. A duplicate of a transaction under way waits here and
-- then finds its answer: PLM01. A wait beyond lock_timeout is PLM02. An advisory lock leaves nothing
-- to be vacuumed, so that a key costs one row written once.
create function platform.claim_idempotency_key(p_tenant_id uuid, p_principal text, p_key text)
  returns void language plpgsql volatile set search_path = pg_catalog as $$
begin
  begin
    perform pg_advisory_xact_lock(
      hashtextextended(concat_ws(' ', p_tenant_id, p_principal, p_key), 20231));
  exception when lock_not_available then
    raise exception 'the key is taken by a transaction under way' using errcode = 'PLM02';
  end;
  if exists (
    select from platform.idempotency
     where tenant_id = p_tenant_id and principal = p_principal and key = p_key
       and expires_at > now()
  ) then
    raise exception 'an answer is kept under the key' using errcode = 'PLM01';
  end if;
end $$;
revoke execute on function platform.claim_idempotency_key(uuid, text, text) from public;
grant execute on function platform.claim_idempotency_key(uuid, text, text) to plimsoll_app;
