import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import pg from "pg";
import { emptyDatabase } from "../testing/database.ts";
import { migrationFolder, protect } from "../testing/migrations.ts";
import { requireService } from "../testing/services.ts";
import { catalogueFaults } from "./catalogue.ts";
import { dedicatedSchema, type MigrationSource } from "./migration-files.ts";
import { dropDedicated, migrate, migrationStatus, provisionDedicated } from "./migrate.ts";

const gamma = "00000000-0000-7000-8000-00000000000c";
const delta = "00000000-0000-7000-8000-00000000000d";

const epsilon = "00000000-0000-7000-8000-00000000000e";

const item = `-- scope: shared, dedicated
create table item (tenant_id uuid not null, id uuid not null, primary key (tenant_id, id));
${protect("item")}`;

interface Rig {
  ownerUrl: string;
  client: pg.Client;
  /** A service "demo" with these files. */
  service(files: Record<string, string>): Promise<MigrationSource>;
  tables(schema: string): Promise<string[]>;
  addTenant(id: string, isolation: "shared" | "dedicated"): Promise<void>;
  book(): Promise<string[]>;
}

async function startRig(t: TestContext, clusterUrl?: string): Promise<Rig> {
  const { ownerUrl } = await emptyDatabase(t, clusterUrl ? { clusterUrl } : {});
  const client = new pg.Client(ownerUrl);
  client.on("error", () => {});
  await client.connect();
  t.after(() => client.end());
  return {
    ownerUrl,
    client,
    service: async (files) => ({ name: "demo", migrations: await migrationFolder(t, files) }),
    async tables(schema) {
      const { rows } = await client.query(
        "select tablename from pg_tables where schemaname = $1 order by 1",
        [schema],
      );
      return rows.map((row) => row.tablename);
    },
    async addTenant(id, isolation) {
      await client.query(
        "insert into platform.tenant (id, slug, name, isolation) values ($1, $2, 'T', $3)",
        [id, `t-${id.slice(-4)}`, isolation],
      );
    },
    async book() {
      const { rows } = await client.query(
        `select schema_name || ': ' || name as line from platform.migration
          where schema_name <> 'platform' order by 1`,
      );
      return rows.map((row) => row.line);
    },
  };
}

// Guards against two replicas that start together both migrating, or one of them failing.
test("servers that start at once migrate once", async (t) => {
  const rig = await startRig(t);
  const slow = await rig.service({
    "0001_item.sql": item,
    // Would fail if it ran twice; slow, so that the others arrive while it runs.
    "0002_slow.sql":
      "-- scope: shared\nselect pg_sleep(0.3); create table once (id integer primary key);",
  });
  const reports = await Promise.all(
    [1, 2, 3, 4].map(() => migrate({ ownerUrl: rig.ownerUrl, services: [slow] })),
  );
  const ran = reports.map(({ applied }) => applied.filter((step) => step.startsWith("demo")));
  assert.deepEqual(
    ran.filter(({ length }) => length > 0),
    [["demo: demo/0001_item", "demo: demo/0002_slow"]],
  );
  assert.deepEqual(await rig.tables("demo"), ["item", "once"]);
});

// Guards against a half-applied migration, and an error that does not say where to look.
test("a broken migration names file and line and leaves the schema as it was", async (t) => {
  const rig = await startRig(t);
  const files = {
    "0001_item.sql": item,
    "0003_later.sql": "-- scope: shared\ncreate table later ();",
  };
  const broken = await rig.service({
    ...files,
    "0002_broken.sql": `-- scope: shared
create table half (id integer primary key);
insert into half values (1);
alter table item add column price nonsense;`,
  });
  await assert.rejects(migrate({ ownerUrl: rig.ownerUrl, services: [broken] }), {
    message:
      "Migration demo: demo/0002_broken failed at line 4, column 35: " +
      'type "nonsense" does not exist (42704). Nothing of it was kept.',
  });
  assert.deepEqual(
    await rig.tables("demo"),
    ["item"],
    "the file before it stays, nothing after it",
  );
  assert.deepEqual(await rig.book(), ["demo: 0001_item"]);

  const mended = await rig.service({ ...files, "0002_broken.sql": "-- scope: shared\nselect 1;" });
  const { applied } = await migrate({ ownerUrl: rig.ownerUrl, services: [mended] });
  assert.deepEqual(applied, ["demo: demo/0002_broken", "demo: demo/0003_later"]);
});

