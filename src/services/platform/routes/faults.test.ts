import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestApp } from "#kernel/testing.ts";
import { platform } from "../service.ts";

const point = "webhooks.send";
const path = `/admin/faults/${point}`;
const statuses = (answers: readonly { status: number }[]) =>
  answers.map(({ status }) => status).toSorted((a, b) => a - b);
const at = (version: number) => ({ "if-match": `"${version}"` });

// Guards against points that can't be seen, and a fault that is said to be armed and is not.
test("declared points are listed, armed, read and cleared", async (t) => {
  const { as, app } = await startTestApp(t, { services: [platform] });
  const admin = as("ops", "admin");
  const { faults } = app.depsOf("platform");
  const list = async () => (await admin.get("/admin/faults")).body;
  const { allowed, items } = await list();
  assert.equal(allowed, true);
  const names = items.map((one: { point: string }) => one.point);
  assert.ok(names.includes("mutate.before_commit") && names.includes("jobs.task.done"));
  assert.ok(items.every((one: { armed: unknown }) => one.armed === null));
  const read = await admin.get(path);
  assert.deepEqual([read.body.armed, read.headers.etag], [null, '"1"']);

  const set = await admin.put(path, { kind: "error", count: 2 }, at(1));
  assert.equal(set.status, 200, set.text);
  const armed = { kind: "error", probability: 1, count: 2, latencyMs: 1_000 };
  assert.deepEqual([set.body.armed, set.headers.etag], [armed, '"2"']);
  assert.deepEqual((await admin.get(path)).body, set.body);
  await assert.rejects(faults.at(point));
  const [counted] = (await list()).items.filter((one: { point: string }) => one.point === point);
  assert.deepEqual([counted.struck, counted.remaining, counted.version], [1, 1, 2]);
  await assert.rejects(faults.at(point));
  await faults.at(point);
  const spent = (await admin.get(path)).body;
  assert.deepEqual([spent.armed, spent.version], [null, 3], "it has cleared itself");
  assert.equal((await admin.delete(path)).status, 404);

  await admin.put(path, { kind: "crash" }, at(3));
  assert.equal((await admin.get(path)).body.armed.count, 1, "no crash without an end");
  assert.equal((await admin.delete(path)).status, 204);
  await faults.at(point);
  const past = await admin.get(`${path}/history`);
  assert.deepEqual(
    past.body.items.map(({ action }: { action: string }) => action),
    ["fault.clear", "fault.set", "fault.set"],
  );
  assert.deepEqual((await admin.get("/admin/faults/jobs.task.run/history")).body.items, []);
});

// Guards against two admins who arm over each other, and against names with a slip in them.
test("a lost race and an unknown point are refused", async (t) => {
  const { as } = await startTestApp(t, { services: [platform] });
  const admin = as("ops", "admin");
  const put = (headers = {}, body = { kind: "latency" }) => admin.put(path, body, headers);
  assert.equal((await put()).status, 428);
  assert.equal((await put(at(1))).status, 200);
  assert.equal((await put(at(1))).status, 412);
  assert.equal((await admin.delete(path, at(1))).status, 412);
  const race = await Promise.all([1, 2, 3].map(() => put(at(2))));
  assert.deepEqual(statuses(race), [200, 412, 412]);
  assert.equal((await admin.delete(path, at(3))).status, 204);
  assert.equal((await put(at(4), { kind: "explode" })).status, 422);
  const noData = await admin.put("/admin/faults/jobs.task.run", { kind: "corruption" }, at(1));
  assert.deepEqual([noData.status, noData.body.code], [422, "ERR_FAULTS_BAD_SETTING"]);
  for (const call of [
    admin.get("/admin/faults/webhook.send"),
    admin.get("/admin/faults/webhook.send/history"),
    admin.put("/admin/faults/webhook.send", { kind: "error" }, at(1)),
    admin.delete("/admin/faults/webhook.send"),
  ]) {
    const refused = await call;
    assert.deepEqual([refused.status, refused.body.code], [404, "ERR_FAULTS_UNKNOWN_POINT"]);
    assert.match(
      refused.body.detail,
      /do you mean webhooks.send\? There are events.*jobs.task.run/,
    );
  }
});

