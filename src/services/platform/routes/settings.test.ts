import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { defineErrors, requestErrors } from "#kernel/errors.ts";
import { defineService } from "#kernel/service.ts";
import { startTestApp } from "#kernel/testing.ts";
import { platform } from "../service.ts";

/** A service that is nothing but its settings. */
const models = defineService({
  name: "models",
  permissions: {},
  errors: defineErrors("models", {}),
  routes: () => {},
  settings: {
    provider: {
      title: "Whose model",
      schema: Type.Enum(["anthropic", "openai"]),
      default: "anthropic",
    },
    budget: { title: "Cents a month", schema: Type.Integer({ minimum: 0 }) },
    api_key: { title: "Key of the model", schema: Type.String(), secret: true },
    max_runs: {
      title: "Runs a day",
      schema: Type.Integer({ minimum: 1 }),
      default: 10,
      platform: true,
    },
  },
});

const services = [platform, models];
const secretKey = "sk-hunter2-marker-wxyz";
const untouched = {
  "platform.requests_per_minute": null,
  "models.provider": "anthropic",
  "models.budget": null,
  "models.api_key": null,
  "models.max_runs": 10,
};

// Guards against settings that are lost, and against secrets that are shown once stored.
test("settings are replaced as a whole; secrets go in and only their end comes out", async (t) => {
  const { as, app, tenant, logs } = await startTestApp(t, { services });
  const ada = as("ada", "tenant_admin");
  const first = await ada.get("/tenant/settings");
  assert.deepEqual(first.body.settings, untouched);
  const put = (settings: object, etag: string) =>
    ada.put("/tenant/settings", { settings }, { "if-match": etag });
  const wanted = { "models.provider": "openai", "models.budget": 5, "models.api_key": secretKey };
  const second = await put(wanted, first.headers["etag"] as string);
  assert.equal(second.status, 200, second.text);
  assert.deepEqual(second.body.settings, {
    ...untouched,
    "models.provider": "openai",
    "models.budget": 5,
    "models.api_key": "…wxyz",
  });
  assert.deepEqual((await ada.get("/tenant/settings")).body, second.body);
  const echoed = await put(second.body.settings, second.headers["etag"] as string);
  assert.deepEqual(echoed.body.settings, second.body.settings, "what was read can be sent back");
  const { db, settings } = app.depsOf("models");
  const ref = await tenant("ada");
  assert.equal(await db.inTenant(ref, (tx) => settings.secret(tx, "models.api_key")), secretKey);
  assert.equal(await db.inTenant(ref, (tx) => settings.get(tx, "models.budget")), 5);
  const fewer = await put({}, echoed.headers["etag"] as string);
  assert.deepEqual(fewer.body.settings, { ...untouched, "models.api_key": "…wxyz" });
  const none = await put({ "models.api_key": null }, fewer.headers["etag"] as string);
  assert.deepEqual(none.body.settings, untouched);
  const { rows } = await db.query<{ text: string }>(
    ref,
    "select coalesce(before::text, '') || coalesce(after::text, '') as text from platform.audit",
  );
  assert.ok(rows.length >= 4);
  assert.ok(!JSON.stringify([rows, logs]).includes("hunter2-marker"));
});

// Guards against a change of settings that nobody can trace, and against secrets in its traces.
test("the past of settings is told, newest first, without secrets", async (t) => {
  const { as } = await startTestApp(t, { services });
  const ada = as("ada", "tenant_admin");
  const past = async (query = "") => (await ada.get(`/tenant/settings/history${query}`)).body;
  assert.deepEqual(await past(), { items: [], nextCursor: null });
  for (const [version, settings] of [
    ['"1"', { "models.budget": 5 }],
    ['"2"', { "models.budget": 7, "models.api_key": secretKey }],
  ] as const) {
    const put = await ada.put("/tenant/settings", { settings }, { "if-match": version });
    assert.equal(put.status, 200, put.text);
  }
  const { items } = await past();
  const budgets = items.map(({ action, before, after }: (typeof items)[number]) => [
    action,
    before["models.budget"],
    after["models.budget"],
  ]);
  assert.deepEqual(budgets, [
    ["settings.update", 5, 7],
    ["settings.update", null, 5],
  ]);
  assert.equal(items[0].after["models.api_key"], "[redacted]");
  assert.ok(!JSON.stringify(items).includes(secretKey));
  const first = await past("?limit=1");
  assert.deepEqual((await past(`?limit=1&cursor=${first.nextCursor}`)).items, items.slice(1));
  assert.deepEqual((await as("bob").get("/tenant/settings/history")).body.items, []);
  assert.equal((await as("ada", "user").get("/tenant/settings/history")).status, 403);
});

