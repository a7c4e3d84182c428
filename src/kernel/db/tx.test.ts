import assert from "node:assert/strict";
import { test } from "node:test";
import { alpha, beta, gamma, startFixture } from "./fixture.ts";
import { isUniqueViolation, RolledBackError } from "./pg-errors.ts";
import { alsoIn } from "./tx.ts";
import type { Db, Statement, Tx } from "./types.ts";

/** For statements that are meant to fail; what matters is what they leave behind. */
const ignore = () => {};

const insert = "insert into item (tenant_id, id, name) values ($1, $2, $3)";
const add = (tx: Tx, id: number, name = "item") => tx.query(insert, [tx.tenant.id, id, name]);
const idsOf = async (db: Db, tenant = alpha) =>
  (await db.query<{ id: number }>(tenant, "select id from item order by id")).rows.map(
    (row) => row.id,
  );

// Guards against changes that only half commit.
test("a transaction commits all that it did and answers what its work returned", async (t) => {
  const { db } = await startFixture(t);
  const answer = await db.inTenant(alpha, async (tx) => {
    await add(tx, 1);
    tx.defer({ text: insert, values: [alpha.id, 3, "deferred"] });
    await tx.batch([
      { text: insert, values: [alpha.id, 2, "batched"] },
      { text: "update item set name = 'changed' where id = 1" },
    ]);
    return (await tx.query("select count(*)::int as n from item")).rows;
  });
  assert.deepEqual(answer, [{ n: 2 }]);
  assert.deepEqual(await idsOf(db), [1, 2, 3]);
  assert.deepEqual(await idsOf(db, beta), []);
});

// Guards against more network round trips than BEGIN…first, each statement, deferred…COMMIT.
test("one statement takes two flights, none takes no connection", async (t) => {
  let flights = 0;
  const { db, database } = await startFixture(t, { onFlight: () => (flights += 1) });
  assert.equal(await db.inTenant(alpha, async () => "nothing"), "nothing");
  assert.equal(await db.inTenant(alpha, async (tx) => (await tx.batch([])).length), 0);
  assert.equal(database.stats().total, 0);
  assert.equal(flights, 0);
  await db.inTenant(alpha, async (tx) => {
    await add(tx, 1);
    tx.defer({ text: insert, values: [alpha.id, 2, "deferred"] });
    tx.defer({ text: insert, values: [alpha.id, 3, "deferred"] });
  });
  assert.equal(flights, 2);
  await db.inTenant(alpha, async (tx) => tx.defer({ text: insert, values: [alpha.id, 4, "x"] }));
  assert.equal(flights, 3);
  assert.deepEqual(await idsOf(db), [1, 2, 3, 4]);
});

// Guards against a write that waits for itself, that comes after what needs it, or whose refusal
// its caller can't tell from a fault.
test("a queued write goes with the next statement or COMMIT, and explains itself", async (t) => {
  let flights = 0;
  const { db } = await startFixture(t, { onFlight: () => (flights += 1) });
  const write = (tx: Tx, id: number) => {
    const values = [alpha.id, id, "queued"];
    tx.write({ text: insert, values }, (error) => {
      throw isUniqueViolation(error) ? new Error(`${id} is taken`) : error;
    });
  };
  await db.inTenant(alpha, async (tx) => write(tx, 1));
  assert.equal(flights, 1);
  const seen = await db.inTenant(alpha, async (tx) => {
    write(tx, 2);
    return (await tx.query("select id from item order by id")).rows;
  });
  assert.deepEqual([seen, flights], [[{ id: 1 }, { id: 2 }], 3]);
  const taken = { message: "2 is taken" };
  await assert.rejects(
    db.inTenant(alpha, async (tx) => {
      write(tx, 3);
      write(tx, 2);
    }),
    taken,
  );
  await assert.rejects(
    db.inTenant(alpha, async (tx) => {
      write(tx, 2);
      await add(tx, 4);
    }),
    taken,
  );
  assert.deepEqual(await idsOf(db), [1, 2]);
});

