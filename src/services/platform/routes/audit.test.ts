import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { audit } from "#kernel/audit/audit.ts";
import { withClient } from "#kernel/db/roles.ts";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import type { TenantRow } from "#kernel/tenancy/store.ts";
import { eventually } from "#kernel/testing/events.ts";
import { platform } from "../service.ts";

/** Five records by somebody: shops 1, 3 and 5, orders 2 and 4; answers with who it was. */
async function fiveRecords({ app, person }: TestApp, tenant: TenantRow): Promise<string> {
  const { userId, email } = await person(tenant.slug);
  const { db } = app.depsOf("platform");
  for (let n = 1; n <= 5; n += 1) {
    const type = n % 2 ? "shop" : "order";
    await db.inTenant(
      tenant,
      async (tx) => {
        const resource = { type, id: `x/${n}` };
        audit(tx, { action: `${type}.create`, resource, after: { name: "=1+1" } });
      },
      { actor: { kind: "user", id: userId, userId, name: email }, requestId: `r${n}` },
    );
  }
  return userId;
}

// Guards against an audit that can't be narrowed, or pages past records.
test("a tenant admin lists the tenant's audit, nobody else", async (t) => {
  const house = await startTestApp(t, { services: [platform] });
  const userId = await fiveRecords(house, await house.tenant("acme"));
  const requests = async (query: string, client = house.as("acme")) => {
    const answer = await client.get(`/audit?${query}`);
    assert.equal(answer.status, 200, answer.text);
    const { items, nextCursor } = answer.body;
    return { ids: items.map((record: { requestId: string }) => record.requestId), nextCursor };
  };
  const first = await requests("limit=2&action=shop.*");
  assert.deepEqual(first.ids, ["r5", "r3"]);
  const second = await requests(`limit=2&action=shop.*&cursor=${first.nextCursor}`);
  assert.deepEqual(second, { ids: ["r1"], nextCursor: null });
  assert.deepEqual((await requests("resource=order")).ids, ["r4", "r2"]);
  assert.deepEqual((await requests("resource=order/x/2")).ids, ["r2"]);
  assert.deepEqual((await requests(`resource=shop&actor=${userId}`)).ids, ["r5", "r3", "r1"]);
  assert.deepEqual((await requests("resource=shop&from=2999-01-01T00:00:00Z")).ids, []);
  assert.deepEqual((await requests("resource=shop", house.as("other"))).ids, []);
  assert.equal((await house.as("acme").get("/audit?from=yesterday")).status, 422);
  assert.equal((await house.as("acme").get("/audit?cursor=x")).status, 400);
  assert.equal((await house.as("acme", "user").get("/audit")).status, 403);
  assert.equal((await house.as().get("/audit")).status, 401);
});

// Guards against an admin who knows a colleague's address, and would have to look up an id, and
// against a mistake in the times that looks like a quiet day.
test("the audit is narrowed by an e-mail address; times must be in order", async (t) => {
  const house = await startTestApp(t, { services: [platform] });
  await fiveRecords(house, await house.tenant("acme"));
  const admin = house.as("acme");
  const { email, userId } = await house.person("acme");
  const key = await admin.post("/api-keys", { name: "Till", permissions: ["role:create"] });
  const role = { name: "clerk", title: "Clerk", permissions: [] };
  assert.equal((await house.with({ "x-api-key": key.body.key }).post("/roles", role)).status, 201);
  const list = async (query: string, client = admin) =>
    (await client.get(`/audit?limit=100&${query}`)).body.items as { requestId: string }[];
  const byId = await list(`actor=${userId}`);
  assert.ok(byId.length >= 7, "with what the key did on behalf of its user");
  for (const actor of [email, email.toUpperCase()]) {
    assert.deepEqual(await list(`actor=${encodeURIComponent(actor)}`), byId);
  }
  const lines = (await admin.get(`/audit/export?actor=${email}&format=ndjson`)).text;
  assert.equal(lines.trimEnd().split("\n").length, byId.length);
  assert.deepEqual(await list("actor=nobody@example.com"), []);
  assert.deepEqual(await list(`actor=${email}`, house.as("other")), []);
  const times = "from=2026-11-21T00:00:00Z&to=2026-11-20T00:00:00Z";
  for (const path of ["/audit", "/audit/export", "/admin/audit"]) {
    const refused = await house.as("acme", "admin").get(`${path}?${times}`);
    assert.deepEqual([refused.status, refused.body.code], [422, "ERR_REQUEST_INVALID"]);
    assert.equal(refused.body.errors[0].path, "query/to");
  }
  assert.deepEqual(await list("from=2026-11-20T00:00:00%2B02:00&to=2026-11-19T23:00:00Z"), []);
});

// Guards against what platform admins do and only the tenant in which they did it can tell.
test("what belongs to no tenant stands in the platform's own audit", async (t) => {
  const house = await startTestApp(t, { services: [platform] });
  const [ops, else_] = [house.as("ops", "admin"), house.as("elsewhere", "admin")];
  const fresh = { "if-none-match": "*" };
  assert.equal((await ops.put("/admin/flags/beta", { on: true }, fresh)).status, 201);
  assert.equal((await else_.put("/admin/flags/other", { on: true }, fresh)).status, 201);
  const seen = await ops.get("/admin/audit?resource=flag");
  assert.equal(seen.status, 200, seen.text);
  assert.deepEqual(
    seen.body.items.map((one: { resource: { id: string } }) => one.resource.id),
    ["other", "beta"],
  );
  const { ok, records } = (await else_.get("/admin/audit/verify")).body;
  assert.deepEqual([ok, records], [true, 4], "with the making of the two tenants");
  const csv = (await ops.get("/admin/audit/export?resource=flag")).text;
  assert.equal(csv.trimEnd().split("\r\n").length, 3);
  for (const path of ["/admin/audit", "/admin/audit/verify", "/admin/audit/export"]) {
    assert.equal((await house.as("ops", "tenant_admin").get(path)).status, 403, path);
    assert.equal((await house.as().get(path)).status, 401, path);
  }
});