// Guards against an admin's token alone being enough to break a production server.
test("production refuses faults, and FLAG_FAULTS=1 allows them", async (t) => {
  for (const [flag, status] of [
    ["0", 403],
    ["1", 200],
  ] as const) {
    const env = { NODE_ENV: "production", FLAG_FAULTS: flag };
    const { as, app } = await startTestApp(t, { services: [platform], env });
    const admin = as("ops", "admin");
    const set = await admin.put(path, { kind: "error" }, at(1));
    assert.equal(set.status, status, set.text);
    assert.equal((await admin.get("/admin/faults")).body.allowed, status === 200);
    if (status === 403) {
      assert.equal(set.body.code, "ERR_FAULTS_NOT_ALLOWED");
      await app.depsOf("platform").faults.at(point);
    }
  }
});

const newKey = { name: "Till", permissions: ["role:read"] };

// Guards against half a change: a row without its record, a key that is taken for nothing.
test("mutate.before_commit: of a change that fails there nothing remains", async (t) => {
  const { as } = await startTestApp(t, { services: [platform] });
  const [admin, acme] = [as("ops", "admin"), as("acme")];
  await admin.put("/admin/faults/mutate.before_commit", { kind: "error", count: 1 }, at(1));
  const key = { "idempotency-key": "k1" };
  const failed = await acme.post("/api-keys", newKey, key);
  assert.deepEqual([failed.status, failed.body.code], [503, "ERR_FAULTS_INJECTED"]);
  assert.match(failed.headers["retry-after"] ?? "", /^\d+$/);
  assert.deepEqual((await acme.get("/api-keys")).body.items, []);
  assert.deepEqual((await acme.get("/audit?resource=api_key")).body.items, []);
  const again = await acme.post("/api-keys", newKey, key);
  assert.deepEqual([again.status, again.headers["idempotent-replayed"]], [201, undefined]);
});

// Guards against a change that is made twice because nobody heard of the first.
test("mutate.after_commit: who asks again under the same key gets the one answer", async (t) => {
  const { as } = await startTestApp(t, { services: [platform] });
  const [admin, acme] = [as("ops", "admin"), as("acme")];
  await admin.put("/admin/faults/mutate.after_commit", { kind: "error", count: 1 }, at(1));
  const key = { "idempotency-key": "k1" };
  assert.equal((await acme.post("/api-keys", newKey, key)).status, 503);
  const again = await acme.post("/api-keys", newKey, key);
  assert.deepEqual([again.status, again.headers["idempotent-replayed"]], [201, "true"]);
  const { items } = (await acme.get("/api-keys")).body;
  assert.deepEqual(
    items.map(({ id }: { id: string }) => id),
    [again.body.id],
  );
  assert.equal((await acme.get("/audit?resource=api_key")).body.items.length, 1);
});

// Guards against a fault that locks out whoever could clear it.
test("the way to arm and clear faults is spared by those of changes", async (t) => {
  const { as } = await startTestApp(t, { services: [platform] });
  const admin = as("ops", "admin");
  for (const broken of ["mutate.before_commit", "mutate.after_commit"]) {
    assert.equal(
      (await admin.put(`/admin/faults/${broken}`, { kind: "error" }, at(1))).status,
      200,
    );
    const role = await admin.post("/roles", { name: "clerk", title: "Clerk", permissions: [] });
    assert.deepEqual([role.status, role.body.code], [503, "ERR_FAULTS_INJECTED"]);
    assert.equal(
      (await admin.put(`/admin/faults/${broken}`, { kind: "error" }, at(2))).status,
      200,
    );
    assert.equal((await admin.delete(`/admin/faults/${broken}`)).status, 204);
  }
});
