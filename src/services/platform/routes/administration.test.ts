import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestApp } from "#kernel/testing.ts";
import { platform } from "../service.ts";

const nobody = "0198f2d4-0000-7000-8000-0000000000ff";

// Guards against a tenant who switches features, injects faults or cuts dependencies off for
// everybody.
test("administration is for platform admins only", async (t) => {
  const { as } = await startTestApp(t, { services: [platform] });
  const calls = [
    ["get", "/admin/flags"],
    ["get", "/admin/flags/beta"],
    ["put", "/admin/flags/beta", { on: true }],
    ["delete", "/admin/flags/beta"],
    ["put", `/admin/flags/beta/tenants/${nobody}`, { on: true }],
    ["delete", `/admin/flags/beta/tenants/${nobody}`],
    ["get", "/admin/faults"],
    ["put", "/admin/faults/a.b", { kind: "error" }],
    ["delete", "/admin/faults/a.b"],
    ["get", "/admin/breakers"],
    ["post", "/admin/breakers/x/isolate"],
    ["post", "/admin/breakers/x/reset"],
  ] as const;
  for (const [method, path, body] of calls) {
    const call = (client: ReturnType<typeof as>) =>
      client.raw(method.toUpperCase(), `/api/v1${path}`, body && JSON.stringify(body), {
        ...(body && { "content-type": "application/json" }),
      });
    assert.equal((await call(as())).status, 401, path);
    assert.equal((await call(as("ada", "user"))).status, 403, path);
    assert.equal((await call(as("ada", "tenant_admin"))).status, 403, path);
  }
});

// Guards against a switch that is answered as set and is not, or that leaves no trace.
test("flags are switched for all and for one tenant, and audited", async (t) => {
  const { as, app, tenant } = await startTestApp(t, {
    services: [platform],
    env: { FLAG_FROM_ENV: "1" },
  });
  const admin = as("ops", "admin");
  const ada = await tenant("ada");
  const { flags } = app.depsOf("platform");
  const put = await admin.put("/admin/flags/beta", { on: true });
  assert.deepEqual(put.body, { name: "beta", on: true, source: "override", tenants: [] });
  assert.equal(flags.isOn("beta"), true);
  const forAda = await admin.put(`/admin/flags/beta/tenants/${ada.id}`, { on: false });
  assert.deepEqual(forAda.body.tenants, [{ tenantId: ada.id, on: false }]);
  assert.deepEqual([flags.isOn("beta", ada.id), flags.isOn("beta")], [false, true]);
  assert.deepEqual((await admin.get("/admin/flags/beta")).body, forAda.body);
  const list = await admin.get("/admin/flags");
  assert.deepEqual(
    list.body.items.map((one: { name: string; on: boolean }) => [one.name, one.on]),
    [
      ["beta", true],
      ["from_env", true],
    ],
  );
  assert.equal((await admin.delete(`/admin/flags/beta/tenants/${ada.id}`)).status, 204);
  assert.equal((await admin.delete(`/admin/flags/beta/tenants/${ada.id}`)).status, 404);
  assert.equal((await admin.delete("/admin/flags/beta")).status, 204);
  assert.equal((await admin.delete("/admin/flags/from_env")).status, 404, "not an override");
  assert.equal((await admin.get("/admin/flags/beta")).status, 404);
  assert.equal((await admin.put("/admin/flags/No-Flag", { on: true })).status, 422);
  assert.equal((await admin.put("/admin/flags/beta", { on: "yes" })).status, 422);
  const unknown = await admin.put(`/admin/flags/beta/tenants/${nobody}`, { on: true });
  assert.equal(unknown.body.code, "ERR_FLAGS_NO_SUCH_TENANT");
  const ops = await tenant("ops");
  const { rows } = await app
    .depsOf("platform")
    .db.query<{ action: string }>(
      ops,
      "select action from platform.audit where action like 'flag.%' order by seq",
    );
  assert.deepEqual(
    rows.map((row) => row.action),
    ["flag.update", "flag.update", "flag.delete", "flag.delete"],
  );
});

// Guards against faults that can't be injected, can't be seen, or are injected where they must not
// be.
test("faults are set, listed and cleared; production refuses them", async (t) => {
  const { as, app } = await startTestApp(t, { services: [platform] });
  const admin = as("ops", "admin");
  const { faults } = app.depsOf("platform");
  const set = await admin.put("/admin/faults/feeds.page.commit", { kind: "error", count: 1 });
  assert.deepEqual(set.body, {
    point: "feeds.page.commit",
    kind: "error",
    probability: 1,
    remaining: 1,
    latencyMs: 1_000,
    struck: 0,
  });
  assert.deepEqual((await admin.get("/admin/faults")).body, { items: [set.body] });
  await assert.rejects(faults.at("feeds.page.commit"));
  assert.deepEqual((await admin.get("/admin/faults")).body, { items: [] });
  await admin.put("/admin/faults/a.b", { kind: "latency", latencyMs: 5 });
  assert.equal((await admin.delete("/admin/faults/a.b")).status, 204);
  assert.equal((await admin.delete("/admin/faults/a.b")).status, 404);
  assert.equal((await admin.put("/admin/faults/a.b", { kind: "explode" })).status, 422);
  const strict = await startTestApp(t, {
    services: [platform],
    env: { NODE_ENV: "production" },
    config: {},
  }).catch((error: Error) => error);
  if (strict instanceof Error) throw strict;
  const refused = await strict.as("ops", "admin").put("/admin/faults/a.b", { kind: "error" });
  assert.equal(refused.status, 403);
  assert.equal(refused.body.code, "ERR_FAULTS_NOT_ALLOWED");
});

// Guards against an operator who can't see or move a breaker.
test("breakers are listed, isolated and reset", async (t) => {
  const { as, app } = await startTestApp(t, { services: [platform] });
  const admin = as("ops", "admin");
  const policy = app.depsOf("platform").policies.for("search engine", { timeoutMs: 1_000 });
  app.depsOf("platform").policies.for("bare", { timeoutMs: 1_000, breaker: false });
  const listed = await admin.get("/admin/breakers");
  const states = (items: { name: string; state: string }[]) =>
    Object.fromEntries(items.map((one) => [one.name, one.state]));
  assert.equal(states(listed.body.items)["search engine"], "CLOSED");
  const isolated = await admin.post("/admin/breakers/search%20engine/isolate");
  assert.deepEqual([isolated.status, isolated.body.state], [200, "ISOLATED"]);
  await assert.rejects(policy.execute(async () => 1));
  const reset = await admin.post("/admin/breakers/search%20engine/reset");
  assert.equal(reset.body.state, "CLOSED");
  assert.equal(await policy.execute(async () => 1), 1);
  assert.equal((await admin.post("/admin/breakers/unknown/isolate")).status, 404);
  assert.equal((await admin.post("/admin/breakers/bare/isolate")).status, 404);
});
