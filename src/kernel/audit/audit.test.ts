import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { systemClock } from "../clock.ts";
import { csvLine } from "../csv.ts";
import { createDatabase } from "../db/pool.ts";
import { withClient } from "../db/roles.ts";
import type { Db, Tx } from "../db/types.ts";
import { systemRandom } from "../random.ts";
import type { Actor, TenantRef } from "../tenancy/types.ts";
import { testDatabase } from "../testing/database.ts";
import { audit, listAudit, resourceHistory, verifyAudit } from "./audit.ts";
import { auditColumns, exportAudit } from "./export.ts";
import { redact } from "./redact.ts";
import type { AuditRecord } from "./types.ts";

const random = systemRandom(systemClock);
const ada: Actor = { kind: "user", id: "u-ada", userId: "u-ada", name: "ada@example.com" };
const quiet = { warn() {}, error() {} };

interface Setup {
  db: Db;
  ownerUrl: string;
  /** What an attacker with the owner's rights does: with the guard off and the tenant set. */
  tamper(text: string, values?: unknown[]): Promise<number>;
  tenant: TenantRef;
  other: TenantRef;
}

async function setup(t: TestContext): Promise<Setup> {
  const { appUrl, ownerUrl } = await testDatabase(t);
  const database = createDatabase({ appUrl, log: quiet });
  t.after(() => database.close());
  const tenant: TenantRef = { id: random.id(), isolation: "shared" };
  const other: TenantRef = { id: random.id(), isolation: "shared" };
  return {
    db: database.forService("platform"),
    ownerUrl,
    tenant,
    other,
    tamper: (text, values = []) =>
      withClient(ownerUrl, async (client) => {
        await client.query("begin");
        await client.query("alter table platform.audit disable trigger user");
        await client.query("select set_config('app.tenant_id', $1, true)", [tenant.id]);
        const { rowCount } = await client.query(text, values);
        await client.query("alter table platform.audit enable trigger user");
        await client.query("commit");
        return rowCount ?? 0;
      }),
  };
}

async function write(db: Db, tenant: TenantRef, count: number, type = "shop"): Promise<void> {
  for (let n = 1; n <= count; n += 1) {
    await db.inTenant(
      tenant,
      async (tx) => {
        const resource = { type, id: `${type}-${n}` };
        audit(tx, { action: `${type}.update`, resource, before: { n: n - 1 }, after: { n } });
      },
      { actor: ada, requestId: `r-${n}` },
    );
  }
}

// Guards against records that lose who did what, or that can't be told apart from another tenant's.
test("a record says who, what, before and after, and only its tenant sees it", async (t) => {
  const { db, tenant, other } = await setup(t);
  await write(db, tenant, 2);
  await write(db, other, 1);
  const records = await db.inTenant(tenant, (tx) => listAudit(tx, {}, { limit: 10 }));
  assert.deepEqual(
    records.map((r) => r.seq),
    [2, 1],
  );
  const [{ id, at, hash, chain, ...newest } = assert.fail()] = records;
  assert.ok(chain >= 0 && chain < 32);
  assert.deepEqual(newest, {
    seq: 2,
    actor: ada,
    action: "shop.update",
    resource: { type: "shop", id: "shop-2" },
    requestId: "r-2",
    before: { n: 1 },
    after: { n: 2 },
  });
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.match(at, /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.match(hash, /^[0-9a-f]{64}$/);
  assert.equal((await db.inTenant(other, (tx) => listAudit(tx, {}, { limit: 10 }))).length, 1);
});

// Guards against a record of a change that never was.
test("a transaction that is rolled back leaves no record and no gap", async (t) => {
  const { db, tenant } = await setup(t);
  await write(db, tenant, 1);
  const failing = db.inTenant(tenant, async (tx) => {
    audit(tx, { action: "shop.update", resource: { type: "shop", id: "x" } });
    throw new Error("no");
  });
  await assert.rejects(failing, /no/);
  await write(db, tenant, 1);
  const verdict = await db.inTenant(tenant, (tx) => verifyAudit(tx));
  assert.equal(verdict.ok, true);
  assert.equal(verdict.records, 2);
});

// Guards against chains that break when many write at once, and against writers who take turns.
test("concurrent writers of one tenant don't wait for each other and break no chain", async (t) => {
  const { db, tenant } = await setup(t);
  let writing = 0;
  const allWrote = Promise.withResolvers<void>();
  await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      db.inTenant(tenant, async (tx) => {
        await writeRecords(tx, 600, `s${n}`);
        writing += 1;
        if (writing === 20) allWrote.resolve();
        await allWrote.promise;
      }),
    ),
  );
  const verdict = await db.inTenant(tenant, (tx) => verifyAudit(tx));
  assert.deepEqual([verdict.ok, verdict.records], [true, 20 * 600]);
});

