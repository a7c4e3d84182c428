import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { manualClock } from "../clock.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { alpha, beta, gamma, startFixture, startProxy } from "./fixture.ts";
import { ConnectionError, isLockTimeout, isStatementTimeout } from "./pg-errors.ts";
import { createDatabase } from "./pool.ts";
import type { Db, Tx } from "./types.ts";

const insert = "insert into item (tenant_id, id, name) values ($1, $2, $3)";

const failures = ["selec", "select $1::integer", "select 1/0", "select * from nowhere"];

/** One request of `tenant`, which may be told to fail; returns the names that it saw. */
async function request(db: Db, tenant: TenantRef, kind: number, fail: string | null) {
  const read = (tx: Pick<Tx, "query">) =>
    tx.query<{ name: string; tenant: string }>(
      `select name, current_setting('app.tenant_id') as tenant from item`,
    );
  if (kind === 0) {
    if (fail) await assert.rejects(db.query(tenant, fail));
    return (
      await db.query<{ name: string; tenant: string }>(
        tenant,
        "select name, current_setting('app.tenant_id') as tenant from item",
      )
    ).rows;
  }
  const attempt = db.inTenant(tenant, async (tx) => {
    const seen = await read(tx);
    await tx.query("update item set name = name");
    if (fail && kind === 1) await tx.query(fail);
    if (fail && kind === 2) tx.defer({ text: fail });
    return seen.rows;
  });
  if (!fail) return attempt;
  await assert.rejects(attempt);
  return [];
}

// Guards against the one thing that must never happen: another tenant's rows, on any connection.
test("tenants over few connections, a fifth of requests failing, never mix", async (t) => {
  const { db, database, logged } = await startFixture(t, { poolMax: 3 });
  const tenants = [alpha, beta, gamma];
  for (const tenant of tenants) await db.query(tenant, insert, [tenant.id, 1, tenant.id]);
  const step = fc.record({
    tenant: fc.constantFrom(...tenants),
    kind: fc.nat(2),
    fail: fc.option(fc.constantFrom(...failures), { freq: 4 }),
  });
  let requests = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      await Promise.all(
        steps.map(async ({ tenant, kind, fail }) => {
          for (const row of await request(db, tenant, kind, fail)) {
            assert.deepEqual(row, { name: tenant.id, tenant: tenant.id });
          }
          requests += 1;
        }),
      );
    }),
    { numRuns: 40 },
  );
  assert.ok(requests >= 800, `${requests} requests`);
  assert.ok(database.stats().total <= 3);
  // No connection was given back in the midst of a transaction or with a tenant.
  const dirty = await Promise.all(
    [1, 2, 3].map(() =>
      database.forService("platform").inPlatform((tx) => tx.query("select * from demo.item")),
    ),
  );
  for (const { rows } of dirty) assert.deepEqual(rows, []);
  assert.deepEqual(logged, []);
});

// Guards against a role for which row-level security does not exist.
test("a connection whose role bypasses row-level security is never used", async (t) => {
  const { admin, appUrl } = await startFixture(t);
  const url = new URL(appUrl);
  const role = `bypass_${process.pid}`;
  await admin.query(`create role ${role} login password 'x' bypassrls`);
  url.username = role;
  url.password = "x";
  const database = createDatabase({ appUrl: url.href, log: console });
  try {
    await assert.rejects(database.ping(5_000), /bypasses row-level security/);
    await assert.rejects(database.forService("demo").query(alpha, "select 1"), ConnectionError);
    assert.equal(database.stats().total, 0);
  } finally {
    await database.close();
    await admin.query(`drop role ${role}`);
  }
});

// Guards against requests that wait for a connection for ever, or in any number.
test("waiting for a connection is bounded in time and in number", async (t) => {
  const { db, database } = await startFixture(t, { poolMax: 1, connectTimeoutMs: 200 });
  const outcome = (tenant: TenantRef) =>
    db.query(tenant, "select 1").then(
      () => "served",
      (error) => (error instanceof ConnectionError ? error.message : "another error"),
    );
  await db.inTenant(alpha, async (tx) => {
    await tx.query("select 1");
    const crowd = Array.from({ length: 260 }, () => outcome(alpha));
    const neighbour = outcome(beta);
    assert.equal(database.stats().waiting, 251);
    const answers = await Promise.all(crowd);
    assert.equal(
      answers.filter((answer) => answer.includes("250 wait for one already")).length,
      10,
    );
    assert.equal(answers.filter((answer) => answer.includes("within 200 ms")).length, 250);
    assert.match(await neighbour, /within 200 ms/);
  });
  assert.equal(await outcome(alpha), "served");
  assert.deepEqual(database.stats(), { total: 1, idle: 1, waiting: 0, max: 1 });
});

// Guards against a tenant whose burst has everybody else stand in line behind it.
test("tenants take turns at connections, however many requests one of them has", async (t) => {
  const { db } = await startFixture(t, { poolMax: 2 });
  const order: string[] = [];
  const ask = (tenant: TenantRef, name: string) =>
    db.query(tenant, "select pg_sleep(0.002)").then(() => order.push(name));
  const burst = Array.from({ length: 60 }, () => ask(alpha, "alpha"));
  const others = [ask(beta, "beta"), ask(gamma, "gamma"), ask(beta, "beta")];
  await Promise.all([...burst, ...others]);
  assert.equal(order.length, 63);
  assert.ok(order.lastIndexOf("beta") < 12, order.join(" "));
  assert.ok(order.lastIndexOf("gamma") < 12, order.join(" "));
});

