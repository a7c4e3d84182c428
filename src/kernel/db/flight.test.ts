import assert from "node:assert/strict";
import { test } from "node:test";
import { alpha, beta, gamma, startFixture } from "./fixture.ts";
import type { FlightStatement } from "./flight.ts";
import { createLinks } from "./links.ts";
import { isCheckViolation, isForeignKeyViolation, isUniqueViolation } from "./pg-errors.ts";
import { defaults } from "./pool.ts";
import { settings, tenantSetting } from "./settings.ts";
import type { Db } from "./types.ts";

/** For statements that are meant to fail; what matters is what they leave behind. */
const ignore = () => {};

const insert = "insert into item (tenant_id, id, name) values ($1, $2, $3)";
const namesOf = async (db: Db, tenant = alpha) =>
  (await db.query<{ name: string }>(tenant, "select name from item order by id")).rows.map(
    (row) => row.name,
  );
const setting = `select nullif(current_setting('app.tenant_id', true), '') as tenant,
  current_schemas(false) as path`;

// Guards against one tenant's rows in another's answer.
test("a statement sees and changes its own tenant's rows only", async (t) => {
  const { db } = await startFixture(t);
  await db.query(alpha, insert, [alpha.id, 1, "O'Brien <3"]);
  await db.query(beta, insert, [beta.id, 1, "theirs"]);
  assert.deepEqual(await namesOf(db), ["O'Brien <3"]);
  assert.deepEqual(await namesOf(db, beta), ["theirs"]);
  assert.equal((await db.query(alpha, "update item set name = 'mine'")).rowCount, 1);
  assert.equal(
    (await db.query(alpha, "delete from item where tenant_id = $1", [beta.id])).rowCount,
    0,
  );
  await assert.rejects(db.query(alpha, insert, [beta.id, 2, "planted"]), { code: "42501" });
  assert.deepEqual(await namesOf(db, beta), ["theirs"]);
});

// Guards against a failure that leaves the tenant, or its search path, on a connection of the pool.
test("a flight that fails at Parse, Bind, Execute or its end leaves nothing behind", async (t) => {
  const { db, database } = await startFixture(t, { poolMax: 1 });
  await db.query(alpha, insert, [alpha.id, 1, "kept"]);
  const failures: [text: string, values: unknown[], code: string][] = [
    ["selec", [], "42601"],
    ["select * from nowhere", [], "42P01"],
    ["select 1; select 2", [], "42601"],
    ["select $1::integer", ["not a number"], "22P02"],
    ["select $1::integer", [], "08P01"],
    ["select 1 / (id - 1) from item", [], "22012"],
    [insert, [alpha.id, 1, "again"], "23505"],
    [insert, [alpha.id, 2, "forbidden"], "23514"],
    [
      "insert into item (tenant_id, id, name, parent_id) values ($1, 3, 'x', 99)",
      [alpha.id],
      "23503",
    ],
    ["copy platform.tenant from stdin", [], "57014"],
  ];
  for (let round = 0; round < 2; round += 1) {
    for (const [text, values, code] of failures) {
      await assert.rejects(db.query(alpha, text, values), { code }, text);
      const seen = await database.forService("platform").inPlatform((tx) => tx.query(setting));
      assert.deepEqual(seen.rows, [{ tenant: null, path: ["platform"] }], text);
      assert.deepEqual(await namesOf(db, beta), [], text);
      assert.deepEqual(await namesOf(db, alpha), ["kept"], text);
    }
  }
  assert.equal(database.stats().total, 1);
});

// Guards against settings for the session, which the next user of the connection would inherit.
test("after a flight, failed or not, its connection has no tenant and no path", async (t) => {
  const { appUrl } = await startFixture(t);
  const log = { warn: assert.fail, error: assert.fail };
  const links = createLinks({ ...defaults, appUrl, log });
  const link = await links.acquire("");
  const fly = (text: string, more: FlightStatement[] = []) =>
    links.land(link, links.send(link, [...more, { path: "", text }]));
  const settled = [settings('"demo"', alpha.id)];
  assert.deepEqual((await fly(setting, settled))[0]?.rows, [{ tenant: alpha.id, path: ["demo"] }]);
  for (const text of ["select 1", "select 1/0", "selec", "insert into item values (1)"]) {
    await fly(text, settled).catch(ignore);
    await fly("begin", []);
    await fly(text, [...settled, tenantSetting(beta.id)]).catch(ignore);
    await fly(text === "select 1" ? "commit" : "rollback", []);
    assert.deepEqual((await fly(setting))[0]?.rows, [{ tenant: null, path: ["pg_catalog"] }], text);
  }
  links.release(link);
  await links.close();
});

