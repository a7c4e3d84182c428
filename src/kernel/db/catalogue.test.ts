import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import pg from "pg";
import { breakages, ofTenant } from "../testing/breakages.ts";
import { testDatabase } from "../testing/database.ts";
import { migrationFolder, protect } from "../testing/migrations.ts";
import { requireService } from "../testing/services.ts";
import { CatalogueError, catalogueFaults, checkCatalogue } from "./catalogue.ts";

const appRole = "plimsoll_test_app";

const demo = `-- scope: shared
create table item (
  tenant_id uuid not null, id uuid not null, parent_id uuid, name text, amount integer not null,
  primary key (tenant_id, id),
  constraint item_name_taken unique (tenant_id, name),
  constraint item_parent foreign key (tenant_id, parent_id) references item (tenant_id, id));
${protect("item")}
create table currency (code text primary key);
grant select on currency to plimsoll_app;
create function refuse() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger never before update on item for each row execute function refuse();`;

async function connect(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on("error", () => {});
  await client.connect();
  t.after(() => client.end());
  return client;
}

/** What the check says while `sql` holds, which is undone afterwards. */
async function faultsAfter(admin: pg.Client, sql: string, role = appRole): Promise<string[]> {
  await admin.query("begin");
  try {
    if (sql) await admin.query(sql);
    return await catalogueFaults(admin, { appRole: role });
  } finally {
    await admin.query("rollback");
  }
}

async function assertEachCaught(t: TestContext, admin: pg.Client): Promise<void> {
  for (const [title, { sql, names, appRole: role }] of Object.entries(breakages)) {
    await t.test(title, async () => {
      const faults = await faultsAfter(admin, sql, role);
      assert(
        faults.some((fault) => names.test(fault)),
        `not among: ${JSON.stringify(faults, null, 2)}`,
      );
      assert.deepEqual(await catalogueFaults(admin, { appRole }), [], "undone again");
    });
  }
}

const demoService = async (t: TestContext) => ({
  name: "demo",
  migrations: await migrationFolder(t, { "0001_item.sql": demo }),
});

// Guards against a tenant's rows lying open while the server starts as if all were well.
test("every deliberate breakage of the tenant guard is named", async (t) => {
  const database = await testDatabase(t, { services: [await demoService(t)] });
  await assertEachCaught(t, await connect(t, database.adminUrl));
  assert(Object.keys(breakages).length >= 20);
});

// Guards against PostgreSQL 15 writing its catalogue in a way that the check does not understand.
test("PostgreSQL 15: every deliberate breakage is named there too", async (t) => {
  const url = await requireService(t, "postgres15");
  if (!url) return;
  const database = await testDatabase(t, { services: [await demoService(t)], clusterUrl: url });
  await assertEachCaught(t, await connect(t, database.adminUrl));
});

// Guards against a check that cries wolf, and so would be switched off.
test("what is sound passes", async (t) => {
  const database = await testDatabase(t, { services: [await demoService(t)] });
  const admin = await connect(t, database.adminUrl);
  await checkCatalogue(admin, { appRole });
  const sound = `
    create policy mine on demo.item for select using (${ofTenant} and (amount > 0 or name is null));
    create policy never_negative on demo.item as restrictive using (amount >= 0);
    create policy reports on demo.item for select to pg_monitor using (true);
    create view demo.mine with (security_invoker = true) as select * from demo.item;
    create function demo.count() returns bigint language sql security definer
      set search_path = pg_catalog, pg_temp begin atomic select count(*) from demo.item; end;
    revoke execute on function demo.count() from public;
    create unique index item_token on demo.item (md5(name));
    comment on index demo.item_token is 'across tenants: 256 random bits can''t be guessed';
    create table demo.outbox (seq bigint primary key, of_tenant uuid not null);
    grant select, insert, delete on demo.outbox to plimsoll_app;
    create extension pg_trgm schema public;
    create schema elsewhere; create table elsewhere.private (tenant_id text)`;
  assert.deepEqual(await faultsAfter(admin, sound), []);
});

// Guards against the server's starting with a database that fails the check.
test("checkCatalogue throws, and its message names every fault", async (t) => {
  const database = await testDatabase(t);
  const owner = await connect(t, database.ownerUrl);
  await owner.query(`alter table platform.role disable row level security;
    alter table platform.audit no force row level security`);
  await assert.rejects(checkCatalogue(owner, { appRole }), (error) => {
    assert(error instanceof CatalogueError);
    assert.equal(error.faults.length, 2);
    assert.match(error.message, /platform\.audit: .*not forced/);
    assert.match(error.message, /platform\.role: .*not enabled/);
    return true;
  });
});
