import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { withClient } from "../db/roles.ts";
import { emptyDatabase, testDatabase } from "./database.ts";
import { migrationFolder, protect } from "./migrations.ts";

const one = (url: string, text: string) =>
  withClient(url, async (client) => (await client.query(text)).rows[0]);

const demo = async (t: TestContext, extra = "") => ({
  name: "demo",
  migrations: await migrationFolder(t, {
    "0001_item.sql": `-- scope: shared
      create table item (tenant_id uuid not null, id uuid not null, primary key (tenant_id, id));
      ${protect("item")} ${extra}`,
  }),
});

// Guards against tests that see each other's rows.
test("each test has a migrated database of its own and an ordinary owner", async (t) => {
  const services = [await demo(t)];
  const [first, second] = await Promise.all([
    testDatabase(t, { services }),
    testDatabase(t, { services }),
  ]);
  assert.notEqual(first.name, second.name);
  const tenant = "insert into platform.tenant (id, slug, name, isolation) values";
  await one(first.ownerUrl, `${tenant} (gen_random_uuid(), 'one', 'One', 'shared')`);
  const count = "select count(*)::int as tenants from platform.tenant";
  assert.deepEqual(await one(first.appUrl, count), { tenants: 1 });
  assert.deepEqual(await one(second.appUrl, count), { tenants: 0 });
  const rights =
    "select rolsuper or rolbypassrls as special from pg_roles where rolname = current_user";
  assert.deepEqual(await one(first.ownerUrl, rights), { special: false });
  assert.deepEqual(await one(first.appUrl, rights), { special: false });
  await assert.rejects(one(first.appUrl, "select * from platform.migration"), { code: "42501" });
});

// Guards against a test that runs on yesterday's tables because a migration was edited.
test("a changed migration makes a new template", async (t) => {
  const before = await testDatabase(t, { services: [await demo(t)] });
  const services = [await demo(t, "alter table item add column price integer;")];
  const after = await testDatabase(t, { services });
  await assert.rejects(one(before.ownerUrl, "select price from demo.item"), { code: "42703" });
  await one(after.ownerUrl, "select price from demo.item");
});

// Guards against databases that pile up, and a cleanup that a forgotten connection can stop.
test("the database is dropped after its test, with connections still open", async (t) => {
  const cleanups: (() => Promise<void>)[] = [];
  const database = await emptyDatabase({ after: (clean) => void cleanups.push(clean) });
  const elsewhere = await emptyDatabase(t);
  await withClient(database.ownerUrl, async () => {
    for (const clean of cleanups) await clean();
  });
  const exists = `select exists (select from pg_database
    where datname = '${database.name}') as left`;
  assert.deepEqual(await one(elsewhere.adminUrl, exists), { left: false });
});

// Guards against a broken migration leaving a half-made template for the next test to use.
test("a template whose migration fails is not kept", async (t) => {
  const services = [await demo(t, "select nonsense;")];
  for (const _ of ["once", "again"]) {
    await assert.rejects(testDatabase(t, { services }), /0001_item failed .* "nonsense"/);
  }
  const { adminUrl } = await emptyDatabase(t);
  assert.deepEqual(
    await one(
      adminUrl,
      `select count(*)::int as halves from pg_database
        where datname ~ '^plimsoll_test_${process.pid}_template'`,
    ),
    { halves: 0 },
  );
});