// Guards against stores that can't tell one broken rule from another, and logs that quote rows.
test("errors carry code, constraint and statement, and list no row values", async (t) => {
  const { db, database } = await startFixture(t);
  await db.query(alpha, insert, [alpha.id, 1, "kept"]);
  const failure = (text: string, values: unknown[]) =>
    db.query(alpha, text, values).then(
      () => assert.fail(text),
      (error: unknown) => error,
    );
  const twice = await failure(insert, [alpha.id, 1, "secret"]);
  const platform = database.forService("platform");
  const insertTenant = () =>
    platform.query(alpha, "insert into tenant values ($1, 'x')", [alpha.id]);
  await insertTenant();
  // Where there is no row-level security, PostgreSQL's detail quotes the row.
  const quoting = await insertTenant().catch((error: unknown) => error);
  assert.match((quoting as { detail: string }).detail, /already exists/);
  assert.doesNotMatch(JSON.stringify({ ...(quoting as object) }), /already exists|000a/);
  assert.ok(isUniqueViolation(twice));
  assert.ok(isUniqueViolation(twice, "item_pkey"));
  assert.ok(!isUniqueViolation(twice, "another"));
  assert.ok(isCheckViolation(await failure(insert, [alpha.id, 2, "forbidden"])));
  const orphan = "insert into item (tenant_id, id, name, parent_id) values ($1, 3, 'x', 99)";
  assert.ok(isForeignKeyViolation(await failure(orphan, [alpha.id]), "item_parent"));
  const listed = JSON.stringify({ ...(twice as object) });
  assert.match(listed, /insert into item/);
  assert.doesNotMatch(listed, /already exists|secret|000a/);
  assert.match((twice as Error).stack ?? "", /flight\.test/);
});

// Guards against a plan used with another schema's path, or a dedicated tenant in shared rows.
test("a dedicated tenant's statements find its own schema, under row-level security", async (t) => {
  const { db, admin } = await startFixture(t, { poolMax: 1 });
  for (let round = 0; round < 3; round += 1) {
    await db.query(gamma, insert, [gamma.id, round, "dedicated"]);
    await db.query(alpha, insert, [alpha.id, round, "shared"]);
  }
  assert.deepEqual(await namesOf(db, gamma), ["dedicated", "dedicated", "dedicated"]);
  assert.deepEqual(await namesOf(db, alpha), ["shared", "shared", "shared"]);
  const { rows } = await admin.query(
    "select count(*)::int as n from demo.item where tenant_id = $1",
    [gamma.id],
  );
  assert.deepEqual(rows, [{ n: 0 }]);
  await assert.rejects(db.query(gamma, insert, [alpha.id, 9, "planted"]), { code: "42501" });
});

// Guards against an identifier that reaches the search path unchecked.
test("a tenant whose id is no UUID is refused before anything is sent", async (t) => {
  const { db, database } = await startFixture(t);
  for (const id of ["", "x", `${alpha.id}"; drop schema demo`, `${alpha.id}\n`, "*"]) {
    for (const isolation of ["shared", "dedicated"] as const) {
      const tenant = { id, isolation };
      await assert.rejects(db.query(tenant, "select 1"), TypeError);
      await assert.rejects(
        db.inTenant(tenant, async () => 1),
        TypeError,
      );
    }
  }
  assert.throws(() => database.forService('demo"'), TypeError);
  assert.equal(database.stats().total, 0);
});

// Guards against a server that needs a restart after a migration.
test("a statement whose table was changed is parsed anew, also as the first", async (t) => {
  const { db, admin } = await startFixture(t, { poolMax: 2 });
  const text = "select * from item";
  await db.query(alpha, insert, [alpha.id, 1, "old"]);
  const reads = () => Promise.all([db.query(alpha, text), db.query(alpha, text)]);
  await reads();
  await admin.query("alter table demo.item add column size integer default 7");
  for (const { rows } of await reads()) {
    assert.deepEqual(rows, [{ tenant_id: alpha.id, id: 1, name: "old", parent_id: null, size: 7 }]);
  }
  await admin.query("alter table demo.item drop column size");
  const inside = await db.inTenant(alpha, async (tx) => {
    await tx.query("select 1");
    return tx.query("select name from item");
  });
  assert.equal(inside.rowCount, 1);
  const [first] = (await db.inTenant(alpha, (tx) => tx.query(text))).rows;
  assert.deepEqual(first, { tenant_id: alpha.id, id: 1, name: "old", parent_id: null });
});

