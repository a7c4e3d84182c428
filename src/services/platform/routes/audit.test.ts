import assert from "node:assert/strict";
import { test } from "node:test";
import { audit } from "#kernel/audit/audit.ts";
import { withClient } from "#kernel/db/roles.ts";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import type { TenantRow } from "#kernel/tenancy/store.ts";
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
