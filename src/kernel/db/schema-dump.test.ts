import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import pg from "pg";
import { emptyDatabase, testDatabase } from "../testing/database.ts";
import { migrationFolder, protect } from "../testing/migrations.ts";
import { requireService } from "../testing/services.ts";
import { provisionDedicated } from "./migrate.ts";
import { dumpSchema } from "./schema-dump.ts";

async function connect(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on("error", () => {});
  await client.connect();
  t.after(() => client.end());
  return client;
}

// One of every kind of object that a migration may make, with the odd names that need quoting.
const everything = `
  create schema demo;
  grant usage on schema demo to plimsoll_app;
  comment on schema demo is 'It''s a demo';
  create extension btree_gist with schema public;
  create type demo.colour as enum ('red', 'green', 'blue');
  create domain demo.percent as integer default 0 not null
    constraint percent_range check (value between 0 and 100);
  create sequence demo.ticket as integer increment 2 start 7 cycle;
  grant usage on sequence demo.ticket to plimsoll_app;
  create function demo.double(n integer) returns integer language sql immutable return n * 2;
  create function demo.stamp() returns trigger language plpgsql as $$ begin return new; end $$;
  create table demo.item (
    tenant_id uuid not null, id integer generated always as identity, "from" text collate "C",
    serial_no serial, colour demo.colour default 'red', share demo.percent,
    ticket bigint default nextval('demo.ticket'), twice integer default demo.double(21),
    area integer generated always as (id * 2) stored, during tstzrange, parent_id integer,
    dropped text, primary key (tenant_id, id),
    constraint item_from_taken unique (tenant_id, "from"),
    constraint item_alone exclude using gist (tenant_id with =, during with &&),
    constraint item_small check (id < 1000),
    constraint item_parent foreign key (tenant_id, parent_id) references demo.item
      on delete cascade deferrable initially deferred
  ) with (fillfactor = 70);
  alter table demo.item drop column dropped;
  ${protect("demo.item")}
  create policy narrow on demo.item as restrictive for update to plimsoll_app using (id > 0);
  create unique index item_lower on demo.item (tenant_id, lower("from")) where id > 5;
  comment on index demo.item_lower is 'for looking up';
  comment on table demo.item is 'Things';
  comment on column demo.item."from" is 'Origin';
  create statistics demo.item_stats on colour, share from demo.item;
  create trigger stamp before insert or update on demo.item
    for each row execute function demo.stamp();
  grant update (share, colour) on demo.item to plimsoll_app;
  create table demo.log (tenant_id uuid, at date, primary key (tenant_id, at))
    partition by range (at);
  create index log_at on demo.log (at);
  create table demo.log_new partition of demo.log for values from ('2026-01-01') to (maxvalue);
  create view demo.red with (security_invoker=true) as
    select item.id, item.colour from demo.item where item.colour = 'red';
  grant select on demo.red to plimsoll_app;
  create materialized view demo.total as select count(*) as n from demo.log;
  create unique index total_n on demo.total (n);
  create rule quiet as on delete to demo.log do instead nothing;
  create function demo.late() returns bigint language sql as 'select count(*) from demo.item';
  create function demo.first(i demo.item) returns integer language sql return i.id;
  create function demo.guarded(a integer, b text default 'x') returns void language sql
    security definer set search_path = pg_catalog, pg_temp as 'select 1';
  revoke execute on function demo.guarded(integer, text) from public;
  grant execute on function demo.guarded(integer, text) to plimsoll_app;
  create procedure demo.tidy() language sql as 'select 1';
  comment on function demo.stamp() is 'Stamps';`;

// Guards against a schema.sql that lacks something the database has.
test("the dump, run in an empty database, makes a database with the same dump", async (t) => {
  const made = await connect(t, (await emptyDatabase(t)).adminUrl);
  await made.query(everything);
  const dump = await dumpSchema(made, ["demo"]);
  const remade = await connect(t, (await emptyDatabase(t)).adminUrl);
  await remade.query(dump);
  assert.equal(await dumpSchema(remade, ["demo"]), dump);
});

