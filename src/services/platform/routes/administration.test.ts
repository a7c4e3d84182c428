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
    ["get", "/admin/flags/beta/history"],
    ["put", "/admin/flags/beta", { on: true }],
    ["delete", "/admin/flags/beta"],
    ["put", `/admin/flags/beta/tenants/${nobody}`, { on: true }],
    ["delete", `/admin/flags/beta/tenants/${nobody}`],
    ["get", "/admin/faults"],
    ["get", "/admin/faults/webhooks.send"],
    ["get", "/admin/faults/webhooks.send/history"],
    ["put", "/admin/faults/webhooks.send", { kind: "error" }],
    ["delete", "/admin/faults/webhooks.send"],
    ["get", "/admin/breakers"],
    ["get", "/admin/breakers/x/history"],
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

// Guards against an operator who can't see or move a breaker.
test("breakers are listed, isolated and reset", async (t) => {
  const { as, app } = await startTestApp(t, { services: [platform] });
  const admin = as("ops", "admin");
  const policy = app.depsOf("platform").policies.for("search engine", { timeoutMs: 1_000 });
  app.depsOf("platform").policies.for("bare", { timeoutMs: 1_000, breaker: false });
  const listed = await admin.get("/admin/breakers");
  const { instance } = listed.body;
  assert.deepEqual([instance.pid, instance.role], [process.pid, "api"]);
  const states = (items: { name: string; state: string }[]) =>
    Object.fromEntries(items.map((one) => [one.name, one.state]));
  assert.equal(states(listed.body.items)["search engine"], "CLOSED");
  const isolated = await admin.post("/admin/breakers/search%20engine/isolate");
  assert.deepEqual([isolated.status, isolated.body.state], [200, "ISOLATED"]);
  assert.deepEqual(isolated.body.instance, instance, "which process it was that did it");
  await assert.rejects(policy.execute(async () => 1));
  const reset = await admin.post("/admin/breakers/search%20engine/reset");
  assert.equal(reset.body.state, "CLOSED");
  assert.equal(await policy.execute(async () => 1), 1);
  const past = (await admin.get("/admin/breakers/search%20engine/history")).body.items;
  assert.deepEqual(
    past.map(({ action }: { action: string }) => action),
    ["breaker.reset", "breaker.isolate"],
  );
  assert.deepEqual((await admin.get("/admin/breakers/bare/history")).body.items, []);
  assert.equal((await admin.get("/admin/breakers/unknown/history")).status, 404);
  assert.equal((await admin.post("/admin/breakers/unknown/isolate")).status, 404);
  assert.equal((await admin.post("/admin/breakers/bare/isolate")).status, 404);
});

// Guards against a host that only the worker asks for and that nobody can take out of use.
test("a breaker of another process is isolated, seen, and reset", async (t) => {
  const { as, app } = await startTestApp(t, { services: [platform] });
  const admin = as("ops", "admin");
  const { policies } = app.depsOf("platform");
  const name = "outgoing https://example.com";
  const path = `/admin/breakers/${encodeURIComponent(name)}`;
  const isolated = await admin.post(`${path}/isolate`);
  assert.deepEqual([isolated.status, isolated.body.state], [200, "ISOLATED"], isolated.text);
  const listed = async () =>
    (await admin.get("/admin/breakers")).body.items.find(
      (one: { name: string }) => one.name === name,
    );
  assert.deepEqual([(await listed()).state, (await listed()).group], ["ISOLATED", "outgoing"]);
  // Held from the moment at which it is made here.
  const policy = policies.for(name, { timeoutMs: 1_000, group: "outgoing" });
  await assert.rejects(policy.execute(async () => 1));
  assert.equal((await admin.post(`${path}/reset`)).body.state, "CLOSED");
  assert.equal(await policy.execute(async () => 1), 1);
  assert.equal((await admin.post("/admin/breakers/outgoing%20nowhere/isolate")).status, 404);
});

// Guards against lists that are read otherwise than all others, and pages that lose an item.
test("what admins look after is listed in pages, whole unless told otherwise", async (t) => {
  const { as, app } = await startTestApp(t, { services: [platform] });
  const admin = as("ops", "admin");
  const { policies } = app.depsOf("platform");
  for (const name of ["mail", "search engine", "archive"]) policies.for(name, { timeoutMs: 1_000 });
  for (const name of ["one", "two", "three"]) {
    await admin.put(`/admin/flags/${name}`, { on: true }, { "if-none-match": "*" });
  }
  const [key] = (await admin.get("/admin/signing-keys")).body.items;
  await admin.post("/admin/signing-keys/rotate", { confirm: key.kid });
  for (const path of ["flags", "faults", "breakers", "signing-keys"].map((at) => `/admin/${at}`)) {
    const whole = (await admin.get(path)).body;
    assert.equal(whole.nextCursor, null, path);
    const items: unknown[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const { status, body, text } = await admin.get(`${path}?limit=1${cursor}`);
      assert.equal(status, 200, text);
      assert.equal(body.items.length, 1, path);
      items.push(...body.items);
      cursor = body.nextCursor && `&cursor=${encodeURIComponent(body.nextCursor)}`;
    }
    assert.deepEqual(items, whole.items);
    assert.ok(items.length > 1, path);
    assert.equal((await admin.get(`${path}?limit=101`)).status, 422);
    assert.equal((await admin.get(`${path}?cursor=made-up`)).status, 400);
  }
});