// Guards against work that failed and was saved all the same.
test("whatever fails, in the work, deferred or at COMMIT, nothing is saved", async (t) => {
  const { db, database } = await startFixture(t, { poolMax: 1 });
  const committed: string[] = [];
  const orphan = "insert into item (tenant_id, id, name, parent_id) values ($1, 9, 'x', 99)";
  const failures: [what: string, work: (tx: Tx) => Promise<unknown>, expected: object][] = [
    ["the work", async () => assert.fail("own"), { message: "own" }],
    ["a statement", (tx) => add(tx, 2, "forbidden"), { code: "23514" }],
    ["a batch", (tx) => tx.batch([{ text: "select 1" }, { text: "selec" }]), { code: "42601" }],
    ["a value", (tx) => tx.query("select $1", [Symbol("x")]), { name: "TypeError" }],
    ["a deferred one", async (tx) => tx.defer({ text: "select 1/0" }), { code: "22012" }],
    [
      "one made before COMMIT",
      async (tx) => tx.beforeCommit(() => ({ text: "select 1/0" })),
      { code: "22012" },
    ],
    ["a maker", async (tx) => tx.beforeCommit(() => assert.fail("own")), { message: "own" }],
    ["a deferred constraint", (tx) => tx.query(orphan, [alpha.id]), { code: "23503" }],
  ];
  for (const [what, work, expected] of failures) {
    const attempt = db.inTenant(alpha, async (tx) => {
      tx.afterCommit(() => committed.push(what));
      await add(tx, 1);
      tx.defer({ text: insert, values: [alpha.id, 3, "deferred"] });
      await work(tx);
    });
    await assert.rejects(attempt, expected, what);
    assert.deepEqual(await idsOf(db), [], what);
  }
  // The same of transactions of one flight, which have neither BEGIN nor COMMIT.
  const late: [what: string, statement: Statement, code: string][] = [
    ["the last of one flight", { text: "select 1/0" }, "22012"],
    ["a deferred constraint of one flight", { text: orphan, values: [alpha.id] }, "23503"],
  ];
  for (const [what, statement, code] of late) {
    const attempt = db.inTenant(alpha, async (tx) => {
      tx.afterCommit(() => committed.push(what));
      tx.write({ text: insert, values: [alpha.id, 1, "written"] });
      tx.defer(statement);
    });
    await assert.rejects(attempt, { code }, what);
    assert.deepEqual(await idsOf(db), [], what);
  }
  assert.deepEqual(committed, []);
  assert.deepEqual(database.stats(), { total: 1, idle: 1, waiting: 0, max: 1 });
});

// Guards against a false success: PostgreSQL answers COMMIT of a failed transaction with ROLLBACK.
test("an error that the work swallows still fails the transaction", async (t) => {
  const { db } = await startFixture(t);
  const swallowing = db.inTenant(alpha, async (tx) => {
    await add(tx, 1);
    await add(tx, 1).catch(ignore);
    await assert.rejects(add(tx, 2), RolledBackError);
    return "fine";
  });
  await assert.rejects(swallowing, (error: RolledBackError) => {
    assert.ok(error instanceof RolledBackError);
    assert.equal((error.cause as { code?: string }).code, "23505");
    return true;
  });
  assert.deepEqual(await idsOf(db), []);
});

// Guards against statements outside of any tenant because another ended the transaction.
test("a statement that begins, ends or leaves a transaction open is refused", async (t) => {
  const { db } = await startFixture(t, { poolMax: 1 });
  for (const text of ["commit", "rollback", "abort", "end"]) {
    await assert.rejects(
      db.inTenant(alpha, async (tx) => {
        await tx.query("select 1");
        await tx.query(text);
        await add(tx, 1);
      }),
      /ended the transaction/,
      text,
    );
  }
  await assert.rejects(db.query(alpha, "begin"), /began a transaction/);
  await assert.rejects(db.query(alpha, "start transaction"), /began a transaction/);
  assert.deepEqual(await idsOf(db, beta), []);
  assert.deepEqual(await idsOf(db), []);
});