// Guards against databases that differ although they say that they are at the same version.
test("a file changed after it ran is refused by name; other line ends are no change", async (t) => {
  const rig = await startRig(t);
  const service = await rig.service({ "0001_item.sql": item });
  await migrate({ ownerUrl: rig.ownerUrl, services: [service] });
  const file = new URL("0001_item.sql", service.migrations);
  await writeFile(file, item.replaceAll("\n", "\r\n"));
  assert.deepEqual((await migrate({ ownerUrl: rig.ownerUrl, services: [service] })).applied, []);

  await writeFile(file, `${item}\n-- an afterthought`);
  await writeFile(new URL("0002_more.sql", service.migrations), "-- scope: shared\nselect 1;");
  await assert.rejects(
    migrate({ ownerUrl: rig.ownerUrl, services: [service] }),
    /demo: demo\/0001_item was changed after it had run/,
  );
  assert.deepEqual(await rig.book(), ["demo: 0001_item"], "nothing else ran");
});

// Guards against old code writing to a schema that it does not understand.
test("a schema newer than the code is refused with the names of what is unknown", async (t) => {
  const rig = await startRig(t);
  const empty = "-- scope: shared\nselect 1;";
  const newer = await rig.service({
    "0001_a.sql": empty,
    "0002_b.sql": empty,
    "0003_c.sql": empty,
  });
  await migrate({ ownerUrl: rig.ownerUrl, services: [newer] });
  const older = await rig.service({ "0001_a.sql": empty });
  await assert.rejects(migrate({ ownerUrl: rig.ownerUrl, services: [older] }), (error: Error) => {
    assert.match(error.message, /demo: 0002_b has run but is unknown: the schema is newer/);
    assert.match(error.message, /demo: 0003_c has run but is unknown/);
    return true;
  });
  const without = await migrate({ ownerUrl: rig.ownerUrl, services: [] });
  assert.deepEqual(without.applied, [], "a service that this process does not have is no matter");
});

// Guards against a migration that ran in another order here than everywhere else.
test("a new file that comes before one that has run is refused", async (t) => {
  const rig = await startRig(t);
  const service = await rig.service({ "0002_b.sql": "-- scope: shared\nselect 1;" });
  await migrate({ ownerUrl: rig.ownerUrl, services: [service] });
  await writeFile(new URL("0001_a.sql", service.migrations), "-- scope: shared\nselect 1;");
  await assert.rejects(
    migrate({ ownerUrl: rig.ownerUrl, services: [service] }),
    /demo: demo\/0001_a comes before 0002_b, which has run: give it a later number/,
  );
});

// Guards against a dry run that changes something, and one that lists something else than would
// run.
test("status and dry run list what would run, in order, and change nothing", async (t) => {
  const rig = await startRig(t);
  const services = [await rig.service({ "0001_item.sql": item })];
  const before = await migrationStatus({ ownerUrl: rig.ownerUrl, services });
  assert.deepEqual(before.applied, []);
  assert.deepEqual(before.faults, []);
  assert.equal(before.pending[0], "platform: platform/0001_tenancy");
  assert.equal(before.pending.at(-1), "demo: demo/0001_item");
  const { rows } = await rig.client.query("select to_regnamespace('platform') as platform");
  assert.equal(rows[0].platform, null);

  const { applied } = await migrate({ ownerUrl: rig.ownerUrl, services });
  assert.deepEqual(applied, before.pending);
  const after = await migrationStatus({ ownerUrl: rig.ownerUrl, services });
  assert.deepEqual(after.pending, []);
  assert.equal(after.applied.length, applied.length);
  assert(after.applied.every(({ durationMs }) => durationMs >= 0 && durationMs < 60_000));
});

// Guards against a dedicated tenant without tables, or with tables that only some of them have.
test("dedicated tenants get every service's schema, when made and at each migration", async (t) => {
  const rig = await startRig(t);
  const service = await rig.service({
    "0001_item.sql": item,
    "0002_shared.sql": "-- scope: shared\ncreate table shared_only (id integer primary key);",
  });
  const options = { ownerUrl: rig.ownerUrl, services: [service] };
  await migrate(options);
  await rig.addTenant(gamma, "dedicated");
  await rig.addTenant(delta, "shared");
  await assert.rejects(provisionDedicated(rig.ownerUrl, delta, [service]), /no dedicated tenant/);
  const made = await provisionDedicated(rig.ownerUrl, gamma, [service]);
  const own = dedicatedSchema("demo", gamma);
  assert.deepEqual(made.applied, [`${own}: demo/0001_item`]);
  assert.deepEqual(await rig.tables(own), ["item"]);
  assert.deepEqual(await rig.tables(dedicatedSchema("demo", delta)), []);
  assert.deepEqual((await provisionDedicated(rig.ownerUrl, gamma, [service])).applied, []);
  // As while the transaction that makes the tenant is still open.
  const early = await provisionDedicated(rig.ownerUrl, epsilon, [service]);
  assert.deepEqual(early.applied, [`${dedicatedSchema("demo", epsilon)}: demo/0001_item`]);
  await assert.rejects(migrate({ ...options, tenantId: "x" }), /no dedicated tenant x/);
  assert.deepEqual(await catalogueFaults(rig.client, { appRole: "plimsoll_test_app" }), []);

  await writeFile(
    new URL("0003_price.sql", service.migrations),
    "-- scope: shared, dedicated\nalter table item add column price integer;",
  );
  assert.deepEqual((await migrate(options)).applied, [
    "demo: demo/0003_price",
    `${own}: demo/0003_price`,
  ]);
});

