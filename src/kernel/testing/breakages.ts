import { protect } from "./migrations.ts";
import { dedicatedSchema } from "../db/migration-files.ts";

const appRole = "plimsoll_test_app";
const ownSchema = dedicatedSchema("demo", "00000000-0000-7000-8000-00000000000c");
/** The policy's comparison as migrations write it. */
export const ofTenant =
  "tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid)";

interface Breakage {
  /** What somebody does to the database. */
  sql: string;
  /** What the check has to say of it. */
  names: RegExp;
  /** Role to check in place of the usual one. */
  appRole?: string;
}

const login = "create role plimsoll_breaker login in role plimsoll_app";
const breaker = { appRole: "plimsoll_breaker" };

/** Ways to break the tenant guard, each of which the catalogue check has to name. */
export const breakages: Record<string, Breakage> = {
  "row-level security off": {
    sql: "alter table demo.item disable row level security",
    names: /^demo\.item: row-level security is not enabled/,
  },
  "row-level security not forced": {
    sql: "alter table demo.item no force row level security",
    names: /^demo\.item: row-level security is not forced/,
  },
  "a kernel table laid bare": {
    sql: "alter table platform.api_key disable row level security",
    names: /^platform\.api_key: row-level security is not enabled/,
  },
  "a new tenant table without any protection": {
    sql: "create table demo.added (tenant_id uuid not null, id uuid, primary key (tenant_id, id))",
    names: /^demo\.added: row-level security is not enabled/,
  },
  "a dedicated tenant's table without protection": {
    sql: `create schema ${ownSchema};
      create table ${ownSchema}.item (tenant_id uuid not null primary key)`,
    names: new RegExp(`^${ownSchema}\\.item: row-level security is not enabled`),
  },
  "a partition without protection": {
    sql: `create table demo.log (tenant_id uuid, at date, primary key (tenant_id, at))
        partition by range (at);
      ${protect("demo.log")}
      create table demo.log_2026 partition of demo.log
        for values from ('2026-01-01') to (maxvalue)`,
    names: /^demo\.log_2026: row-level security is not enabled/,
  },
  "the policy dropped": {
    sql: "drop policy tenant_isolation on demo.item",
    names: /^demo\.item: no policy compares .* for DELETE/,
  },
  "a policy of true beside the good one": {
    sql: "create policy support on demo.item for select using (true)",
    names: /^demo\.item: policy support says using true/,
  },
  "a policy that lets anything be written": {
    sql: "alter policy tenant_isolation on demo.item with check (true)",
    names: /policy tenant_isolation says with check true/,
  },
  "a policy that lets anything be inserted": {
    sql: "create policy import on demo.item for insert with check (amount > 0)",
    names: /policy import says with check \(amount > 0\)/,
  },
  "a policy widened by or": {
    sql: `alter policy tenant_isolation on demo.item using (${ofTenant} or name = 'public')`,
    names: /policy tenant_isolation says using/,
  },
  "a policy widened by or inside an and": {
    sql: `alter policy tenant_isolation on demo.item
      using ((${ofTenant} and amount > 0) or (${ofTenant} and name is null) or amount = 1)`,
    names: /policy tenant_isolation says using/,
  },
  "a policy that reads another setting": {
    sql: `alter policy tenant_isolation on demo.item using (tenant_id =
      (select nullif(current_setting('app.tenant', true), '')::uuid))`,
    names: /policy tenant_isolation says using/,
  },
  "a policy that compares another column": {
    sql: `alter policy tenant_isolation on demo.item using (id =
      (select nullif(current_setting('app.tenant_id', true), '')::uuid))`,
    names: /policy tenant_isolation says using/,
  },
  "a policy that is open while no tenant is set": {
    sql: `alter policy tenant_isolation on demo.item using (tenant_id =
      coalesce((select nullif(current_setting('app.tenant_id', true), '')::uuid), tenant_id))`,
    names: /policy tenant_isolation says using/,
  },
  "a policy for reading only": {
    sql: `drop policy tenant_isolation on demo.item;
      create policy tenant_isolation on demo.item for select using (${ofTenant})`,
    names: /^demo\.item: no policy compares .* for UPDATE/,
  },
  "a policy for another role only": {
    sql: "alter policy tenant_isolation on demo.item to pg_monitor",
    names: /^demo\.item: no policy compares .* for SELECT/,
  },
  "the one exception widened": {
    sql: "alter policy membership_of_user on platform.membership using (user_id is not null)",
    names: /^platform\.membership: policy membership_of_user says using/,
  },
  "the one exception copied to another table": {
    sql: `create policy membership_of_user on demo.item for select
      using (id = (select nullif(current_setting('app.user_id', true), '')::uuid))`,
    names: /^demo\.item: policy membership_of_user says using/,
  },
  "tenant_id may be null": {
    sql: `create table demo.added (tenant_id uuid, id uuid not null);
      ${protect("demo.added")}`,
    names: /^demo\.added: tenant_id may be null/,
  },
  "tenant_id as text": {
    sql: "create table demo.added (tenant_id text primary key)",
    names: /^demo\.added: tenant_id is text and not uuid/,
  },
  "no primary key": {
    sql: "alter table demo.item drop constraint item_pkey cascade",
    names: /^demo\.item: it has no primary key/,
  },
  "a primary key of all tenants together": {
    sql: `create table demo.added (tenant_id uuid not null, id uuid primary key);
      ${protect("demo.added")}`,
    names: /^demo\.added: its primary key does not contain tenant_id/,
  },
  "a unique index of all tenants together": {
    sql: "create unique index item_name on demo.item (name)",
    names: /^demo\.item: item_name is unique across tenants/,
  },
  "a foreign key into any tenant's rows": {
    sql: `create table demo.parent (tenant_id uuid not null, id uuid unique,
        primary key (tenant_id, id));
      ${protect("demo.parent")}
      alter table demo.item add constraint item_up foreign key (parent_id)
        references demo.parent (id)`,
    names: /^demo\.item: its foreign key item_up to demo\.parent does not carry tenant_id/,
  },
  "a foreign key that carries tenant_id to the wrong column": {
    sql: `alter table demo.item add unique (id, tenant_id);
      alter table demo.item add constraint item_up foreign key (tenant_id, parent_id)
        references demo.item (id, tenant_id)`,
    names: /its foreign key item_up to demo\.item does not carry tenant_id/,
  },
  "a foreign key from a table of nobody's": {
    sql: `alter table demo.item add unique (id);
      create table demo.global (id uuid primary key references demo.item (id))`,
    names: /^demo\.global: its foreign key global_id_fkey to demo\.item/,
  },
  "a view with its owner's rights": {
    sql: "create view demo.everything as select * from demo.item",
    names: /^demo\.everything: it is a view without security_invoker/,
  },
  "a view that says security_invoker = false": {
    sql: `create view demo.everything with (security_invoker = false) as select * from demo.item`,
    names: /^demo\.everything: it is a view without security_invoker/,
  },
  "a materialized view": {
    sql: "create materialized view demo.total as select count(*) from demo.item",
    names: /^demo\.total: it is a materialized view/,
  },
  "a foreign table": {
    sql: `create extension file_fdw; create server files foreign data wrapper file_fdw;
      create foreign table demo.added (tenant_id uuid not null) server files
        options (filename '/dev/null')`,
    names: /^demo\.added: it is a foreign table/,
  },
  "a definer function without search_path": {
    sql: `create function demo.peek() returns bigint language sql security definer
        begin atomic select count(*) from demo.item; end;
      revoke execute on function demo.peek() from public`,
    names: /^demo\.peek\(\): it is SECURITY DEFINER and its search_path is not pinned/,
  },
  "a definer function for everybody": {
    sql: `create function demo.peek() returns bigint language sql security definer
      set search_path = pg_catalog begin atomic select count(*) from demo.item; end`,
    names: /^demo\.peek\(\): it is SECURITY DEFINER and PUBLIC may execute it/,
  },
  "a leakproof function": {
    sql: "create function demo.leak(text) returns boolean language sql leakproof return true",
    names: /^demo\.leak\(text\): it is LEAKPROOF/,
  },
  "a rewrite rule": {
    sql: "create rule copy as on insert to demo.item do also select 1",
    names: /^demo\.item: its rule copy runs with the owner's rights/,
  },
  "a trigger switched off": {
    sql: "alter table demo.item disable trigger never",
    names: /^demo\.item: its trigger never is disabled/,
  },
  "foreign keys switched off": {
    sql: "alter table demo.item disable trigger all",
    names: /^demo\.item: its trigger that enforces a foreign key is disabled/,
  },
  "a table of the application's own": {
    sql: `alter table demo.item owner to ${appRole}`,
    names: new RegExp(`^demo\\.item: its owner ${appRole} is a role that the application has`),
  },
  "a schema of the application's own": {
    sql: `alter schema demo owner to ${appRole}`,
    names: new RegExp(`^schema demo: its owner ${appRole} is a role`),
  },
  "a function of the application's own": {
    sql: `alter function demo.refuse() owner to ${appRole}`,
    names: new RegExp(`^demo\\.refuse\\(\\): its owner ${appRole} is a role`),
  },
  "truncate granted": {
    sql: "grant truncate on demo.item to plimsoll_app",
    names: /^demo\.item: the application may TRUNCATE/,
  },
  "triggers granted": {
    sql: "grant trigger on demo.item to plimsoll_app",
    names: /^demo\.item: the application may TRIGGER/,
  },
  "a table granted to everybody": {
    sql: "grant select on demo.item to public",
    names: /^demo\.item: SELECT is granted to PUBLIC/,
  },
  "a column granted to everybody": {
    sql: "grant update (amount) on demo.item to public",
    names: /^demo\.item: UPDATE of column amount is granted to PUBLIC/,
  },
  "new tables granted to everybody": {
    sql: "alter default privileges grant select on tables to public",
    names: /^default privileges of .*: new tables would be granted to PUBLIC/,
  },
  "a schema that the application may fill": {
    sql: "grant create on schema demo to plimsoll_app",
    names: /^schema demo: the application may create objects in it/,
  },
  "the schema public open to all": {
    sql: "grant create on schema public to public",
    names: /^schema public: the application may create objects in it/,
  },
  "a database that the application may fill": {
    sql: `do $$ begin execute format('grant create on database %I to plimsoll_app',
      current_database()); end $$`,
    names: /^database .*: the application may create schemas in it/,
  },
  "a tenant for every session of the role": {
    sql: `${login}; alter role plimsoll_breaker set app.tenant_id = 'x'`,
    names: /^role plimsoll_breaker: it sets app\.tenant_id for every session/,
    ...breaker,
  },
  "a tenant for every session of the database": {
    sql: `do $$ begin execute format('alter database %I set app.tenant_id = %L',
      current_database(), 'x'); end $$`,
    names: /^database .*: it sets app\.tenant_id for every session/,
  },
  "a tenant left in the session": {
    sql: "select set_config('app.tenant_id', gen_random_uuid()::text, false)",
    names: /^database .*: app\.tenant_id is set although no tenant transaction is running/,
  },
  "a superuser as the application": {
    sql: `${login}; alter role plimsoll_breaker superuser`,
    names: /role plimsoll_breaker is not safe: it is a superuser/,
    ...breaker,
  },
  "BYPASSRLS for the application": {
    sql: `${login}; alter role plimsoll_breaker bypassrls`,
    names: /role plimsoll_breaker is not safe: it has BYPASSRLS/,
    ...breaker,
  },
  "an application that makes roles": {
    sql: `${login}; alter role plimsoll_breaker createrole`,
    names: /role plimsoll_breaker is not safe: it may create roles/,
    ...breaker,
  },
  "an application that replicates": {
    sql: `${login}; alter role plimsoll_breaker replication`,
    names: /role plimsoll_breaker is not safe: it may replicate/,
    ...breaker,
  },
  "the owner as the application": {
    sql: "",
    names: /role plimsoll_test_owner is not safe: it owns the tables/,
    appRole: "plimsoll_test_owner",
  },
  "an application that can become the owner": {
    sql: `${login}; grant plimsoll_test_owner to plimsoll_breaker`,
    names: /can become plimsoll_test_owner, the owner of the tables/,
    ...breaker,
  },
  "an application that can become one with BYPASSRLS": {
    sql: `${login}; create role plimsoll_between nologin;
      create role plimsoll_bypass bypassrls; grant plimsoll_bypass to plimsoll_between;
      grant plimsoll_between to plimsoll_breaker`,
    names: /can become plimsoll_bypass, which has BYPASSRLS/,
    ...breaker,
  },
  "an application that reads all data": {
    sql: `${login}; grant pg_read_all_data to plimsoll_breaker`,
    names: /can become pg_read_all_data, which reaches past row-level security/,
    ...breaker,
  },
  "an application outside the group": {
    sql: "create role plimsoll_breaker login",
    names: /it is no member of plimsoll_app that inherits its grants/,
    ...breaker,
  },
  "no such role": {
    sql: "",
    names: /role plimsoll_nobody is not safe: it does not exist/,
    appRole: "plimsoll_nobody",
  },
};
