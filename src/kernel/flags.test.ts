import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { manualClock, systemClock } from "./clock.ts";
import { createDatabase } from "./db/pool.ts";
import { withClient } from "./db/roles.ts";
import type { Db } from "./db/types.ts";
import { Problem } from "./errors.ts";
import { createFlags } from "./flags.ts";
import type { Flags } from "./flags.ts";
import { createLogger } from "./telemetry/logger.ts";
import { testDatabase } from "./testing/database.ts";

const ada = "0198f2d4-0000-7000-8000-00000000000a";
const bob = "0198f2d4-0000-7000-8000-00000000000b";
const hasCode = (code: string) => (error: unknown) =>
  error instanceof Problem && error.code === code;

async function start(t: TestContext) {
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  const { appUrl, adminUrl } = await testDatabase({ after: (close) => void closing.push(close) });
  const silent = createLogger({ level: "silent" });
  const database = createDatabase({
    appUrl,
    clock: systemClock,
    log: silent,
    poolMax: 3,
    idleMs: 10_000,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    lockTimeoutMs: 5_000,
    idleInTransactionTimeoutMs: 10_000,
    slowMs: 5_000,
  });
  closing.unshift(() => database.close());
  await withClient(adminUrl, (client) =>
    client.query(
      `insert into platform.tenant (id, slug, name, isolation)
       values ($1, 'ada', 'Ada', 'shared'), ($2, 'bob', 'Bob', 'shared')`,
      [ada, bob],
    ),
  );
  const db = database.forService("platform");
  const clock = manualClock();
  const lines: string[] = [];
  const log = createLogger({ level: "warn", stream: { write: (line) => void lines.push(line) } });
  const environment = { from_env: true, off_in_env: false };
  const make = (over: Partial<Parameters<typeof createFlags>[0]> = {}) => {
    const flags = createFlags({ environment, db, clock, log, ...over });
    closing.unshift(() => flags.stop());
    return flags;
  };
  return { db, clock, make, lines };
}

const set = (db: Db, flags: Flags, name: string, on: boolean | null, tenantId?: string) =>
  db.inPlatform((tx) => flags.set(tx, name, on, tenantId));

// Guards against an override that is ignored, or that reaches a tenant it was not meant for.
test("a tenant's override beats one for all, and that the environment", async (t) => {
  const { db, make } = await start(t);
  const flags = make();
  assert.deepEqual(
    ["from_env", "off_in_env", "unknown", "toString", "__proto__"].map((name) => flags.isOn(name)),
    [true, false, false, false, false],
  );
  await set(db, flags, "from_env", false);
  assert.equal(flags.isOn("from_env"), false);
  await set(db, flags, "from_env", true, ada);
  assert.equal(flags.isOn("from_env", ada), true);
  assert.equal(flags.isOn("from_env", bob), false);
  assert.equal(flags.isOn("from_env"), false);
  await set(db, flags, "from_env", null);
  await set(db, flags, "from_env", false, ada);
  assert.equal(flags.isOn("from_env", ada), false);
  assert.equal(flags.isOn("from_env", bob), true);
  const status = flags.get("from_env");
  assert.deepEqual(status, {
    name: "from_env",
    on: true,
    source: "environment",
    tenants: [{ tenantId: ada, on: false }],
    version: status?.version,
  });
  assert.ok((status?.version ?? 0) > 1, "and 1 is the version of what nobody overrides");
  assert.equal(flags.get("off_in_env")?.version, 1);
  await set(db, flags, "from_env", null, ada);
  await set(db, flags, "from_env", null, ada);
  assert.equal(flags.isOn("from_env", ada), true);
  await set(db, flags, "beta", true, bob);
  assert.deepEqual(
    flags.list().map((one) => [one.name, one.on, one.source]),
    [
      ["beta", false, "default"],
      ["from_env", true, "environment"],
      ["off_in_env", false, "environment"],
    ],
  );
  assert.equal(flags.get("unknown"), null);
});

// Guards against a switch that one process obeys and another never hears of.
test("another process follows within 5 s, or keeps what it knows", async (t) => {
  const { db, clock, make, lines } = await start(t);
  const here = make();
  let down = false;
  const flaky: Db = {
    ...db,
    inPlatform: (work) => (down ? Promise.reject(new Error("down")) : db.inPlatform(work)),
  };
  const there = make({ db: flaky });
  await there.load();
  there.start();
  await set(db, here, "beta", true);
  assert.equal(there.isOn("beta"), false);
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise((resolve) => setImmediate(resolve));
  };
  clock.advance(5_000);
  await until(() => there.isOn("beta"));
  down = true;
  clock.advance(5_000);
  await until(() => lines.length === 1);
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(5_000);
  assert.equal(there.isOn("beta"), true, "the last known answer holds");
  await set(db, here, "beta", false);
  down = false;
  await until(() => {
    clock.advance(5_000);
    return !there.isOn("beta");
  });
  assert.equal(lines.length, 1, "one warning for one outage");
  await there.stop();
});

// Guards against a flag that is on here although the transaction that set it was rolled back.
test("what is rolled back never was", async (t) => {
  const { db, make } = await start(t);
  const flags = make();
  const rolledBack = db.inPlatform(async (tx) => {
    await flags.set(tx, "beta", true);
    assert.equal(flags.isOn("beta"), false, "not before the commit");
    throw new Error("no");
  });
  await assert.rejects(rolledBack, /no/);
  assert.equal(flags.isOn("beta"), false);
  await flags.load();
  assert.deepEqual(flags.get("beta"), null);
});

// Guards against a flag that is listed for ever because the one tenant it was for is gone.
test("a flag goes with the last tenant that overrides it, and can be made anew", async (t) => {
  const { db, make } = await start(t);
  const flags = make();
  await set(db, flags, "beta", true, ada);
  await db.inPlatform((tx) => tx.query("delete from platform.tenant where id = $1", [ada]));
  await flags.load();
  assert.equal(flags.get("beta"), null);
  assert.equal(await db.inPlatform((tx) => flags.lock(tx, "beta")), null);
  await set(db, flags, "beta", true);
  assert.equal(flags.isOn("beta"), true);
});

// Guards against names and tenants that mean nothing, and against overrides without end.
test("bad names, unknown tenants and too many overrides are refused", async (t) => {
  const { db, make } = await start(t);
  const flags = make();
  for (const name of ["", "Upper", "1st", "with-dash", "a".repeat(64)]) {
    await assert.rejects(set(db, flags, name, true), hasCode("ERR_FLAGS_BAD_NAME"), name);
  }
  const nobody = "0198f2d4-0000-7000-8000-0000000000ff";
  await assert.rejects(set(db, flags, "x", true, nobody), hasCode("ERR_FLAGS_NO_SUCH_TENANT"));
  await db.inPlatform(async (tx) => {
    for (let at = 0; at < 500; at += 1) await flags.set(tx, `f${at}`, true);
  });
  await assert.rejects(set(db, flags, "one_more", true), hasCode("ERR_FLAGS_TOO_MANY"));
  await set(db, flags, "f7", false);
  assert.equal(flags.isOn("f7"), false);
});
