-- scope: platform
-- A tenant's records make several chains instead of one. Whoever writes holds its chain until its
-- transaction is over, flush to disk included: with one chain a tenant's changes took turns at
-- that. A chain is as good as before, and so are all together.
alter table platform.audit add column chain smallint not null default 0;
alter table platform.audit alter column chain drop default;
alter table platform.audit drop constraint audit_pkey;
alter table platform.audit add primary key (tenant_id, chain, seq);
alter table platform.audit_head add column chain smallint not null default 0
  check (chain between 0 and 31);
alter table platform.audit_head alter column chain drop default;
alter table platform.audit_head drop constraint audit_head_pkey;
alter table platform.audit_head add primary key (tenant_id, chain);
grant insert (chain) on platform.audit_head to plimsoll_app;

-- Ids of version 7 now sort by the microsecond: the twelve bits behind the millisecond are its
-- fraction (RFC 9562, section 6.2, method 3). So they are the order of a tenant's records.
create function platform.uuid_v7(moment timestamptz) returns uuid
language sql volatile parallel safe
as $$
  select encode(
    substring(int8send(micros / 1000) from 3)
      || substring(int4send((28672 + (micros % 1000) * 4096 / 1000)::integer) from 3)
      || substring(uuid_send(gen_random_uuid()) from 9), 'hex')::uuid
    from (select (extract(epoch from moment) * 1000000)::bigint as micros) as time
$$;

create or replace function platform.uuid_v7() returns uuid
language sql volatile parallel safe
as $$
  select platform.uuid_v7(clock_timestamp())
$$;

create or replace function platform.uuid_v7_at(moment timestamptz) returns uuid
language sql immutable parallel safe
as $$
  select encode(
    substring(int8send(micros / 1000) from 3)
      || substring(int4send((28672 + (micros % 1000) * 4096 / 1000)::integer) from 3)
      || '\x8000000000000000'::bytea, 'hex')::uuid
    from (select (extract(epoch from moment) * 1000000)::bigint as micros) as time
$$;

drop index platform.audit_by_resource;
drop index platform.audit_by_actor;
drop index platform.audit_by_time;
create index audit_by_id on platform.audit (tenant_id, id);
create index audit_by_resource on platform.audit (tenant_id, resource_type, resource_id, id);
create index audit_by_actor on platform.audit (tenant_id, actor_id, id);

-- Appends records, each {actor: {kind, id, userId, name}, action, resource: {type, id}, requestId,
-- before, after}, to a chain that nobody else is writing; the chains of one connection's
-- transactions are mostly the same. It waits only where all chains are being written.
create function platform.append_audit(p_tenant_id uuid, p_records jsonb) returns void
language plpgsql
as $$
declare
  chains constant integer := 32;
  own constant integer := pg_backend_pid() % chains;
  lock_key constant bigint := hashtextextended(p_tenant_id::text, 20232) & -32;
  at_chain integer;
  head_seq bigint;
  head_hash bytea;
  record jsonb;
  written platform.audit;
begin
  for tries in 0..chains loop
    at_chain := (own + tries) % chains;
    exit when tries < chains and pg_try_advisory_xact_lock(lock_key | at_chain);
    if tries = chains then
      perform pg_advisory_xact_lock(lock_key | at_chain);
    end if;
  end loop;
  select h.seq, h.hash into head_seq, head_hash
    from platform.audit_head h where h.tenant_id = p_tenant_id and h.chain = at_chain;
  written.tenant_id := p_tenant_id;
  written.chain := at_chain;
  written.seq := coalesce(head_seq, 0);
  written.hash := coalesce(head_hash, '\x');
  for record in select value from jsonb_array_elements(p_records) loop
    written.seq := written.seq + 1;
    written.at := clock_timestamp();
    written.id := platform.uuid_v7(written.at);
    written.actor_kind := record #>> '{actor,kind}';
    written.actor_id := record #>> '{actor,id}';
    written.actor_user_id := record #>> '{actor,userId}';
    written.actor_name := record #>> '{actor,name}';
    written.action := record ->> 'action';
    written.resource_type := record #>> '{resource,type}';
    written.resource_id := record #>> '{resource,id}';
    written.request_id := record ->> 'requestId';
    written.before := nullif(record -> 'before', 'null');
    written.after := nullif(record -> 'after', 'null');
    written.hash := platform.audit_digest(written.hash, written);
    insert into platform.audit values (written.*);
  end loop;
  if head_seq is null then
    insert into platform.audit_head (tenant_id, chain, seq, hash)
      values (p_tenant_id, at_chain, written.seq, written.hash);
  else
    update platform.audit_head h set seq = written.seq, hash = written.hash
     where h.tenant_id = p_tenant_id and h.chain = at_chain;
  end if;
end
$$;
revoke execute on function platform.append_audit(uuid, jsonb) from public;
grant execute on function platform.append_audit(uuid, jsonb) to plimsoll_app;

-- Drops a tenant's records before a moment and moves the start of each chain up to the first one
-- kept. For the owner only.
create or replace function platform.prune_audit(tenant uuid, older_than timestamptz) returns bigint
language plpgsql
as $$
declare
  head record;
  last platform.audit;
  removed_of_chain bigint;
  removed bigint := 0;
begin
  perform set_config('app.tenant_id', tenant::text, true);
  perform set_config('plimsoll.audit_retention', 'on', true);
  for head in select * from platform.audit_head where tenant_id = tenant for update loop
    select * into last from platform.audit
     where tenant_id = tenant and chain = head.chain
       and seq < coalesce(
         (select min(seq) from platform.audit
           where tenant_id = tenant and chain = head.chain and at >= older_than),
         head.seq + 1)
     order by seq desc limit 1;
    continue when not found;
    update platform.audit_head set base_seq = last.seq, base_hash = last.hash
     where tenant_id = tenant and chain = head.chain;
    delete from platform.audit
     where tenant_id = tenant and chain = head.chain and seq <= last.seq;
    get diagnostics removed_of_chain = row_count;
    removed := removed + removed_of_chain;
  end loop;
  perform set_config('plimsoll.audit_retention', '', true);
  return removed;
end
$$;

-- Written with every keyed request: the check of a foreign key, and the tenant's row that all of
-- them would lock for it, cost more than they are worth. Erasing a tenant erases its kept answers.
alter table platform.idempotency drop constraint idempotency_tenant_id_fkey;

-- Takes a key for the rest of the transaction. A duplicate of a transaction under way waits here and
-- then finds its answer: PLM01. An advisory lock leaves nothing to be vacuumed, so that a key costs
-- one row written once. A wait beyond lock_timeout is 55P03 with this function in its context.
create or replace function platform.claim_idempotency_key(
  p_tenant_id uuid, p_principal text, p_key text
) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(
    hashtextextended(concat_ws(' ', p_tenant_id, p_principal, p_key), 20231));
  if exists (
    select from platform.idempotency
     where tenant_id = p_tenant_id and principal = p_principal and key = p_key
       and expires_at > now()
  ) then
    raise exception 'an answer is kept under the key' using errcode = 'PLM01';
  end if;
end $$;
