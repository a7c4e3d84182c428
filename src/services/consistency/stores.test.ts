import assert from "node:assert/strict";
import { test } from "node:test";
import { makeStore, refusal, startConsistency } from "./fixture.ts";

// Guards against a store that can't be made, found, changed and forgotten like everything else.
for (const isolation of ["shared", "dedicated"] as const) {
  test(`a store is made, changed and deleted, and each is told (${isolation})`, async (t) => {
    const { admin, events } = await startConsistency(t, { isolation });
    const made = await admin.post("/stores", { name: "Cart" }, { "idempotency-key": "k1" });
    assert.equal(made.status, 201, made.text);
    const again = await admin.post("/stores", { name: "Cart" }, { "idempotency-key": "k1" });
    assert.equal(again.text, made.text);
    const { id, engine, mode, replicas, breaker } = made.body;
    assert.deepEqual([engine, mode, replicas], ["embedded", "CP", 3]);
    assert.deepEqual(breaker, { failures: 3, openMs: 500 });
    const path = `/stores/${id}`;
    assert.equal((await admin.get(path)).headers["etag"], '"1"');
    assert.equal(
      refusal(await admin.patch(path, { name: "B" })),
      "428 ERR_REQUEST_VERSION_REQUIRED",
    );
    const changed = await admin.patch(path, { name: "Basket" }, { "if-match": '"1"' });
    assert.deepEqual([changed.status, changed.body.name, changed.body.version], [200, "Basket", 2]);
    const late = await admin.patch(path, { name: "C" }, { "if-match": '"1"' });
    assert.equal(refusal(late), "412 ERR_REQUEST_VERSION_CONFLICT");
    assert.equal((await admin.delete(path)).status, 204);
    assert.equal((await admin.get(path)).status, 404);
    const past = await admin.get(`${path}/changes`);
    assert.deepEqual(
      past.body.items.map((one: { action: string }) => one.action),
      ["store.delete", "store.update", "store.create"],
    );
    const told = (await events())
      .map(({ type }) => type)
      .filter((type) => type.startsWith("store"));
    assert.deepEqual(told, ["store.created", "store.updated", "store.deleted"]);
  });
}

// Guards against stores that no engine could keep, and members that are silently ignored.
test("what no store can be is refused, with its place", async (t) => {
  const { admin } = await startConsistency(t);
  const refused = async (body: object) =>
    refusal(await admin.post("/stores", { name: "Cart", ...body }));
  assert.equal(await refused({ replicas: 4 }), "422 ERR_CONSISTENCY_BAD_TOPOLOGY /replicas");
  assert.equal(await refused({ colour: "red" }), "422 ERR_REQUEST_INVALID /colour");
  assert.equal(
    await refused({ topology: { primary: "a:1" } }),
    "422 ERR_CONSISTENCY_BAD_TOPOLOGY /topology/primary",
  );
  assert.equal(
    await refused({ engine: "redis" }),
    "422 ERR_CONSISTENCY_BAD_TOPOLOGY /topology/primary",
  );
  assert.equal(
    await refused({ mode: "AP", maxStalenessVersions: 3 }),
    "422 ERR_CONSISTENCY_BAD_BOUNDS /maxStalenessVersions",
  );
  await makeStore(admin);
  assert.equal(await refused({}), "409 ERR_CONSISTENCY_STORE_NAME_TAKEN /name");
});

// Guards against tenants that reach nodes inside of the installation's network by naming them.
test("a store names only allowed nodes, and never shows a password", async (t) => {
  const env = { CONSISTENCY_NODES: "redis-1:6379, Redis-2:6379" };
  const { admin, db, tenant } = await startConsistency(t, { env });
  const topology = { primary: "redis-1:6379", replicas: ["redis-2:6379"], password: "s3cr3t!" };
  const inside = { ...topology, replicas: ["redis-2:6379", "127.0.0.1:6379"] };
  const refused = await admin.post("/stores", { name: "A", engine: "redis", topology: inside });
  assert.equal(refusal(refused), "422 ERR_CONSISTENCY_NODE_NOT_ALLOWED /topology/replicas/1");
  const made = await makeStore(admin, { name: "A", engine: "redis", topology });
  assert.equal(made.replicas, 2);
  assert.deepEqual(made.topology, {
    primary: "redis-1:6379",
    replicas: ["redis-2:6379"],
    hasPassword: true,
  });
  const { rows } = await db.query(tenant, "select * from store");
  assert.ok(!JSON.stringify(rows).includes("s3cr3t!"), "the password is stored as it is");
  const past = await admin.get(`/stores/${made.id}/changes`);
  assert.ok(!past.text.includes("s3cr3t!"), "the audit has the password");
});

// Guards against somebody else's stores, and a user who changes what it may only use.
test("another tenant's store is not there, and a user may use but not change one", async (t) => {
  const { admin, user, stranger, nobody } = await startConsistency(t);
  const { id } = await makeStore(admin);
  const unknown = "01890000-0000-7000-8000-000000000000";
  const blank = (text: string, given: string) =>
    text.replaceAll(given, "<id>").replace(/"requestId":"[^"]*"/, "");
  const paths = ["", "/keys/a", "/status", "/breakers", "/history", "/runs", "/changes"];
  for (const path of paths) {
    const foreign = await stranger.get(`/stores/${id}${path}`);
    const none = await stranger.get(`/stores/${unknown}${path}`);
    assert.equal(foreign.status, 404, path);
    assert.equal(blank(foreign.text, id), blank(none.text, unknown), path);
  }
  assert.equal((await stranger.put(`/stores/${id}/keys/a`, { value: 1 })).status, 404);
  assert.equal((await stranger.delete(`/stores/${id}/faults`)).status, 404);
  assert.equal((await stranger.post(`/stores/${id}/checks`, {})).status, 404);
  assert.equal((await nobody.get(`/stores/${id}`)).status, 401);
  assert.equal((await user.put(`/stores/${id}/keys/a`, { value: 1 })).status, 200);
  assert.equal((await user.delete(`/stores/${id}`)).status, 403);
  assert.equal((await user.delete(`/stores/${id}/faults`)).status, 403);
  assert.equal((await user.post(`/stores/${id}/experiments`, { name: "stale-read" })).status, 403);
});
