import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startTestApp } from "#kernel/testing.ts";
import { platform } from "../service.ts";

const nobody = "0198f2d4-0000-7000-8000-0000000000ff";
const fresh = { "if-none-match": "*" };
const statuses = (answers: readonly { status: number }[]) =>
  answers.map(({ status }) => status).toSorted((a, b) => a - b);
const at = (version: number) => ({ "if-match": `"${version}"` });

async function house(t: TestContext) {
  const made = await startTestApp(t, { services: [platform], env: { FLAG_FROM_ENV: "1" } });
  return { ...made, admin: made.as("ops", "admin"), flags: made.app.depsOf("platform").flags };
}

// Guards against a switch that is answered as set and is not, or that leaves no trace.
test("flags are switched for all and for one tenant", async (t) => {
  const { admin, flags, tenant } = await house(t);
  const ada = await tenant("ada");
  const put = await admin.put("/admin/flags/beta", { on: true }, fresh);
  assert.equal(put.status, 201, put.text);
  const { version } = put.body;
  const made = { name: "beta", on: true, source: "override", tenants: [], version };
  assert.deepEqual(put.body, made);
  assert.equal(put.headers.etag, `"${version}"`);
  assert.equal(flags.isOn("beta"), true);
  const path = `/admin/flags/beta/tenants/${ada.id}`;
  const forAda = await admin.put(path, { on: false }, at(version));
  assert.equal(forAda.status, 200, forAda.text);
  assert.deepEqual(forAda.body.tenants, [{ tenantId: ada.id, on: false }]);
  assert.deepEqual([flags.isOn("beta", ada.id), flags.isOn("beta")], [false, true]);
  const read = await admin.get("/admin/flags/beta");
  assert.deepEqual([read.body, read.headers.etag], [forAda.body, forAda.headers.etag]);
  const list = await admin.get("/admin/flags");
  assert.deepEqual(
    list.body.items.map((one: { name: string; on: boolean }) => [one.name, one.on]),
    [
      ["beta", true],
      ["from_env", true],
    ],
  );
  assert.equal((await admin.delete(path)).status, 204);
  assert.equal((await admin.delete(path)).status, 404);
  assert.equal((await admin.delete("/admin/flags/beta")).status, 204);
  assert.equal((await admin.delete("/admin/flags/from_env")).status, 404, "not an override");
  assert.equal((await admin.get("/admin/flags/beta")).status, 404);
  assert.equal(flags.isOn("beta"), false);
  assert.equal((await admin.put("/admin/flags/No-Flag", { on: true }, fresh)).status, 422);
  assert.equal((await admin.put("/admin/flags/beta", { on: "yes" }, fresh)).status, 422);
  const toNobody = `/admin/flags/beta/tenants/${nobody}`;
  const unknown = await admin.put(toNobody, { on: true }, fresh);
  assert.equal(unknown.body.code, "ERR_FLAGS_NO_SUCH_TENANT");
  assert.equal((await admin.get("/admin/flags/beta")).status, 404, "nothing is left of a refusal");
});