// Guards against a setting that outlives its transaction, made for the session by mistake.
test("a tenant that was set for the session does not reach the next transaction", async (t) => {
  const { db, database } = await startFixture(t, { poolMax: 1 });
  await db.inTenant(beta, (tx) => add(tx, 7));
  await db.query(alpha, "select set_config('app.tenant_id', $1, false)", [beta.id]);
  assert.deepEqual(await idsOf(db, alpha), []);
  const platform = database.forService("platform");
  const count = "select count(*)::int as n from demo.item";
  assert.deepEqual(await platform.inPlatform(async (tx) => (await tx.query(count)).rows), [
    { n: 0 },
  ]);
  assert.deepEqual(await db.inTenant(alpha, async (tx) => (await tx.query(count)).rows), [
    { n: 0 },
  ]);
});

// Guards against answers in the wrong order, and against work that is lost because nobody waited.
test("statements run one after another, also those that nobody waits for", async (t) => {
  const { db } = await startFixture(t);
  const answers = await db.inTenant(alpha, (tx) =>
    Promise.all(
      Array.from({ length: 20 }, async (_, id) => {
        await add(tx, id);
        return (await tx.query("select count(*)::int as n from item")).rows[0]?.n;
      }),
    ),
  );
  assert.equal(answers.length, 20);
  await db.inTenant(alpha, async (tx) => {
    void add(tx, 100);
  });
  assert.equal((await idsOf(db)).length, 21);
  const failing = db.inTenant(alpha, async (tx) => {
    void add(tx, 101);
    void add(tx, 100);
  });
  await assert.rejects(failing, RolledBackError);
  assert.equal((await idsOf(db)).length, 21);
});

// Guards against statements that slip into somebody else's transaction on the same connection.
test("a transaction that is over takes nothing more, and says so", async (t) => {
  const { db, logged } = await startFixture(t, { poolMax: 1 });
  const kept: Tx[] = [];
  await db.inTenant(alpha, async (tx) => {
    kept.push(tx);
    await add(tx, 1);
  });
  await assert.rejects(
    db.inTenant(alpha, async (tx) => {
      kept.push(tx);
      await add(tx, 1);
    }),
  );
  await db.inTenant(beta, async (other) => {
    await other.query("select 1");
    for (const tx of kept) {
      await assert.rejects(add(tx, 5), /is over/);
      await assert.rejects(tx.batch([{ text: "select 1" }]), /is over/);
      assert.throws(() => tx.defer({ text: "select 1" }), /is over/);
      assert.throws(() => tx.beforeCommit(() => null), /is over/);
      assert.throws(() => tx.afterCommit(() => {}), /is over/);
    }
  });
  assert.deepEqual([await idsOf(db), await idsOf(db, beta)], [[1], []]);
  assert.equal(logged.filter(({ message }) => message.includes("after the end")).length, 4);
});

// Guards against effects outside of the database for something that was rolled back, or lost ones.
test("work before COMMIT is part of it, work after it runs once it is certain", async (t) => {
  const { db, logged } = await startFixture(t);
  const order: string[] = [];
  await db.inTenant(alpha, async (tx) => {
    tx.afterCommit(() => assert.fail("must not hide that the transaction was committed"));
    tx.afterCommit(() => order.push("after"));
    tx.beforeCommit(() => {
      order.push("before");
      tx.defer({ text: insert, values: [alpha.id, 3, "from a maker"] });
      return { text: insert, values: [alpha.id, 2, "made"] };
    });
    tx.beforeCommit(() => null);
    await add(tx, 1);
    order.push("work");
  });
  assert.deepEqual(order, ["work", "before", "after"]);
  assert.deepEqual(await idsOf(db), [1, 2, 3]);
  assert.deepEqual(
    logged.map(({ message }) => message),
    ["work after a commit failed"],
  );
});