// Guards against a fleet of tenants that can't be migrated any further after one of them failed.
test("migrating dedicated tenants goes on where it stopped, one alone when asked", async (t) => {
  const rig = await startRig(t);
  const service = await rig.service({ "0001_item.sql": item });
  const options = { ownerUrl: rig.ownerUrl, services: [service] };
  await migrate(options);
  await rig.addTenant(gamma, "dedicated");
  await rig.addTenant(delta, "dedicated");
  await migrate(options);
  const [first, second] = [dedicatedSchema("demo", gamma), dedicatedSchema("demo", delta)];
  await rig.client.query(`create table ${second}.price (id integer)`);
  await writeFile(
    new URL("0002_price.sql", service.migrations),
    "-- scope: dedicated\ncreate table price (id integer primary key);",
  );
  await assert.rejects(migrate(options), (error: Error) => {
    assert(error.message.startsWith(`Migration ${second}: demo/0002_price failed`), error.message);
    return true;
  });
  assert.deepEqual(await rig.tables(first), ["item", "price"], "the tenant before it is done");
  await rig.client.query(`drop table ${second}.price`);
  const { pending } = await migrationStatus(options);
  assert.deepEqual(pending, [`${second}: demo/0002_price`]);
  assert.deepEqual((await migrate({ ...options, tenantId: gamma })).applied, []);
  assert.deepEqual((await migrate({ ...options, tenantId: delta })).applied, pending);
});

// Guards against a deleted tenant's data staying behind, or another's going with it.
test("dropping a dedicated tenant drops all its schemas and nobody else's", async (t) => {
  const rig = await startRig(t);
  const service = await rig.service({ "0001_item.sql": item });
  await migrate({ ownerUrl: rig.ownerUrl, services: [service] });
  await rig.addTenant(gamma, "dedicated");
  await rig.addTenant(delta, "dedicated");
  await migrate({ ownerUrl: rig.ownerUrl, services: [service] });
  const dropped = await dropDedicated(rig.ownerUrl, gamma);
  assert.deepEqual(dropped, [dedicatedSchema("demo", gamma)]);
  assert.deepEqual(await rig.book(), [
    "demo: 0001_item",
    `${dedicatedSchema("demo", delta)}: 0001_item`,
  ]);
  assert.deepEqual(await rig.tables(dedicatedSchema("demo", delta)), ["item"]);
  assert.deepEqual(await dropDedicated(rig.ownerUrl, gamma), []);
  await rig.client.query("update platform.tenant set deleted_at = now() where id = $1", [gamma]);
  const { applied } = await migrate({ ownerUrl: rig.ownerUrl, services: [service] });
  assert.deepEqual(applied, [], "a deleted tenant's schemas are not made again");
});

