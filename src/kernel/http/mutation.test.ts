import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import pg from "pg";
import { Type } from "typebox";
import { type ManualClock, manualClock } from "../clock.ts";
import { createDatabase } from "../db/pool.ts";
import type { Db, Tx } from "../db/types.ts";
import { requestErrors } from "../errors.ts";
import { systemRandom } from "../random.ts";
import { createSealer } from "../secrets/seal.ts";
import { testDatabase } from "../testing/database.ts";
import { migrationFolder, protect } from "../testing/migrations.ts";
import { type TestHttp, tenantA, tenantB, testHttp } from "./fixture.ts";
import { createMutate } from "./mutation.ts";
import { Id, NoContent, strict, Version } from "./schemas.ts";
import { purgeIdempotency } from "./store.ts";
import type { App } from "./types.ts";

const Thing = strict({ id: Id, name: Type.String(), version: Version });
const NewThing = strict({ name: Type.String() });

/** Lets a test stop requests in the middle of their work. */
interface Gate {
  entered: number;
  hold: Promise<void> | null;
}

interface Bench {
  http: TestHttp;
  gate: Gate;
  /** A second server over the same database. */
  second: TestHttp;
  clock: ManualClock;
  owner: pg.Client;
  db: Db;
}

async function start(t: TestContext, lockTimeoutMs = 5_000): Promise<Bench> {
  const closing: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  const migrations = await migrationFolder(t, {
    "0001_thing.sql": `-- scope: shared
      create table thing (tenant_id uuid not null, id uuid not null, name text not null,
        version integer not null default 1, primary key (tenant_id, id));
      ${protect("thing")}`,
  });
  const { adminUrl, appUrl } = await testDatabase(
    { after: (clean) => void closing.push(clean) },
    { services: [{ name: "things", migrations }] },
  );
  const owner = new pg.Client(adminUrl);
  await owner.connect();
  closing.unshift(() => owner.end());
  for (const [slug, { id }] of Object.entries({ aa: tenantA, bb: tenantB })) {
    const values = [id, slug];
    await owner.query(
      "insert into platform.tenant (id, slug, name, isolation) values ($1, $2, $2, 'shared')",
      values,
    );
  }
  const clock = manualClock();
  const gate: Gate = { entered: 0, hold: null };
  const serve = () => {
    const log = { warn() {}, error() {} };
    const database = createDatabase({ appUrl, log, poolMax: 4, lockTimeoutMs });
    closing.unshift(() => database.close());
    const db = database.forService("things");
    return { db, http: testHttp(t, routes(db, clock, gate), { clock }) };
  };
  const { db, http } = serve();
  return { http, second: serve().http, gate, clock, owner, db };
}

const routes = (db: Db, clock: ManualClock, gate: Gate) => (app: App) => {
  const random = systemRandom(clock);
  const sealer = createSealer(Buffer.alloc(32, 3), [], random);
  const mutate = createMutate({ db, sealer, clock, duplicateWaitMs: 10_000 });
  const make = async (tx: Tx, name: string) => {
    // The key is claimed with the first statement.
    if (gate.hold) await tx.query("select");
    gate.entered += 1;
    if (gate.hold) await gate.hold;
    if (name === "refused") throw requestErrors.conflict();
    if (name === "missing") return null;
    const { rows } = await tx.query<{ id: string; name: string; version: number }>(
      "insert into thing (tenant_id, id, name) values ($1, $2, $3) returning id, name, version",
      [tx.tenant.id, random.id(), name],
    );
    if (name === "unspeakable") return { ...rows[0], version: "no number" } as never;
    return rows[0] as (typeof rows)[0];
  };
  const schema = { summary: "Make", body: NewThing, response: { 201: Thing } };
  const config = { permission: "thing:create", idempotent: true } as const;
  for (const url of ["/things", "/others"]) {
    app.post(url, { schema, config }, (request, reply) =>
      mutate(request, reply, 201, (tx) => make(tx, request.body.name)),
    );
  }
  app.post("/secrets", { schema, config: { ...config, secretAnswer: true } }, (request, reply) =>
    mutate(request, reply, 201, (tx) => make(tx, request.body.name)),
  );
  app.delete(
    "/things",
    {
      schema: { summary: "All", response: { 204: NoContent } },
      config: { permission: "thing:delete" },
    },
    (request, reply) =>
      mutate(request, reply, 204, async (tx) => void (await tx.query("delete from thing"))),
  );
};