// Guards against platform work that sees tenants' rows, or one's while it works for another.
test("platform work sees a tenant's rows after entering, each Tx its own tenant's", async (t) => {
  const { database, db } = await startFixture(t);
  await db.inTenant(alpha, (tx) => add(tx, 1));
  const platform = database.forService("platform");
  const qualified = insert.replace("item", "demo.item");
  const count = "select count(*)::int as n from demo.item";
  await platform.inPlatform(async (tx) => {
    await tx.query("insert into tenant values ($1, 'Beta')", [beta.id]);
    assert.deepEqual((await tx.query(count)).rows, [{ n: 0 }]);
    const inBeta = await tx.enterTenant(beta);
    await inBeta.query(qualified, [beta.id, 1, "theirs"]);
    const inAlpha = await tx.enterTenant(alpha, { requestId: "r1" });
    assert.equal(inAlpha.requestId, "r1");
    await inAlpha.query(qualified, [alpha.id, 2, "ours"]);
    inBeta.defer({ text: qualified, values: [beta.id, 3, "deferred"] });
    inAlpha.defer({ text: qualified, values: [alpha.id, 3, "deferred"] });
    assert.deepEqual((await inBeta.query(count)).rows, [{ n: 1 }]);
    assert.deepEqual((await inAlpha.query(count)).rows, [{ n: 2 }]);
    // The platform's own face sees the tenant that was entered last.
    assert.deepEqual((await tx.query(count)).rows, [{ n: 2 }]);
    await assert.rejects(tx.enterTenant({ id: "x", isolation: "shared" }), TypeError);
  });
  assert.deepEqual(
    [await idsOf(db, alpha), await idsOf(db, beta)],
    [
      [1, 2, 3],
      [1, 3],
    ],
  );
  const { rows } = await platform.query(gamma, "select name from tenant");
  assert.deepEqual(rows, [{ name: "Beta" }]);
  await assert.rejects(
    platform.inPlatform(async (tx) => {
      const inBeta = await tx.enterTenant(beta);
      await inBeta.query(qualified, [alpha.id, 9, "planted"]);
    }),
    { code: "42501" },
  );
});

// Guards against a transaction over two tenants that mixes them up, or keeps half.
test("a tenant's transaction that is also in another tenant keeps the two apart", async (t) => {
  const { db } = await startFixture(t);
  const actor = { kind: "user" as const, id: "1", userId: "1", name: "ada" };
  const both = (spoil: (inBeta: Tx) => Promise<unknown>) =>
    db.inTenant(
      alpha,
      async (tx) => {
        const inBeta = alsoIn(tx, beta);
        assert.deepEqual([inBeta.tenant, inBeta.actor, inBeta.requestId], [beta, actor, "r1"]);
        await add(tx, 1);
        await add(inBeta, 2);
        inBeta.defer({ text: insert, values: [beta.id, 3, "deferred"] });
        tx.defer({ text: insert, values: [alpha.id, 4, "deferred"] });
        const names = "select id from item";
        assert.deepEqual((await tx.query(names)).rows, [{ id: 1 }]);
        assert.deepEqual((await inBeta.query(names)).rows, [{ id: 2 }]);
        await spoil(inBeta);
      },
      { actor, requestId: "r1" },
    );
  const planted = both((inBeta) => inBeta.query(insert, [alpha.id, 9, "planted"]));
  await assert.rejects(planted, { code: "42501" });
  assert.deepEqual([await idsOf(db, alpha), await idsOf(db, beta)], [[], []]);
  await both(async () => {});
  assert.deepEqual(
    [await idsOf(db, alpha), await idsOf(db, beta)],
    [
      [1, 4],
      [2, 3],
    ],
  );
  assert.throws(() => alsoIn({} as Tx, beta), TypeError);
});