// Guards against a lost change, and against members nobody knows.
test("a replacement needs the version that was read, and known, valid members", async (t) => {
  const { as } = await startTestApp(t, { services });
  const ada = as("ada", "tenant_admin");
  const { headers } = await ada.get("/tenant/settings");
  const ifMatch = { "if-match": headers["etag"] as string };
  assert.equal((await ada.put("/tenant/settings", { settings: {} })).status, 428);
  for (const settings of [
    { unknown: 1 },
    { "models.provider": "acme" },
    { "models.budget": "5" },
    { "models.api_key": "" },
    { "models.api_key": 5 },
  ]) {
    const refused = await ada.put("/tenant/settings", { settings }, ifMatch);
    assert.equal(refused.status, 422, JSON.stringify(settings));
  }
  assert.equal((await ada.put("/tenant/settings", { settings: {} }, ifMatch)).status, 200);
  assert.equal((await ada.put("/tenant/settings", { settings: {} }, ifMatch)).status, 412);
  assert.equal((await as("ada", "user").get("/tenant/settings")).status, 403);
  assert.equal((await as().get("/tenant/settings")).status, 401);
});

// Guards against a tenant that raises its own limits, or loses them by sending what it read.
test("limits are a platform admin's to change, and a tenant's to see", async (t) => {
  const { as, app, tenant } = await startTestApp(t, { services });
  const limits = { "models.max_runs": 99, "platform.requests_per_minute": 120 };
  const replace = async (role: string, settings: object) => {
    const client = as("ada", role);
    const { headers } = await client.get("/tenant/settings");
    const ifMatch = { "if-match": headers["etag"] as string };
    return client.put("/tenant/settings", { settings }, ifMatch);
  };
  const refused = await replace("tenant_admin", limits);
  assert.equal(refused.status, 403);
  assert.equal(refused.body.code, "ERR_SETTINGS_PLATFORM_ONLY");
  const set = await replace("admin", limits);
  assert.equal(set.body.settings["models.max_runs"], 99);
  const kept = await replace("tenant_admin", { "models.budget": 7 });
  assert.equal(kept.body.settings["models.max_runs"], 99);
  const echoed = await replace("tenant_admin", kept.body.settings);
  assert.equal(echoed.status, 200);
  assert.equal((await replace("tenant_admin", { "models.max_runs": null })).status, 403);
  const { settings } = app.depsOf("models");
  assert.equal(settings.peek(await tenant("ada"), "platform.requests_per_minute"), 120);
  const limited = await as("ada", "user").get("/tenant/settings");
  assert.match(limited.headers["ratelimit-policy"] ?? "", /q=120/);
});

// Guards against what hangs on a setting being told too late, too often, or of what never held.
test("whoever declares a setting is told of its changes, and may refuse them", async (t) => {
  const told: unknown[] = [];
  const changed = async (_tx: unknown, value: unknown) => {
    told.push(value);
    if (value === 13) throw requestErrors.conflict({ detail: "Not thirteen." });
  };
  const budget = { title: "Cents a month", schema: Type.Integer({ minimum: 0 }), changed };
  const watching = defineService({ ...models, settings: { ...models.settings, budget } });
  const { as } = await startTestApp(t, { services: [platform, watching] });
  const client = as("ada", "tenant_admin");
  const put = async (settings: object) => {
    const { headers } = await client.get("/tenant/settings");
    return client.put("/tenant/settings", { settings }, { "if-match": headers["etag"] as string });
  };
  await put({ "models.provider": "openai" });
  await put({ "models.budget": 5 });
  await put({ "models.budget": 5, "models.provider": "openai" });
  const refused = await put({ "models.budget": 13, "models.provider": "anthropic" });
  assert.deepEqual([refused.status, refused.body.detail], [409, "Not thirteen."]);
  const { settings } = (await client.get("/tenant/settings")).body;
  assert.deepEqual([settings["models.budget"], settings["models.provider"]], [5, "openai"]);
  await put({});
  assert.deepEqual(told, [5, 13, null]);
});

// Guards against one tenant's settings that show through at another's.
test("each tenant has its own, shared or dedicated", async (t) => {
  const { as } = await startTestApp(t, { services });
  for (const slug of ["ada", "bob-dedicated"]) {
    const client = as(slug, "tenant_admin");
    const { headers, body } = await client.get("/tenant/settings");
    assert.deepEqual(body.settings, untouched, slug);
    const settings = { "models.budget": 3, "models.api_key": `${secretKey}-${slug}` };
    const ifMatch = { "if-match": headers["etag"] as string };
    const put = await client.put("/tenant/settings", { settings }, ifMatch);
    assert.equal(put.body.settings["models.budget"], 3);
  }
});