interface Ask {
  key?: string;
  name?: string;
  as?: string;
  url?: string;
}

async function post(http: TestHttp, { key, name = "x", as = "ada", url = "/things" }: Ask) {
  const answer = await http.app.inject({
    method: "POST",
    url: `/api/v1${url}`,
    headers: {
      authorization: `Bearer ${as}`,
      ...(key !== undefined && { "idempotency-key": key }),
    },
    payload: { name },
  });
  const { etag, location, "content-type": type, "idempotent-replayed": replayed } = answer.headers;
  const same = JSON.stringify([answer.statusCode, answer.payload, etag, location, type]);
  return {
    status: answer.statusCode,
    body: answer.json(),
    headers: answer.headers,
    same,
    replayed,
  };
}

async function things(owner: pg.Client): Promise<number> {
  return Number((await owner.query("select count(*) from things.thing")).rows[0].count);
}

// Guards against a change that is answered and not made, or made and answered with something else.
test("a change is answered with its version and its place, after it was committed", async (t) => {
  const { http, owner } = await start(t);
  const made = await post(http, { name: "O'Brien <3" });
  assert.equal(made.status, 201);
  assert.equal(made.body.name, "O'Brien <3");
  assert.equal(made.headers.etag, '"1"');
  assert.equal(made.headers.location, `/api/v1/things/${made.body.id}`);
  assert.equal(made.replayed, undefined);
  assert.equal(await things(owner), 1);
  assert.equal((await post(http, { name: "missing" })).status, 404);
  assert.equal((await post(http, { name: "refused" })).status, 409);
  const unspeakable = await post(http, { name: "unspeakable", key: "u" });
  assert.equal(unspeakable.status, 500);
  assert.equal(await things(owner), 1, "what can't be answered is not kept");
  const gone = await http.app.inject({
    method: "DELETE",
    url: "/api/v1/things",
    headers: { authorization: "Bearer ada" },
  });
  assert.deepEqual(
    [gone.statusCode, gone.payload, gone.headers["content-type"]],
    [204, "", undefined],
  );
  const { rows } = await owner.query("select count(*)::int as count from platform.idempotency");
  assert.deepEqual(rows, [{ count: 0 }], "nothing is kept without a key, or of a refusal");
});

// Guards against doing twice what a client asked for once: it lost the answer and asked again.
test("five duplicates at once have one effect and one answer, byte for byte", async (t) => {
  const { http, second, owner } = await start(t);
  for (const servers of [[http], [http, second]]) {
    const before = await things(owner);
    const key = `five-${servers.length}`;
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_, n) => post(servers[n % servers.length] as TestHttp, { key })),
    );
    assert.equal(await things(owner), before + 1);
    assert.equal(new Set(answers.map(({ same }) => same)).size, 1);
    assert.equal(answers[0]?.status, 201);
    assert.equal(answers.filter(({ replayed }) => replayed === undefined).length, 1);
    const later = await post(second, { key });
    assert.deepEqual([later.same, later.replayed], [answers[0]?.same, "true"]);
  }
});

// Guards against forty duplicates that take every connection, while the first one waits for one.
test("a flood of duplicates leaves the pool to others", async (t) => {
  const { http, gate, owner } = await start(t);
  let release = () => {};
  gate.hold = new Promise((resolve) => {
    release = resolve;
  });
  const flood = Array.from({ length: 40 }, () => post(http, { key: "flood" }));
  while (gate.entered === 0) await new Promise((resolve) => setImmediate(resolve));
  const others = await http.app.inject({
    method: "DELETE",
    url: "/api/v1/things",
    headers: { authorization: "Bearer eve" },
  });
  assert.equal(others.statusCode, 204);
  gate.hold = null;
  release();
  const answers = await Promise.all(flood);
  assert.equal(new Set(answers.map(({ same }) => same)).size, 1);
  assert.equal(await things(owner), 1);
});