// Guards against a start that hangs for ever behind another server, or behind a busy table.
test("waiting is bounded: for another migrating server, and for a table in use", async (t) => {
  const rig = await startRig(t);
  const service = await rig.service({ "0001_item.sql": item });
  const options = {
    ownerUrl: rig.ownerUrl,
    services: [service],
    lockWaitMs: 50,
    ddlLockWaitMs: 50,
  };
  await migrate(options);
  await rig.client.query("begin; lock table demo.item in access share mode");
  await writeFile(
    new URL("0002_price.sql", service.migrations),
    "-- scope: shared\nalter table item add column price integer;",
  );
  await assert.rejects(migrate(options), /0002_price failed.* in use for more than 50 ms/);
  await rig.client.query("commit; select pg_advisory_lock(1347176781, 1835625330)");
  await assert.rejects(
    migrate(options),
    /Another server has been migrating .* more than 50 ms \(process \d+ from .* since 20/,
  );
  await rig.client.query("select pg_advisory_unlock_all()");
  assert.deepEqual((await migrate(options)).applied, ["demo: demo/0002_price"]);
  // With nothing to do nobody waits at all.
  await rig.client.query("select pg_advisory_lock(1347176781, 1835625330)");
  assert.deepEqual((await migrate(options)).applied, []);
});

// Guards against a server killed while it migrates leaving a half-made schema or the lock behind.
test("a migrator that is killed half-way leaves nothing, and the next one completes", async (t) => {
  const rig = await startRig(t);
  const service = await rig.service({
    "0001_item.sql": item,
    "0002_long.sql": "-- scope: shared\ncreate table half (); select pg_sleep(30);",
  });
  const options = { ownerUrl: rig.ownerUrl, services: [service] };
  const killed = assert.rejects(migrate(options));
  for (let found = 0; found === 0; ) {
    const { rows } = await rig.client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep'`,
    );
    found = rows.length;
  }
  await killed;
  assert.deepEqual(await rig.tables("demo"), ["item"]);
  await writeFile(
    new URL("0002_long.sql", service.migrations),
    "-- scope: shared\ncreate table whole ();",
  );
  assert.deepEqual((await migrate({ ...options, lockWaitMs: 1_000 })).applied, [
    "demo: demo/0002_long",
  ]);
});

// Guards against one migration's session settings changing what the next one does.
test("what a migration sets for its session ends with it", async (t) => {
  const rig = await startRig(t);
  const service = await rig.service({
    "0001_astray.sql": "-- scope: shared\nset search_path = public; set role plimsoll_test_owner;",
    "0002_here.sql": "-- scope: shared\ncreate table here ();",
  });
  await migrate({ ownerUrl: rig.ownerUrl, services: [service] });
  assert.deepEqual(await rig.tables("demo"), ["here"]);
  assert.deepEqual(await rig.tables("public"), []);
});

// Guards against files whose scope, name or transaction would not be what their author meant.
test("files that break the rules are refused before anything runs", async (t) => {
  const rig = await startRig(t);
  const fine = "-- scope: shared\nselect 1;";
  const cases: [Record<string, string>, RegExp][] = [
    [{ "0001_a.sql": "create table a ();" }, /demo\/0001_a\.sql must begin with "-- scope: /],
    [{ "0001_a.sql": "-- scope: everywhere\n" }, /0001_a\.sql must begin with/],
    [{ "0001_a.sql": "-- scope: platform, dedicated\n" }, /0001_a\.sql must begin with/],
    [{ "1_a.sql": fine }, /demo\/1_a\.sql must be named like 0001_what_it_does\.sql/],
    [{ "0001_a.sql": fine, "0001_b.sql": fine }, /demo has two migrations with number 0001/],
    [{ "0001_a.sql": "-- scope: shared\nselect 1;\nCOMMIT;\n" }, /says "COMMIT;"/],
    [{ "0001_a.sql": "-- scope: shared\nbegin;\nselect 1;" }, /says "begin;"/],
  ];
  for (const [files, message] of cases) {
    const services = [await rig.service(files)];
    await assert.rejects(migrate({ ownerUrl: rig.ownerUrl, services }), message);
  }
  const long = { ...(await rig.service({ "0001_a.sql": item })), name: "a".repeat(29) };
  await assert.rejects(migrate({ ownerUrl: rig.ownerUrl, services: [long] }), /at most 28 letters/);
  const two = [
    await rig.service({ "0001_a.sql": fine }),
    await rig.service({ "0001_a.sql": fine }),
  ];
  await assert.rejects(migrate({ ownerUrl: rig.ownerUrl, services: two }), /Two services .* demo/);
  const { rows } = await rig.client.query("select to_regnamespace('platform') as platform");
  assert.equal(rows[0].platform, null);
});

// Guards against SQL in the migrations that only the embedded PostgreSQL understands.
test("PostgreSQL 15: everything migrates there too, and the catalogue is sound", async (t) => {
  const url = await requireService(t, "postgres15");
  if (!url) return;
  const rig = await startRig(t, url);
  const service = await rig.service({ "0001_item.sql": item });
  await migrate({ ownerUrl: rig.ownerUrl, services: [service] });
  await rig.addTenant(gamma, "dedicated");
  await provisionDedicated(rig.ownerUrl, gamma, [service]);
  assert.deepEqual(await catalogueFaults(rig.client, { appRole: "plimsoll_test_app" }), []);
});
