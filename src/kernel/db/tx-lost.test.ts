import assert from "node:assert/strict";
import { test } from "node:test";
import { alpha, startFixture, startProxy } from "./fixture.ts";
import { CommitUnknownError, ConnectionError, isConnectionError } from "./pg-errors.ts";
import type { Db, Tx } from "./types.ts";

const insert = "insert into item (tenant_id, id, name) values ($1, $2, $3)";
const add = (tx: Tx, id: number, name = "item") => tx.query(insert, [tx.tenant.id, id, name]);
const idsOf = async (db: Db, tenant = alpha) =>
  (await db.query<{ id: number }>(tenant, "select id from item order by id")).rows.map(
    (row) => row.id,
  );

// Guards against a connection that breaks unheard, ends the process or is used again.
test("a connection that breaks in a transaction fails it and is replaced", async (t) => {
  const { db, admin, database } = await startFixture(t, { poolMax: 1 });
  const kill = `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and usename like '%_app'`;
  const broken = db.inTenant(alpha, async (tx) => {
    await add(tx, 1);
    await admin.query(kill);
    await add(tx, 2);
  });
  await assert.rejects(
    broken,
    (error) => isConnectionError(error) && !(error instanceof CommitUnknownError),
  );
  await assert.rejects(
    db.inTenant(alpha, async (tx) => {
      await add(tx, 1);
      const sleeping = tx.query("select pg_sleep(20)");
      while ((await admin.query(`${kill} and query like '%pg_sleep(20)%'`)).rowCount === 0);
      await sleeping;
    }),
    ConnectionError,
  );
  assert.deepEqual(await idsOf(db), []);
  assert.equal(database.stats().total, 1);
});

// Guards against a lost answer to COMMIT that is told as a rollback, or as success.
test("a COMMIT without an answer is an unknown outcome, whichever it was", async (t) => {
  const proxy = await startProxy(t);
  const { db } = await startFixture(t, { through: proxy.url });
  const callbacks: string[] = [];
  const inTwoFlights = async (tx: Tx, id: number) => {
    await add(tx, id);
  };
  const inOneFlight = async (tx: Tx, id: number) => {
    tx.write({ text: insert, values: [alpha.id, id, "written"] });
  };
  const losing = (id: number, work: typeof inOneFlight, lose: () => void) =>
    db.inTenant(alpha, async (tx) => {
      tx.afterCommit(() => callbacks.push("called"));
      await work(tx, id);
      lose();
    });
  let id = 0;
  for (const work of [inTwoFlights, inOneFlight]) {
    await idsOf(db); // A connection is there to be lost.
    await assert.rejects(
      losing(++id, work, () => (proxy.answering = "cut")),
      CommitUnknownError,
    );
    proxy.answering = "pass";
    await idsOf(db);
    await assert.rejects(
      losing(++id, work, () => (proxy.asking = "cut")),
      CommitUnknownError,
    );
    proxy.asking = "pass";
  }
  // The odd ones had been committed, the even ones never arrived: only the database can tell.
  assert.deepEqual(await idsOf(db), [1, 3]);
  assert.deepEqual(callbacks, []);
});

// Guards against an unknown outcome where the server did say that nothing was done.
test("a server that goes away before it comes to COMMIT has rolled back", async (t) => {
  const { db, admin } = await startFixture(t);
  const written = { text: insert, values: [alpha.id, 2, "written"] };
  for (const work of [(tx: Tx) => add(tx, 1), async (tx: Tx) => tx.write(written)]) {
    const attempt = db.inTenant(alpha, async (tx) => {
      await work(tx);
      tx.defer({ text: "select pg_terminate_backend(pg_backend_pid())" });
    });
    await assert.rejects(attempt, (error) => {
      return isConnectionError(error) && !(error instanceof CommitUnknownError);
    });
  }
  assert.deepEqual(await idsOf(db), []);
  assert.equal((await admin.query("select from demo.item")).rowCount, 0);
});
