import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { manualClock, systemClock } from "../clock.ts";
import { createDatabase } from "../db/pool.ts";
import { withClient } from "../db/roles.ts";
import { Problem } from "../errors.ts";
import { systemRandom } from "../random.ts";
import { createLogger } from "../telemetry/logger.ts";
import { testDatabase } from "../testing/database.ts";
import { createSealer } from "./seal.ts";
import { createSecrets, rotateAll } from "./secrets.ts";

const random = systemRandom(manualClock());
const ada = { id: "0198f2d4-0000-7000-8000-00000000000a", isolation: "shared" } as const;
const bob = { id: "0198f2d4-0000-7000-8000-00000000000b", isolation: "dedicated" } as const;
const hasCode = (code: string) => (error: unknown) =>
  error instanceof Problem && error.code === code;

async function start(t: TestContext) {
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  const { appUrl, adminUrl } = await testDatabase({ after: (close) => void closing.push(close) });
  const database = createDatabase({
    appUrl,
    clock: systemClock,
    log: createLogger({ level: "silent" }),
    poolMax: 4,
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
       values ($1, 'ada', 'Ada', 'shared'), ($2, 'bob', 'Bob', 'dedicated')`,
      [ada.id, bob.id],
    ),
  );
  const db = database.forService("platform");
  const key = random.bytes(32);
  return { db, adminUrl, key, secrets: createSecrets(createSealer(key, [], random)) };
}

// Guards against a tenant's key that is lost, shown, or stored where a dump can read it.
test("a secret is stored sealed, read whole, and shown by its end only", async (t) => {
  const { db, secrets, adminUrl } = await start(t);
  const value = "sk-live-zürich-0123456789-last";
  const put = await db.inTenant(ada, (tx) => secrets.put(tx, "llm/openai", value));
  assert.equal(put.masked, "…last");
  await db.inTenant(ada, async (tx) => {
    assert.equal(await secrets.get(tx, "llm/openai"), value);
    assert.equal(await secrets.mask(tx, "llm/openai"), "…last");
    assert.deepEqual(await secrets.list(tx), [put]);
    assert.equal(await secrets.get(tx, "unknown"), null);
    assert.equal(await secrets.mask(tx, "unknown"), null);
  });
  const stored = await withClient(adminUrl, (client) =>
    client.query("select s::text as text, sealed from platform.secret s"),
  );
  assert.ok(!stored.rows[0].text.includes(Buffer.from("sk-live").toString("hex")));
  assert.ok(!stored.rows[0].sealed.includes("sk-live"));
});

// Guards against one tenant who reads, changes, lists or deletes another's secrets.
test("tenants have their own secrets under the same names", async (t) => {
  const { db, secrets } = await start(t);
  await db.inTenant(ada, (tx) => secrets.put(tx, "git", "ada's git token"));
  await db.inTenant(bob, async (tx) => {
    assert.equal(await secrets.get(tx, "git"), null);
    assert.deepEqual(await secrets.list(tx), []);
    assert.equal(await secrets.delete(tx, "git"), false);
    await secrets.put(tx, "git", "bob's git token");
  });
  assert.equal(await db.inTenant(ada, (tx) => secrets.get(tx, "git")), "ada's git token");
  assert.equal(await db.inTenant(ada, (tx) => secrets.delete(tx, "git")), true);
  assert.equal(await db.inTenant(bob, (tx) => secrets.get(tx, "git")), "bob's git token");
});

// Guards against someone with write access to the table who moves a sealed value to where they can
// use it.
test("a sealed row copied to another tenant or name does not open", async (t) => {
  const { db, secrets, adminUrl } = await start(t);
  await db.inTenant(ada, (tx) => secrets.put(tx, "git", "ada's git token"));
  await withClient(adminUrl, (client) =>
    client.query(
      `insert into platform.secret (tenant_id, name, sealed, last_four, key_id)
       select $1::uuid, name, sealed, last_four, key_id from platform.secret
       union all select tenant_id, 'other', sealed, last_four, key_id from platform.secret`,
      [bob.id],
    ),
  );
  const get = (tenant: typeof ada | typeof bob, name: string) =>
    db.inTenant(tenant, (tx) => secrets.get(tx, name));
  await assert.rejects(get(bob, "git"), hasCode("ERR_SECRETS_UNREADABLE"));
  await assert.rejects(get(ada, "other"), hasCode("ERR_SECRETS_UNREADABLE"));
});

// Guards against a rotation that loses a secret, or that can't be taken up again after a crash.
test("after a rotation, interrupted or not, every secret opens under the new key", async (t) => {
  const { db, secrets, key } = await start(t);
  for (const tenant of [ada, bob]) {
    await db.inTenant(tenant, async (tx) => {
      for (const name of ["a", "b", "c"]) await secrets.put(tx, name, `${tenant.id} ${name}`);
    });
  }
  const newKey = random.bytes(32);
  const rotating = createSecrets(createSealer(newKey, [key], random));
  async function* interrupted() {
    yield ada;
    throw new Error("killed");
  }
  await assert.rejects(rotateAll(db, rotating, interrupted()), /killed/);
  await db.inTenant(bob, (tx) => rotating.put(tx, "new", "made while rotating"));
  assert.deepEqual(await rotateAll(db, rotating, [ada, bob]), { tenants: 2, resealed: 3 });
  assert.deepEqual(await rotateAll(db, rotating, [ada, bob]), { tenants: 2, resealed: 0 });
  const onlyNew = createSecrets(createSealer(newKey, [], random));
  for (const tenant of [ada, bob]) {
    for (const name of ["a", "b", "c"]) {
      const value = await db.inTenant(tenant, (tx) => onlyNew.get(tx, name));
      assert.equal(value, `${tenant.id} ${name}`);
    }
  }
  await assert.rejects(
    db.inTenant(ada, (tx) => secrets.get(tx, "a")),
    hasCode("ERR_SECRETS_UNREADABLE"),
  );
});

// Guards against names and values that break a list, a limit or the mask.
test("names, values and their number are limited; short values show nothing", async (t) => {
  const { db, secrets } = await start(t);
  const put = (name: string, value: string) =>
    db.inTenant(ada, (tx) => secrets.put(tx, name, value));
  for (const name of ["", "Upper", "1st", "a b", "a".repeat(101), "a\u0000"]) {
    await assert.rejects(put(name, "value"), hasCode("ERR_SECRETS_BAD_NAME"));
  }
  await assert.rejects(put("a", ""), hasCode("ERR_SECRETS_BAD_VALUE"));
  await assert.rejects(put("a", "x".repeat(65_473)), hasCode("ERR_SECRETS_BAD_VALUE"));
  assert.equal((await put("a", "x".repeat(65_472))).masked, "…xxxx");
  assert.equal((await put("a", "1234567")).masked, "…");
  assert.equal((await put("a", "12345678")).masked, "…5678");
  await db.inTenant(ada, async (tx) => {
    for (let at = 1; at < 1_000; at += 1) await secrets.put(tx, `s${at}`, "value");
    await assert.rejects(secrets.put(tx, "one-more", "value"), hasCode("ERR_SECRETS_TOO_MANY"));
    await secrets.put(tx, "s999", "an existing one may change");
    assert.equal((await secrets.list(tx)).length, 1_000);
  });
});
