-- scope: platform
-- UUID version 7 (RFC 9562) for rows whose id the database gives: it sorts by time of making.
-- PostgreSQL 18 has one of its own, 15 has not.
create function platform.uuid_v7() returns uuid
language sql volatile parallel safe
as $$
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
        placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
        from 1 for 6),
      52, 1), 53, 1),
    'hex')::uuid
$$;

-- The smallest version 7 UUID of a moment: ids below it are older.
create function platform.uuid_v7_at(moment timestamptz) returns uuid
language sql immutable parallel safe
as $$
  select encode(
    substring(int8send((extract(epoch from moment) * 1000)::bigint) from 3)
      || '\x70008000000000000000'::bytea, 'hex')::uuid
$$;

-- The last record of each tenant's chain. Writing a record locks this row until the transaction
-- ends, which is what makes the chain one line. The chain starts after base_seq: records up to it
-- have been removed by retention, and base_hash is the hash of the last of them.
create table platform.audit_head (
  tenant_id uuid primary key,
  seq bigint not null,
  hash bytea not null,
  base_seq bigint not null default 0,
  base_hash bytea not null default '\x'
) with (fillfactor = 50);
alter table platform.audit_head enable row level security;
alter table platform.audit_head force row level security;
create policy tenant_isolation on platform.audit_head
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert (tenant_id, seq, hash), update (seq, hash)
  on platform.audit_head to plimsoll_app;

create table platform.audit (
  tenant_id uuid not null,
  seq bigint not null,
  id uuid not null,
  at timestamptz not null,
  actor_kind text not null,
  actor_id text not null,
  actor_user_id text,
  actor_name text not null,
  action text not null,
  resource_type text not null,
  resource_id text not null,
  request_id text not null,
  before jsonb,
  after jsonb,
  hash bytea not null,
  primary key (tenant_id, seq)
);
create index audit_by_resource on platform.audit (tenant_id, resource_type, resource_id, seq);
create index audit_by_actor on platform.audit (tenant_id, actor_id, seq);
create index audit_by_time on platform.audit (tenant_id, at);
alter table platform.audit enable row level security;
alter table platform.audit force row level security;
create policy tenant_isolation on platform.audit
  using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
  with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant select, insert on platform.audit to plimsoll_app;

-- The hash of a record, from what its row says and the hash before it. jsonb's text form is
-- canonical (member order, no insignificant space), and the time goes in as microseconds because
-- its text form depends on the session's time zone.
create function platform.audit_digest(previous bytea, r platform.audit) returns bytea
language sql stable parallel safe
as $$
  select sha256(previous || convert_to(jsonb_build_array(
    r.tenant_id, r.seq, r.id, (extract(epoch from r.at) * 1000000)::bigint,
    r.actor_kind, r.actor_id, r.actor_user_id, r.actor_name,
    r.action, r.resource_type, r.resource_id, r.request_id, r.before, r.after)::text, 'UTF8'))
$$;

-- Records are only ever added. Retention alone may delete, as the owner, in a transaction that has
-- said: set local plimsoll.audit_retention = 'on'.
create function platform.refuse_audit_change() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' and current_setting('plimsoll.audit_retention', true) = 'on' then
    return null;
  end if;
  raise exception 'audit records are append-only' using errcode = 'restrict_violation';
end
$$;
create trigger append_only before update or delete or truncate on platform.audit
  for each statement execute function platform.refuse_audit_change();

-- Drops a tenant's records before a moment and moves the start of its chain up to the first one
-- kept. For the owner only.
create function platform.prune_audit(tenant uuid, older_than timestamptz) returns bigint
language plpgsql
as $$
declare
  last platform.audit;
  removed bigint;
begin
  perform set_config('app.tenant_id', tenant::text, true);
  perform set_config('plimsoll.audit_retention', 'on', true);
  perform 1 from platform.audit_head where tenant_id = tenant for update;
  select * into last from platform.audit
   where tenant_id = tenant
     and seq < coalesce(
       (select min(seq) from platform.audit where tenant_id = tenant and at >= older_than),
       (select seq + 1 from platform.audit_head where tenant_id = tenant))
   order by seq desc limit 1;
  if not found then
    return 0;
  end if;
  update platform.audit_head set base_seq = last.seq, base_hash = last.hash
   where tenant_id = tenant;
  delete from platform.audit where tenant_id = tenant and seq <= last.seq;
  get diagnostics removed = row_count;
  perform set_config('plimsoll.audit_retention', '', true);
  return removed;
end
$$;
revoke execute on function platform.prune_audit(uuid, timestamptz) from public;