/** More records than wait for COMMIT: those before the last are in the table when it resolves. */
async function writeRecords(tx: Tx, count: number, id: string): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    audit(tx, { action: "shop.update", resource: { type: "shop", id } });
  }
  await tx.query("select 1");
}

// Guards against a list that tells a resource's past in another order than it happened.
test("the records of changes that followed each other stand in that order", async (t) => {
  const { db, tenant } = await setup(t);
  await Promise.all(Array.from({ length: 8 }, (_, n) => write(db, tenant, 20, `kind${n}`)));
  const records = await db.inTenant(tenant, (tx) => listAudit(tx, {}, { limit: 160 }));
  for (let n = 0; n < 8; n += 1) {
    const own = records.filter(({ resource }) => resource.type === `kind${n}`);
    assert.deepEqual(
      own.map(({ after }) => (after as { n: number }).n),
      Array.from({ length: 20 }, (_, at) => 20 - at),
    );
  }
  assert.ok(new Set(records.map(({ chain }) => chain)).size > 1);
});

// Guards against an application, or its bugs, that rewrites the past.
test("the app role can neither change nor delete records, nor forge others'", async (t) => {
  const { db, tenant, other } = await setup(t);
  await write(db, tenant, 1);
  const attempts = [
    "update platform.audit set action = 'x'",
    "delete from platform.audit",
    "truncate platform.audit",
    "delete from platform.audit_head",
    "update platform.audit_head set base_seq = 1",
    "alter table platform.audit disable trigger user",
    `select platform.prune_audit('${tenant.id}', now())`,
    `insert into platform.audit select '${other.id}', 9, id, at, actor_kind, actor_id, actor_user_id,
       actor_name, action, resource_type, resource_id, request_id, before, after, hash, chain
     from platform.audit`,
  ];
  for (const text of attempts) {
    const tried = db.inTenant(tenant, (tx) => tx.query(text));
    await assert.rejects(tried, { code: "42501" }, text);
  }
  assert.equal((await db.inTenant(tenant, (tx) => verifyAudit(tx))).ok, true);
});

// Guards against an owner who deletes by mistake; retention has to say so.
test("the owner changes nothing by accident, and retention keeps the chain whole", async (t) => {
  const { db, ownerUrl, tenant, other } = await setup(t);
  for (const text of [
    "update platform.audit set action = 'x'",
    "delete from platform.audit",
    "truncate platform.audit",
  ]) {
    const tried = withClient(ownerUrl, (client) => client.query(text));
    await assert.rejects(tried, /append-only/, text);
  }
  await write(db, tenant, 5);
  await write(db, other, 2);
  const [, , middle] = await db.inTenant(tenant, (tx) => listAudit(tx, {}, { limit: 5 }));
  const prune = "select platform.prune_audit($1, $2) as removed";
  const pruned = await withClient(ownerUrl, (owner) => owner.query(prune, [tenant.id, middle?.at]));
  assert.equal(pruned.rows[0].removed, "2");
  const verdict = await db.inTenant(tenant, (tx) => verifyAudit(tx));
  assert.deepEqual([verdict.ok, verdict.records], [true, 3]);
  await write(db, tenant, 1);
  assert.equal((await db.inTenant(tenant, (tx) => verifyAudit(tx))).records, 4);
  assert.equal((await db.inTenant(other, (tx) => verifyAudit(tx))).records, 2);
});