// Guards against a statement or a lock that holds its connection for ever.
test("statements, locks and idle transactions have their time", async (t) => {
  const { db, database } = await startFixture(t, {
    poolMax: 2,
    statementTimeoutMs: 300,
    lockTimeoutMs: 100,
    idleInTransactionTimeoutMs: 150,
  });
  await db.query(alpha, insert, [alpha.id, 1, "kept"]);
  const sleep = "select pg_sleep(20)";
  await assert.rejects(db.query(alpha, sleep), isStatementTimeout);
  await assert.rejects(
    db.inTenant(alpha, (tx) => tx.query(sleep)),
    isStatementTimeout,
  );
  await db.inTenant(alpha, async (tx) => {
    const lock = "select from item for update";
    await tx.query(lock);
    const nowait = db.inTenant(alpha, (other) => other.query(`${lock} nowait`));
    await assert.rejects(nowait, isLockTimeout);
    await tx.query("select 1");
    const waiting = db.inTenant(alpha, (other) => other.query(lock));
    while (database.stats().idle > 0) await tx.query("select 1");
    let waited = false;
    const refused = assert.rejects(waiting, isLockTimeout).then(() => (waited = true));
    while (!waited) await tx.query("select 1");
    await refused;
  });
  const idle = db.inTenant(alpha, async (tx) => {
    await tx.query("update item set name = 'lost'");
    const unlocked = "select from item for update skip locked";
    while ((await db.query(alpha, unlocked)).rowCount === 0);
    await tx.query("select 1");
  });
  await assert.rejects(idle, ConnectionError);
  assert.deepEqual((await db.query(alpha, "select name from item")).rows, [{ name: "kept" }]);
});

// Guards against a hang where the server, or the network, just stops answering.
test("a server that falls silent ends the wait, the transaction and the ping", async (t) => {
  const clock = manualClock();
  const proxy = await startProxy(t);
  const { db, database } = await startFixture(t, {
    through: proxy.url,
    clock,
    connectTimeoutMs: 200,
    statementTimeoutMs: 1_000,
  });
  await db.query(alpha, "select 1");
  proxy.answering = "hold";
  const reading = db.query(alpha, "select 2");
  const writing = db.inTenant(alpha, (tx) => tx.query("select 3"));
  const outcomes = Promise.allSettled([reading, writing]);
  await assert.rejects(database.ping(50), ConnectionError);
  clock.advance(60_000);
  for (const outcome of await outcomes) {
    assert.equal(outcome.status, "rejected");
    assert.ok(outcome.reason instanceof ConnectionError, String(outcome.reason));
  }
  await assert.rejects(db.query(alpha, "select 4"), ConnectionError);
  proxy.answering = "greet";
  await assert.rejects(db.query(alpha, "select 4"), ConnectionError);
  proxy.answering = "pass";
  assert.equal((await db.query(alpha, "select 5 as it")).rows[0]?.it, 5);
  await database.ping(5_000);
});

// Guards against a database that is down and looks like a fault of the request.
test("a database that can't be reached is a connection error, while it can't", async (t) => {
  const proxy = await startProxy(t);
  const { db, admin, database } = await startFixture(t, { through: proxy.url, poolMax: 4 });
  await Promise.all([1, 2, 3, 4].map(() => db.query(alpha, "select pg_sleep(0.01)")));
  await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and usename like '%_app'`);
  proxy.asking = "cut";
  for (let attempt = 0; attempt < 6; attempt += 1) {
    await assert.rejects(db.query(alpha, "select 1"), ConnectionError);
  }
  await assert.rejects(database.ping(1_000), ConnectionError);
  proxy.asking = "pass";
  assert.equal((await db.query(alpha, "select 1 as it")).rows[0]?.it, 1);
});

// Guards against logs that show what people typed, and slow statements that nobody hears of.
test("a slow statement is logged with its text and duration, never with its values", async (t) => {
  const durations: [number, boolean][] = [];
  const { db, logged } = await startFixture(t, {
    slowMs: 50,
    onFlight: (durationMs, failed) => durations.push([durationMs, failed]),
  });
  const slow = "select pg_sleep(0.08), $1::text as it";
  await db.query(alpha, slow, ["a secret"]);
  await db.inTenant(alpha, (tx) => tx.query(slow, ["a secret"]));
  await assert.rejects(db.query(alpha, "selec"));
  assert.deepEqual(
    logged.map(({ message, fields }) => [message, fields.statements]),
    [
      ["slow statement", [slow]],
      ["slow statement", [slow]],
    ],
  );
  assert.ok(logged.every(({ fields }) => (fields.durationMs as number) >= 80));
  assert.doesNotMatch(JSON.stringify(logged), /a secret/);
  assert.deepEqual(
    durations.map(([, failed]) => failed),
    [false, false, false, true],
  );
});

// Guards against a shutdown that cuts off work or hangs.
test("close waits for what is under way, then refuses", async (t) => {
  const { db, database } = await startFixture(t);
  const working = db.query(alpha, "select pg_sleep(0.1), 1 as it");
  const writing = db.inTenant(alpha, async (tx) => {
    await tx.query("select pg_sleep(0.05)");
    await tx.query(insert, [alpha.id, 1, "kept"]);
  });
  await Promise.all([working, database.ping(1_000)]);
  await Promise.all([database.close(), database.close(), writing]);
  await assert.rejects(db.query(alpha, "select 1"), ConnectionError);
  assert.equal(database.stats().total, 0);
});

// Guards against a PostgreSQL that is stopped while connections are still saying goodbye.
test("closing takes until every connection has ended", async (t) => {
  const sockets = () =>
    process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
  const { db, database } = await startFixture(t, { poolMax: 5 });
  await Promise.all([1, 2, 3, 4, 5].map(() => db.query(alpha, "select pg_sleep(0.01)")));
  const { total } = database.stats();
  const before = sockets();
  assert.ok(total > 1);
  await database.close();
  assert.equal(sockets(), before - total);
  await database.close();
});