// Guards against an export that nobody can open, or that runs in whoever opens it.
test("the audit is exported as CSV and as JSON lines", async (t) => {
  const house = await startTestApp(t, { services: [platform] });
  await fiveRecords(house, await house.tenant("acme"));
  const admin = house.as("acme");
  const csv = await admin.get("/audit/export?resource=shop");
  assert.match(csv.headers["content-type"] ?? "", /^text\/csv/);
  assert.match(csv.headers["content-disposition"] ?? "", /attachment; filename="audit.csv"/);
  assert.equal(csv.text.trimEnd().split("\r\n").length, 4);
  const lines = await admin.get("/audit/export?resource=shop&format=ndjson");
  const records = lines.text.trimEnd().split("\n");
  assert.deepEqual(
    records.map((line) => JSON.parse(line).resource.id),
    ["x/1", "x/3", "x/5"],
  );
  assert.equal((await house.as("acme", "user").get("/audit/export")).status, 403);
});

// Guards against a verification that says yes to a changed record.
test("verifying finds a record that was changed behind the server's back", async (t) => {
  const house = await startTestApp(t, { services: [platform] });
  const tenant = await house.tenant("acme");
  await fiveRecords(house, tenant);
  const admin = house.as("acme");
  const verdict = (await admin.get("/audit/verify")).body;
  assert.equal(verdict.ok, true);
  assert.match(verdict.headHash, /^[0-9a-f]{64}$/);
  await withClient(house.app.ownerUrl, async (owner) => {
    await owner.query("begin");
    await owner.query("select set_config('app.tenant_id', $1, true)", [tenant.id]);
    await owner.query("alter table platform.audit disable trigger user");
    await owner.query("update platform.audit set after = '{}' where resource_id = 'x/3'");
    await owner.query("alter table platform.audit enable trigger user");
    await owner.query("commit");
  });
  const { ok, firstBad } = (await admin.get("/audit/verify")).body;
  assert.deepEqual([ok, firstBad.seq, firstBad.reason], [false, verdict.records - 2, "altered"]);
});

/** Transactions that wait for their client; only the role whose they are sees that. */
const openOfApp = `from pg_stat_activity where datname = current_database()
  and pid <> pg_backend_pid() and state = 'idle in transaction'`;

/** An export of more than all buffers between here and there hold, its first bytes read. */
async function halfRead(t: TestContext) {
  const house = await startTestApp(t, { services: [platform] });
  const { app } = house;
  await app.listen();
  const tenant = await house.tenant("acme");
  const { signedIn } = await house.person("acme");
  const after = { text: "x".repeat(40_000) };
  for (let time = 0; time < 8; time += 1) {
    await app.depsOf("platform").db.inTenant(tenant, async (tx) => {
      for (let n = 0; n < 100; n += 1) {
        audit(tx, { action: "shop.update", resource: { type: "shop", id: `${n}` }, after });
      }
    });
  }
  const abort = new AbortController();
  t.after(() => abort.abort());
  const answer = await fetch(`${app.url()}/api/v1/audit/export?format=ndjson`, {
    headers: { authorization: `Bearer ${signedIn.accessToken}`, "accept-encoding": "identity" },
    signal: abort.signal,
  });
  assert.equal(answer.status, 200);
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  const opened = () => withClient(app.appUrl, (client) => client.query(`select 1 ${openOfApp}`));
  // By then it has read ahead as far as it may, and waits.
  await eventually(async () => (await opened()).rowCount === 1, "a reader that is waited for");
  const inUse = () => app.database.stats().total - app.database.stats().idle;
  await eventually(() => inUse() === 1, "that nothing else is under way");
  return { house, abort, reader, inUse };
}

// Guards against connections, and snapshots of the database, kept for readers who are gone.
test("an export whose reader hangs up gives its connection back at once", async (t) => {
  const { house, abort, reader, inUse } = await halfRead(t);
  abort.abort();
  await assert.rejects(reader.read(), { name: "AbortError" });
  await eventually(() => inUse() === 0, "the connection's return");
  const left = await withClient(house.app.appUrl, (app) => app.query(`select 1 ${openOfApp}`));
  assert.equal(left.rowCount, 0);
});

// Guards against half an audit log that is taken for the whole.
test("an export whose statement fails half-way is cut off, not ended", async (t) => {
  const { house, reader, inUse } = await halfRead(t);
  const kill = `select pg_terminate_backend(pid) ${openOfApp}`;
  const { rowCount } = await withClient(house.app.appUrl, (app) => app.query(kill));
  assert.equal(rowCount, 1);
  const rest = async () => {
    while (!(await reader.read()).done);
  };
  await assert.rejects(rest(), /terminated/);
  await eventually(() => inUse() === 0, "the connection's end");
});