// Guards against two admins of whom the second undoes what the first did without knowing.
test("a flag says which version it changes, or that there is none yet", async (t) => {
  const { admin, tenant } = await house(t);
  const ada = await tenant("ada");
  const paths = ["/admin/flags/beta", `/admin/flags/beta/tenants/${ada.id}`];
  const put = (path: string, headers = {}) => admin.put(path, { on: true }, headers);
  for (const path of paths) {
    const silent = await put(path);
    assert.deepEqual([silent.status, silent.body.code], [428, "ERR_REQUEST_VERSION_REQUIRED"]);
    assert.equal((await put(path, at(1))).status, 412, "there is none of any version");
    assert.equal((await put(path, { "if-none-match": '"1"' })).status, 428);
    assert.equal((await put(path, { "if-match": "nonsense" })).status, 400);
  }
  const { version } = (await put(paths[0] as string, fresh)).body;
  for (const path of paths) {
    assert.equal((await put(path, fresh)).status, 412, "there is one by now");
    assert.equal((await put(path, at(version + 1))).status, 412);
    assert.equal((await admin.delete(path, at(version + 1))).status, path === paths[0] ? 412 : 404);
  }
  const next = await put(paths[1] as string, at(version));
  assert.ok(next.body.version > version, "a tenant's override is a change of the flag");
  assert.equal((await put(paths[0] as string, at(version))).status, 412);
  for (const path of paths) assert.equal((await admin.delete(path, at(version))).status, 412);
  assert.equal((await admin.delete(paths[0] as string, at(next.body.version))).status, 204);
  const left = (await admin.get("/admin/flags/beta")).body;
  assert.deepEqual([left.source, left.tenants.length], ["default", 1]);
  assert.equal((await admin.delete(paths[1] as string, at(left.version))).status, 204);
  const again = await put(paths[0] as string, fresh);
  assert.ok(again.body.version > left.version, "one that is made anew is no older one's equal");
  const both = await Promise.all(
    [1, 2, 3, 4].map(() => put(paths[0] as string, at(again.body.version))),
  );
  assert.deepEqual(statuses(both), [200, 412, 412, 412]);
  await admin.delete("/admin/flags/beta");
  const race = await Promise.all([1, 2, 3, 4].map(() => put(paths[0] as string, fresh)));
  assert.deepEqual(statuses(race), [201, 412, 412, 412]);
});

// Guards against a switch of the environment's that can't be overridden, or not with care.
test("a flag of the environment has a version before anybody overrides it", async (t) => {
  const { admin, flags } = await house(t);
  const read = await admin.get("/admin/flags/from_env");
  assert.deepEqual([read.body.source, read.headers.etag], ["environment", '"1"']);
  assert.equal((await admin.put("/admin/flags/from_env", { on: false }, fresh)).status, 412);
  const off = await admin.put("/admin/flags/from_env", { on: false }, at(1));
  assert.deepEqual([off.status, off.body.source], [200, "override"]);
  assert.equal(flags.isOn("from_env"), false);
  assert.equal((await admin.put("/admin/flags/from_env", { on: true }, at(1))).status, 412);
  assert.equal((await admin.delete("/admin/flags/from_env", at(off.body.version))).status, 204);
  assert.equal(flags.isOn("from_env"), true);
  const after = await admin.get("/admin/flags/from_env", { "if-none-match": '"1"' });
  assert.equal(after.status, 304, "it is what it was");
});

// Guards against a switch that nobody has touched: whoever did, in whatever tenant they were.
test("a flag's past shows what every platform admin did", async (t) => {
  const { as, admin } = await house(t);
  const { version } = (await admin.put("/admin/flags/beta", { on: true }, fresh)).body;
  const other = as("elsewhere", "admin");
  await other.put("/admin/flags/beta", { on: false }, at(version));
  await admin.delete("/admin/flags/beta");
  for (const client of [admin, other]) {
    const past = await client.get("/admin/flags/beta/history");
    assert.equal(past.status, 200, past.text);
    assert.deepEqual(
      past.body.items.map(({ action }: { action: string }) => action),
      ["flag.delete", "flag.update", "flag.create"],
    );
    const [, update] = past.body.items;
    assert.deepEqual([update.before.on, update.after.on], [true, false]);
    assert.match(update.actor.name, /@elsewhere\.test$/);
  }
  const first = await admin.get("/admin/flags/beta/history?limit=2");
  const { nextCursor } = first.body;
  const rest = await admin.get(`/admin/flags/beta/history?limit=2&cursor=${nextCursor}`);
  assert.deepEqual([first.body.items.length, rest.body.items.length], [2, 1]);
  const own = await admin.get("/audit?resource=flag");
  assert.equal(own.body.items.length, 2, "and stands in the audit of the tenant where they acted");
  assert.deepEqual((await admin.get("/admin/flags/from_env/history")).body.items, []);
  assert.equal((await admin.get("/admin/flags/never/history")).status, 404);
  assert.equal((await as("ops", "tenant_admin").get("/admin/flags/beta/history")).status, 403);
});