const swap = (column: string) =>
  `update platform.audit a set ${column} = b.${column} from platform.audit b
    where (a.seq, b.seq) in ((4, 5), (5, 4)) and a.tenant_id = b.tenant_id`;

const tamperings = [
  [
    "a changed value",
    "update platform.audit set after = '{\"n\": 99}' where seq = 4",
    4,
    "altered",
  ],
  ["a changed actor", "update platform.audit set actor_name = 'eve' where seq = 4", 4, "altered"],
  [
    "a changed time",
    "update platform.audit set at = at + interval '1 microsecond' where seq = 4",
    4,
    "altered",
  ],
  ["a removed value", "update platform.audit set before = null where seq = 4", 4, "altered"],
  ["a deleted record", "delete from platform.audit where seq = 4", 4, "missing"],
  ["a deleted first record", "delete from platform.audit where seq = 1", 1, "missing"],
  ["two records in each other's place", swap("after"), 4, "altered"],
  ["a cut tail", "delete from platform.audit where seq > 6", 7, "truncated"],
  ["a deleted chain", "delete from platform.audit", 1, "truncated"],
  ["a changed head", "update platform.audit_head set hash = sha256('x')", 8, "truncated"],
  [
    "a head set back",
    "update platform.audit_head h set seq = 6, hash = a.hash from platform.audit a where a.seq = 6",
    7,
    "truncated",
  ],
  ["a deleted head", "delete from platform.audit_head", 1, "truncated"],
  [
    "a change with its own hash made to fit",
    `update platform.audit set action = 'shop.forged', hash = platform.audit_digest(
       (select hash from platform.audit where seq = 3),
       (select row(tenant_id, seq, id, at, actor_kind, actor_id, actor_user_id, actor_name,
         'shop.forged', resource_type, resource_id, request_id, before, after, null, chain)::platform.audit
        from platform.audit where seq = 4)) where seq = 4`,
    5,
    "altered",
  ],
] as const;

// Guards against a verification that misses a kind of tampering, or blames the wrong record.
test("verify names the first bad record and what is wrong with it", async (t) => {
  const { db, tenant, tamper } = await setup(t);
  await write(db, tenant, 8);
  for (const [what, sql, seq, reason] of tamperings) {
    await tamper("create table platform.kept as select * from platform.audit");
    await tamper("create table platform.kept_head as select * from platform.audit_head");
    assert.ok((await tamper(sql)) > 0, what);
    const verdict = await db.inTenant(tenant, (tx) => verifyAudit(tx));
    assert.equal(verdict.ok, false, what);
    assert.deepEqual([verdict.firstBad?.seq, verdict.firstBad?.reason], [seq, reason], what);
    await tamper("delete from platform.audit");
    await tamper("delete from platform.audit_head");
    await tamper("insert into platform.audit select * from platform.kept");
    await tamper("insert into platform.audit_head select * from platform.kept_head");
    await tamper("drop table platform.kept, platform.kept_head");
    assert.equal((await db.inTenant(tenant, (tx) => verifyAudit(tx))).ok, true, `${what}, undone`);
  }
});

// Guards against a verification that stops at a page's edge.
test("verify follows the chain over many pages", async (t) => {
  const { db, tenant, tamper } = await setup(t);
  await db.inTenant(tenant, async (tx) => {
    for (let n = 0; n < 2_500; n += 1) {
      audit(tx, { action: "shop.create", resource: { type: "shop", id: `s${n}` } });
    }
  });
  const verdict = await db.inTenant(tenant, (tx) => verifyAudit(tx));
  assert.deepEqual([verdict.ok, verdict.records], [true, 2_500]);
  await tamper("update platform.audit set resource_id = 'x' where seq = 2001");
  const found = await db.inTenant(tenant, (tx) => verifyAudit(tx));
  assert.deepEqual([found.firstBad?.seq, found.firstBad?.reason], [2_001, "altered"]);
});