// Guards against a half-done transaction when tables change under it.
test("a table changed in the midst of a transaction rolls it back, the next works", async (t) => {
  const { db, admin } = await startFixture(t, { poolMax: 1 });
  await db.query(alpha, "select * from item");
  await assert.rejects(
    db.inTenant(alpha, async (tx) => {
      await tx.query("select 1");
      await admin.query("alter table demo.item add column size integer");
      await tx.query("select * from item");
    }),
    { code: "0A000" },
  );
  assert.deepEqual((await db.inTenant(alpha, (tx) => tx.query("select * from item"))).rows, []);
});

// Guards against a connection that is useless for good once its statements were discarded.
test("statements that the server has forgotten are parsed anew", async (t) => {
  const { db, database } = await startFixture(t, { poolMax: 1 });
  await namesOf(db);
  await db.query(alpha, "deallocate all");
  assert.deepEqual(await namesOf(db), []);
  await db.query(alpha, "deallocate all");
  assert.equal((await db.inTenant(alpha, (tx) => tx.query("select 1 as it"))).rowCount, 1);
  assert.equal(database.stats().total, 1);
});

// Guards against unbounded plans in the server, and against a name that stands for two statements.
test("a connection keeps a bounded number of statements, each of them right", async (t) => {
  const { db } = await startFixture(t, { poolMax: 1 });
  for (let round = 0; round < 2; round += 1) {
    for (let number = 0; number < 700; number += 1) {
      const { rows } = await db.query(alpha, `select ${number} as it`);
      assert.deepEqual(rows, [{ it: number }]);
    }
  }
  const count = "select count(*)::int as n from pg_prepared_statements";
  const { rows } = await db.query<{ n: number }>(alpha, count);
  assert.ok((rows[0]?.n ?? 0) >= 400 && (rows[0]?.n ?? 0) <= 500, `${rows[0]?.n} statements`);
  // More statements in one flight than are kept: none may push out one of the same flight.
  const many = Array.from({ length: 900 }, (_, number) => ({
    text: `select 10000 + ${number} as it`,
  }));
  for (const batch of [many.slice(0, 100), many, many.toReversed()]) {
    const answers = await db.inTenant(alpha, (tx) => tx.batch(batch));
    assert.deepEqual(
      answers.map((answer) => answer.rows[0]?.it),
      batch.map(({ text }) => 10_000 + Number(text.split(" ")[3])),
    );
  }
  const left = (await db.query<{ n: number }>(alpha, count)).rows[0]?.n ?? 501;
  assert.ok(left <= 500, `${left} statements`);
});

// Guards against a client that believes in statements which the server never parsed.
test("a batch that fails half-way leaves every statement of it usable", async (t) => {
  const { db } = await startFixture(t, { poolMax: 1 });
  const batch = (divisor: number) =>
    db.inTenant(alpha, (tx) =>
      tx.batch([
        { text: "select 1 as first" },
        { text: "select 6 / $1::integer as quotient", values: [divisor] },
        { text: "select 3 as third" },
        { text: "select 6 / $1::integer as quotient", values: [2] },
      ]),
    );
  await assert.rejects(batch(0), { code: "22012" });
  for (let round = 0; round < 2; round += 1) {
    assert.deepEqual(
      (await batch(3)).map((answer) => answer.rows[0]),
      [{ first: 1 }, { quotient: 2 }, { third: 3 }, { quotient: 3 }],
    );
    await assert.rejects(batch(0), { code: "22012" });
  }
});

// Guards against counts and rows that belong to another statement of the flight.
test("answers have their own rows and counts, also for statements without any", async (t) => {
  const { db } = await startFixture(t);
  const answers = await db.inTenant(alpha, (tx) =>
    tx.batch([
      {
        text: "insert into item select $1, n, 'n' || n from generate_series(1, 12) n",
        values: [alpha.id],
      },
      { text: "update item set name = 'u' where id > 10 returning id" },
      { text: "select id from item where id > 100" },
      { text: "" },
      { text: "select" },
      { text: "delete from item" },
    ]),
  );
  assert.deepEqual(
    answers.map(({ rowCount }) => rowCount),
    [12, 2, 0, 0, 1, 12],
  );
  assert.deepEqual(answers[1]?.rows, [{ id: 11 }, { id: 12 }]);
  assert.deepEqual(answers[2]?.rows, []);
  assert.deepEqual(answers[4]?.rows, [{}]);
  assert.deepEqual(answers[5]?.rows, []);
});