// Guards against a key that replays an answer to another question, or to somebody else.
test("a key belongs to one request of one caller", async (t) => {
  const { http, owner } = await start(t);
  const first = await post(http, { key: "k" });
  for (const other of [{ name: "y" }, { url: "/others" }, { url: "/things?x" }]) {
    const refused = await post(http, { key: "k", ...other });
    assert.equal(refused.status, 422, JSON.stringify(other));
    if (!other.url?.includes("?"))
      assert.equal(refused.body.code, "ERR_REQUEST_IDEMPOTENCY_KEY_REUSED");
  }
  assert.equal(await things(owner), 1);
  const stranger = await post(http, { key: "k", as: "eve" });
  assert.deepEqual([stranger.status, stranger.replayed], [201, undefined]);
  assert.notEqual(stranger.body.id, first.body.id);
  assert.equal((await post(http, { key: "K" })).replayed, undefined, "keys are case-sensitive");
  for (const bad of ["", "a\tb", "é", "k".repeat(256)]) {
    const refused = await post(http, { key: bad });
    assert.deepEqual([refused.status, refused.body.code], [400, "ERR_REQUEST_BAD_IDEMPOTENCY_KEY"]);
  }
  assert.equal((await post(http, { key: `${"~".repeat(253)} !` })).status, 201);
});

// Guards against a refusal that is remembered: the client can mend what was wrong and try again.
test("a refusal keeps nothing of the key", async (t) => {
  const { http, owner } = await start(t);
  assert.equal((await post(http, { key: "r", name: "refused" })).status, 409);
  const after = await post(http, { key: "r", name: "good" });
  assert.deepEqual([after.status, after.replayed], [201, undefined]);
  assert.equal(await things(owner), 1);
});

// Guards against a secret, shown once, that lies in the table for a day.
test("a secret answer is kept sealed and replayed open", async (t) => {
  const { http, owner } = await start(t);
  const first = await post(http, { key: "s", name: "top-secret", url: "/secrets" });
  const again = await post(http, { key: "s", name: "top-secret", url: "/secrets" });
  assert.equal(first.status, 201);
  assert.deepEqual([again.same, again.replayed], [first.same, "true"]);
  const { rows } = await owner.query("select body, sealed from platform.idempotency");
  assert.equal(rows[0].sealed, true);
  assert.ok(!rows[0].body.includes("top-secret"));
});

// Guards against answers that are replayed for ever, and rows that are kept for ever.
test("after a day a key is new again, and old answers can be purged", async (t) => {
  const { http, owner, db } = await start(t);
  const first = await post(http, { key: "old" });
  const { rows } = await owner.query("select expires_at - now() as left from platform.idempotency");
  assert.ok(rows[0].left.hours === 23 || rows[0].left.days === 1, JSON.stringify(rows));
  await owner.query("update platform.idempotency set expires_at = now()");
  const second = await post(http, { key: "old", name: "another" });
  assert.deepEqual([second.status, second.replayed], [201, undefined]);
  assert.notEqual(second.body.id, first.body.id);
  assert.equal((await post(http, { key: "old", name: "another" })).replayed, "true");
  await post(http, { key: "fresh" });
  await owner.query("update platform.idempotency set expires_at = now() where key = 'old'");
  assert.equal(
    await db.inTenant(tenantB, (tx) => purgeIdempotency(tx)),
    0,
    "another tenant's stay",
  );
  assert.equal(await db.inTenant(tenantA, (tx) => purgeIdempotency(tx)), 1);
  const left = await owner.query("select key from platform.idempotency");
  assert.deepEqual(left.rows, [{ key: "fresh" }]);
});

// Guards against a duplicate that waits for ever behind a first one that hangs.
test("a duplicate of a request that takes too long is told to come back", async (t) => {
  const { http, second, gate, clock, owner } = await start(t, 150);
  let release = () => {};
  gate.hold = new Promise((resolve) => {
    release = resolve;
  });
  const first = post(http, { key: "slow" });
  while (gate.entered === 0) await new Promise((resolve) => setImmediate(resolve));
  const elsewhere = await post(second, { key: "slow" });
  assert.deepEqual(
    [elsewhere.status, elsewhere.body.code],
    [409, "ERR_REQUEST_IDEMPOTENCY_IN_FLIGHT"],
  );
  assert.equal(elsewhere.headers["retry-after"], "1");
  const here = post(http, { key: "slow" });
  for (let n = 0; n < 20; n += 1) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(10_000);
  assert.equal((await here).status, 409);
  gate.hold = null;
  release();
  assert.equal((await first).status, 201);
  assert.equal((await post(second, { key: "slow" })).same, (await first).same);
  assert.equal(await things(owner), 1);
});
