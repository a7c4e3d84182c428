import assert from "node:assert/strict";
import { test } from "node:test";
import type { TenantRef } from "../tenancy/types.ts";
import { alpha, beta, gamma, startFixture, startProxy } from "./fixture.ts";
import { ConnectionError } from "./pg-errors.ts";
import type { Db } from "./types.ts";

const insert = "insert into item (tenant_id, id, name) values ($1, $2, $3)";
const list = "select id, name from item order by id";
const nameOf = "select name from item where id = $1::integer";

/** Rows 1 to 3 for each of the three tenants, named after it. */
async function fill(db: Db): Promise<void> {
  for (const [tenant, name] of [
    [alpha, "alpha"],
    [beta, "beta"],
    [gamma, "gamma"],
  ] as const) {
    await db.inTenant(tenant, async (tx) => {
      for (let id = 1; id <= 3; id += 1) await tx.query(insert, [tenant.id, id, name]);
    });
  }
}

/** A text flies alone the first time, and may share from then on. */
async function introduce(db: Db, ...texts: string[]): Promise<void> {
  for (const text of texts) await db.query(alpha, text, text.includes("$1") ? [1] : []);
}

const settle = <T>(promises: Promise<T>[]) => Promise.allSettled(promises);

// Guards against rows of a neighbour whose read travelled in the same write.
test("reads that share a connection and a write each see their own tenant", async (t) => {
  const { db, database } = await startFixture(t, { poolMax: 60 });
  await fill(db);
  await introduce(db, list, nameOf);
  const expected = new Map<TenantRef, string>([
    [alpha, "alpha"],
    [beta, "beta"],
    [gamma, "gamma"],
  ]);
  const asked = Array.from({ length: 300 }, (_, n) => [...expected][n % 3] as [TenantRef, string]);
  const answers = await Promise.all(
    asked.map(([tenant], n) =>
      n % 2 === 0 ? db.query(tenant, list) : db.query(tenant, nameOf, [(n % 3) + 1]),
    ),
  );
  answers.forEach(({ rows }, n) => {
    assert.equal(rows.length, n % 2 === 0 ? 3 : 1);
    for (const row of rows) assert.equal(row.name, asked[n]?.[1]);
  });
  // Groups of sixteen, however slow the machine is: each on a connection of its own at the most.
  assert.ok(database.stats().total <= 25, "reads had connections of their own");
  assert.equal(database.stats().waiting, 0);
});

// Guards against one caller's mistake that becomes everybody's.
test("what fails in one read does not touch those around it", async (t) => {
  const { db, logged } = await startFixture(t, { poolMax: 2 });
  await fill(db);
  const divide = "select 6 / $1::integer as result";
  await introduce(db, nameOf, divide);
  const outcomes = await settle(
    Array.from({ length: 60 }, (_, n) => {
      if (n % 5 === 1) return db.query(beta, divide, [0]);
      if (n % 5 === 2) return db.query(beta, nameOf, ["not a number"]);
      if (n % 5 === 3) return db.query(beta, nameOf, [() => {}]);
      return db.query(beta, nameOf, [1]);
    }),
  );
  outcomes.forEach((outcome, n) => {
    if (outcome.status === "fulfilled") {
      assert.ok(n % 5 === 0 || n % 5 === 4, String(n));
      assert.deepEqual(outcome.value.rows, [{ name: "beta" }]);
      return;
    }
    const codes = [undefined, "22012", "22P02"];
    if (n % 5 === 3) assert.ok(outcome.reason instanceof TypeError);
    else assert.equal(outcome.reason.code, codes[n % 5]);
  });
  assert.deepEqual(logged, []);
});

// Guards against readers who meet an error because a table was changed under them.
test("reads that share survive changed tables and forgotten statements", async (t) => {
  const { db, admin } = await startFixture(t, { poolMax: 2 });
  await fill(db);
  const all = "select * from item order by id";
  await introduce(db, all);
  const crowd = () => Promise.all(Array.from({ length: 30 }, () => db.query(beta, all)));
  await crowd();
  await admin.query("alter table demo.item add column extra text not null default 'new'");
  for (const { rows } of await crowd()) assert.equal(rows[0]?.extra, "new");
  await db.query(alpha, "deallocate all");
  for (const { rows } of await crowd()) assert.equal(rows.length, 3);
});

// Guards against a lost connection that leaves somebody waiting for ever, or is used again.
test("reads of a connection that breaks all fail, and the next ones are served", async (t) => {
  const proxy = await startProxy(t);
  const { db } = await startFixture(t, { poolMax: 2, through: proxy.url });
  await fill(db);
  await introduce(db, nameOf);
  proxy.answering = "cut";
  const outcomes = await settle(Array.from({ length: 40 }, () => db.query(beta, nameOf, [1])));
  for (const outcome of outcomes) {
    assert.equal(outcome.status, "rejected");
    assert.ok(outcome.reason instanceof ConnectionError, String(outcome.reason));
  }
  proxy.answering = "pass";
  assert.deepEqual((await db.query(beta, nameOf, [1])).rows, [{ name: "beta" }]);
});

// Guards against quick readers who stand behind a slow one, whosever it is.
test("a slow read gets a connection of its own", async (t) => {
  const { db } = await startFixture(t, { poolMax: 4 });
  await fill(db);
  const sleep = "select pg_sleep($1::float8)::text as slept";
  await introduce(db, nameOf);
  await db.query(alpha, sleep, [0]);
  // May share, and turns out slow: from now on it flies alone.
  await db.query(alpha, sleep, [0.2]);
  const finished: string[] = [];
  const slow = db.query(alpha, sleep, [0.5]).then(() => finished.push("slow"));
  await Promise.all(
    Array.from({ length: 100 }, () => db.query(beta, nameOf, [1]).then(() => finished.push("q"))),
  );
  await slow;
  assert.equal(finished.indexOf("slow"), 100);
});

// Guards against connections that carry reads for ever while a change waits for one.
test("a stream of reads does not keep a change from its connection", async (t) => {
  const { db } = await startFixture(t, { poolMax: 1 });
  await fill(db);
  await introduce(db, nameOf);
  let changed = false;
  let reads = 0;
  const reader = async () => {
    for (; !changed && reads < 20_000; reads += 1) await db.query(beta, nameOf, [1]);
  };
  const readers = Array.from({ length: 20 }, reader);
  await db.inTenant(alpha, (tx) => tx.query(insert, [alpha.id, 9, "changed"]));
  changed = true;
  await Promise.all(readers);
  assert.ok(reads < 20_000, "the change was starved");
});

// Guards against a tenant in a hurry that has everybody else's reads wait for all of its own.
test("tenants take turns at shared flights", async (t) => {
  const { db } = await startFixture(t, { poolMax: 2 });
  await fill(db);
  await introduce(db, nameOf);
  const order: string[] = [];
  const ask = (tenant: TenantRef, name: string) =>
    db.query(tenant, nameOf, [1]).then(() => order.push(name));
  const burst = Array.from({ length: 200 }, () => ask(alpha, "alpha"));
  await Promise.all([...burst, ask(beta, "beta"), ask(gamma, "gamma")]);
  assert.ok(order.indexOf("beta") < 40, String(order.indexOf("beta")));
  assert.ok(order.indexOf("gamma") < 40, String(order.indexOf("gamma")));
});
