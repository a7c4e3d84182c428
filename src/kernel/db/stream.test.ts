import assert from "node:assert/strict";
import { test } from "node:test";
import { alpha, beta, gamma, startFixture } from "./fixture.ts";
import { isConnectionError, isDataError } from "./pg-errors.ts";
import { streamRows } from "./stream.ts";
import type { Db } from "./types.ts";

interface Item {
  id: number;
  name: string;
}

const text = "select id, name from item where id > $1 order by id";

async function fill(db: Db, count: number, tenant = alpha): Promise<void> {
  await db.query(
    tenant,
    `insert into item (tenant_id, id, name)
     select $1, n, 'item ' || n from generate_series(1, $2::int) n`,
    [tenant.id, count],
  );
}

// Guards against an export that leaves out rows, repeats them or shows another tenant's.
test("all rows come, once, in order, in batches, of this tenant alone", async (t) => {
  const { db, database } = await startFixture(t);
  await fill(db, 25);
  await fill(db, 3, beta);
  await fill(db, 2, gamma);
  for (const batchRows of [1, 7, 24, 25, 26]) {
    const sizes: number[] = [];
    const ids: number[] = [];
    const statement = { text, values: [0] };
    for await (const rows of streamRows<Item>(db, alpha, statement, { batchRows })) {
      sizes.push(rows.length);
      ids.push(...rows.map(({ id }) => id));
    }
    assert.deepEqual(
      ids,
      Array.from({ length: 25 }, (_, n) => n + 1),
    );
    assert.ok(sizes.every((size) => size >= 1 && size <= batchRows));
  }
  const inGamma = await Array.fromAsync(streamRows<Item>(db, gamma, { text, values: [0] }));
  assert.deepEqual(inGamma, [
    [
      { id: 1, name: "item 1" },
      { id: 2, name: "item 2" },
    ],
  ]);
  assert.deepEqual(await Array.fromAsync(streamRows(db, alpha, { text, values: [25] })), []);
  const { total, idle } = database.stats();
  assert.equal(idle, total);
});

// Guards against an export that is half of before a change and half of after it.
test("a stream shows what there was when it began", async (t) => {
  const { db } = await startFixture(t);
  await fill(db, 10);
  const ids: number[] = [];
  const stream = streamRows<Item>(db, alpha, { text, values: [0] }, { batchRows: 4 });
  for await (const rows of stream) {
    ids.push(...rows.map(({ id }) => id));
    await db.query(alpha, "delete from item where id > 5");
    await db.query(alpha, "insert into item (tenant_id, id, name) values ($1, $2, 'new')", [
      alpha.id,
      100 + ids.length,
    ]);
  }
  assert.deepEqual(ids, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

// Guards against connections that are lost to readers who went away.
test("whoever stops reading gives the connection back at once", async (t) => {
  const { db, database } = await startFixture(t, { poolMax: 1 });
  await fill(db, 10);
  for (let time = 0; time < 3; time += 1) {
    for await (const rows of streamRows(db, alpha, { text, values: [0] }, { batchRows: 2 })) {
      assert.equal(rows.length, 2);
      assert.equal(database.stats().idle, 0);
      break;
    }
    assert.equal(database.stats().idle, 1);
  }
  const unread = streamRows(db, alpha, { text, values: [0] });
  await unread.return();
  assert.deepEqual((await db.query(alpha, "select count(*)::int as n from item")).rows, [
    { n: 10 },
  ]);
});

// Guards against an error that is taken for the end of the rows.
test("a failing statement rejects, and its transaction is over", async (t) => {
  const { db, database } = await startFixture(t, { poolMax: 1 });
  await fill(db, 10);
  const divides = "select id, 10 / (7 - id) as share from item order by id";
  const seen: unknown[] = [];
  const reading = async (statement: { text: string; values?: unknown[] }) => {
    for await (const rows of streamRows(db, alpha, statement, { batchRows: 2 })) seen.push(rows);
  };
  await assert.rejects(reading({ text: divides }), isDataError);
  assert.equal(seen.length, 3);
  await assert.rejects(reading({ text: "select nothing from nowhere" }), { code: "42P01" });
  assert.equal(database.stats().idle, 1);
  for (const batchRows of [0, -1, 1.5, 10_001]) {
    await assert.rejects(
      Array.fromAsync(streamRows(db, alpha, { text }, { batchRows })),
      RangeError,
    );
  }
});

// Guards against a reader who falls asleep and keeps a connection, and a snapshot, for good.
test("a stream that nobody reads on loses its transaction, and says so", async (t) => {
  const { db, admin } = await startFixture(t, { poolMax: 1, idleInTransactionTimeoutMs: 100 });
  await fill(db, 10);
  const stream = streamRows(db, alpha, { text, values: [0] }, { batchRows: 2 });
  await stream.next();
  const sleeping = `select count(*)::int as n from pg_stat_activity
    where state = 'idle in transaction' and datname = current_database()`;
  let waiting = 1;
  while (waiting > 0) waiting = (await admin.query(sleeping)).rows[0].n;
  await assert.rejects(stream.next(), isConnectionError);
  assert.equal((await db.query(alpha, "select 1")).rowCount, 1);
});

// Guards against a plan of one tenant's tables that is used for another's.
test("the same statement streams in turn for shared and dedicated tenants", async (t) => {
  const { db } = await startFixture(t, { poolMax: 1 });
  await fill(db, 3);
  await fill(db, 1, gamma);
  for (const [tenant, count] of [
    [alpha, 3],
    [gamma, 1],
    [alpha, 3],
    [beta, 0],
  ] as const) {
    const rows = (await Array.fromAsync(streamRows(db, tenant, { text, values: [0] }))).flat();
    assert.equal(rows.length, count);
  }
});