// Guards against a change of the schema that schema.sql, and so a review, would not show.
test("every kind of change shows in the dump", async (t) => {
  const client = await connect(t, (await emptyDatabase(t)).adminUrl);
  await client.query(everything);
  const before = await dumpSchema(client, ["demo"]);
  const changes = [
    "alter table demo.item disable row level security",
    "alter table demo.item no force row level security",
    "alter policy tenant_isolation on demo.item with check (true)",
    "alter policy narrow on demo.item to public",
    "drop policy narrow on demo.item",
    "grant truncate on demo.item to plimsoll_app",
    "revoke update (share) on demo.item from plimsoll_app",
    "grant select on demo.item to public",
    "alter table demo.item add column extra text",
    "alter table demo.item alter column ticket set not null",
    "alter table demo.item alter column twice set default 1",
    "alter table demo.item alter column twice type bigint",
    "alter table demo.item drop constraint item_small",
    "alter table demo.item drop constraint item_parent",
    "alter table demo.item alter constraint item_parent not deferrable",
    "alter table demo.item set (fillfactor = 90)",
    "drop index demo.item_lower",
    "comment on index demo.item_lower is null",
    "alter type demo.colour rename value 'red' to 'crimson'",
    "alter domain demo.percent drop constraint percent_range",
    "alter sequence demo.ticket no cycle",
    "alter function demo.guarded(integer, text) reset search_path",
    "alter function demo.guarded(integer, text) security invoker",
    "grant execute on function demo.guarded(integer, text) to public",
    "revoke execute on function demo.late() from public",
    "create or replace function demo.late() returns bigint language sql as 'select 2::bigint'",
    "drop trigger stamp on demo.item",
    "drop rule quiet on demo.log",
    "alter view demo.red set (security_invoker = false)",
    "alter table demo.log detach partition demo.log_new",
    "drop statistics demo.item_stats",
    "revoke usage on schema demo from plimsoll_app",
    "alter table demo.item disable trigger stamp",
    'alter table demo.item alter column "from" type text collate "POSIX"',
  ];
  for (const change of changes) {
    await t.test(change, async () => {
      await client.query("begin");
      await client.query(change);
      await client.query("commit");
      const after = await dumpSchema(client, ["demo"]);
      assert.notEqual(after, before);
      await client.query("drop schema demo cascade; drop extension btree_gist");
      await client.query(everything);
    });
  }
  assert.equal(await dumpSchema(client, ["demo"]), before);
});

// Guards against schema.sql changing with the order of work or with the machine.
test("the order in which things were made does not show", async (t) => {
  const parts = [
    `create table demo.b (tenant_id uuid primary key, constraint z check (true),
       constraint a check (true));`,
    "create table demo.a (id integer primary key);",
    "create function demo.f() returns integer language sql return 1;",
  ];
  const grants = [
    "grant select on demo.b to plimsoll_app;",
    "grant insert on demo.b to plimsoll_app;",
  ];
  const dumps: string[] = [];
  for (const order of [parts, parts.toReversed()]) {
    const client = await connect(t, (await emptyDatabase(t)).ownerUrl);
    const last = order === parts ? grants : grants.toReversed();
    await client.query(`create schema demo; ${order.join("")} ${last.join("")}`);
    dumps.push(await dumpSchema(client, ["demo"]));
  }
  assert.equal(dumps[0], dumps[1]);
});

// Guards against a dump that leaves something out without a word.
test("what the dump can't express stops it", async (t) => {
  const client = await connect(t, (await emptyDatabase(t)).ownerUrl);
  await client.query("create schema demo; create type demo.pair as (a integer, b integer)");
  await assert.rejects(dumpSchema(client, ["demo"]), /can't express demo\.pair/);
});

const demo = async (t: TestContext) => ({
  name: "demo",
  migrations: await migrationFolder(t, {
    "0001_item.sql": `-- scope: shared, dedicated
      create table item (tenant_id uuid not null, id uuid not null, primary key (tenant_id, id));
      ${protect("item")}`,
  }),
});

// Guards against schema.sql depending on which tenants a database happens to have.
test("a migrated database is dumped without tenants' own schemas and without data", async (t) => {
  const services = [await demo(t)];
  const database = await testDatabase(t, { services });
  const client = await connect(t, database.ownerUrl);
  const before = await dumpSchema(client);
  assert.match(before, /create table demo\.item/);
  assert.match(before, /create table platform\.migration/);
  const id = "00000000-0000-7000-8000-00000000000c";
  await client.query(
    `insert into platform.tenant (id, slug, name, isolation)
     values ($1, 'gamma', 'Gamma', 'dedicated')`,
    [id],
  );
  await provisionDedicated(database.ownerUrl, id, services);
  await client.query("create schema graphile_worker; create table graphile_worker.job ()");
  assert.equal(await dumpSchema(client), before);
});

// Guards against a schema.sql that only one version of PostgreSQL can be compared with.
test("PostgreSQL 15: the dump of the same migrations is the same", async (t) => {
  const clusterUrl = await requireService(t, "postgres15");
  if (!clusterUrl) return;
  const services = [await demo(t)];
  const dumps: string[] = [];
  for (const options of [{ services }, { services, clusterUrl }]) {
    const client = await connect(t, (await testDatabase(t, options)).ownerUrl);
    dumps.push(await dumpSchema(client));
  }
  assert.equal(dumps[0], dumps[1]);
});