// Guards against filters that leak, miss, or page past records.
test("records can be narrowed by actor, action, resource and time, and paged", async (t) => {
  const { db, tenant } = await setup(t);
  await write(db, tenant, 3);
  await write(db, tenant, 2, "order");
  const list = (filter: object, page = {}) =>
    db.inTenant(tenant, (tx) => listAudit(tx, filter, { limit: 10, ...page }));
  const seqs = async (filter: object, page = {}) => (await list(filter, page)).map((r) => r.seq);
  assert.deepEqual(await seqs({ action: "shop.update" }), [3, 2, 1]);
  assert.deepEqual(await seqs({ action: "order.*" }), [5, 4]);
  assert.deepEqual(await seqs({ actor: "u-ada", resourceType: "order" }), [5, 4]);
  assert.deepEqual(await seqs({ actor: "nobody" }), []);
  assert.deepEqual(await seqs({ resourceType: "shop", resourceId: "shop-2" }), [2]);
  const [, newest] = await list({});
  assert.deepEqual(await seqs({}, { limit: 2, beforeId: newest?.id }), [3, 2]);
  assert.deepEqual(await seqs({ from: newest?.at }), [5, 4]);
  assert.deepEqual(await seqs({ to: newest?.at }), [3, 2, 1]);
  const past = await db.inTenant(tenant, (tx) =>
    resourceHistory(tx, { type: "shop", id: "shop-3" }, { limit: 5 }),
  );
  assert.deepEqual(
    past.map((r) => r.seq),
    [3],
  );
});

// Guards against an export that loses rows, or runs as a formula in whoever opens it.
test("the export has every record once, without formulas", async (t) => {
  const { db, tenant } = await setup(t);
  const evil = { ...ada, name: '=HYPERLINK("http://evil","x")' };
  await db.inTenant(
    tenant,
    async (tx) => {
      for (let n = 0; n < 1_201; n += 1) {
        audit(tx, { action: "shop.create", resource: { type: "shop", id: `s${n}` } });
      }
    },
    { actor: evil, requestId: "r" },
  );
  const records = (await Array.fromAsync(exportAudit(db, tenant, {}))).flat();
  assert.deepEqual(
    records.map((r) => r.seq),
    Array.from({ length: 1_201 }, (_, n) => n + 1),
  );
  const cells = Object.values(auditColumns).map((cell) => cell(records[0] as AuditRecord));
  assert.match(csvLine(cells), /,"'=HYPERLINK\(""http:\/\/evil"",""x""\)",/);
});

// Guards against secrets that end up in a log nobody can delete from.
test("what is named like a secret is redacted, and large states are replaced", async (t) => {
  assert.deepEqual(
    redact({
      name: "x",
      password: "p",
      apiKey: "k",
      nested: [{ accessToken: "t", Authorization: "Bearer", maxTokens: 5, clientSecret: { a: 1 } }],
      secret: null,
    }),
    {
      name: "x",
      password: "[redacted]",
      apiKey: "[redacted]",
      nested: [
        {
          accessToken: "[redacted]",
          Authorization: "[redacted]",
          maxTokens: 5,
          clientSecret: "[redacted]",
        },
      ],
      secret: null,
    },
  );
  const { db, tenant } = await setup(t);
  await db.inTenant(tenant, async (tx) => {
    const resource = { type: "shop", id: "1" };
    audit(tx, {
      action: "shop.create",
      resource,
      after: { token: "t0p", text: "x".repeat(70_000) },
    });
  });
  const [record] = await db.inTenant(tenant, (tx) => listAudit(tx, {}, { limit: 1 }));
  assert.ok(record);
  assert.equal((record.after as { omitted: string }).omitted, "too large");
  assert.equal((await db.inTenant(tenant, (tx) => verifyAudit(tx))).ok, true);
});
