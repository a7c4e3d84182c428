import assert from "node:assert/strict";
import { test } from "node:test";
import { openLease, whileInUse } from "./changes/access.ts";
import { makeLease, makeWritable, refusal, startLeases } from "./fixture.ts";
import { type Caller, systemCaller } from "./rules/callers.ts";

const writable = { template: "writable", image: undefined, preset: undefined };

// Guards against users who see, use or end the leases of others of their own tenant.
test("a user has its own leases and snapshots, an admin all of its tenant's", async (t) => {
  const { admin, user, stranger, settle } = await startLeases(t);
  await makeWritable(admin);
  const theirs = await makeLease(user, writable);
  const mine = await makeLease(admin, writable);
  const kept = await admin.post(`/leases/${mine.id}/snapshots?wait=10`);
  const paths = (lease: string, snapshot: string) =>
    [
      ["get", `/leases/${lease}`],
      ["get", `/leases/${lease}/expiry`],
      ["get", `/leases/${lease}/history`],
      ["post", `/leases/${lease}/renew`],
      ["post", `/leases/${lease}/keepalive`],
      ["post", `/leases/${lease}/pause`],
      ["post", `/leases/${lease}/resume`],
      ["post", `/leases/${lease}/restart`],
      ["post", `/leases/${lease}/snapshots`],
      ["get", `/snapshots/${snapshot}`],
      ["get", `/snapshots/${snapshot}/history`],
      ["post", `/snapshots/${snapshot}/restore`],
      ["delete", `/snapshots/${snapshot}`],
      ["delete", `/leases/${lease}`],
    ] as const;
  for (const caller of [user, stranger]) {
    for (const [method, path] of paths(mine.id, kept.body.id)) {
      assert.equal(refusal(await caller[method](path)), "404 ERR_REQUEST_NOT_FOUND", path);
    }
    assert.deepEqual((await caller.get("/snapshots")).body.items, []);
  }
  await settle();
  assert.equal((await admin.get(`/leases/${mine.id}`)).body.state, "running");
  assert.equal((await admin.get(`/snapshots/${kept.body.id}`)).body.state, "ready");
  const seen = async (caller: typeof admin) =>
    (await caller.get("/leases")).body.items.map(({ id }: { id: string }) => id).sort();
  assert.deepEqual(await seen(user), [theirs.id]);
  assert.deepEqual(new Set(await seen(admin)), new Set([mine.id, theirs.id]));
  assert.deepEqual(await seen(stranger), []);
  assert.equal((await user.delete(`/leases/${theirs.id}`)).status, 204);
  await settle();
  const released = (await user.get(`/leases/${theirs.id}`)).body;
  assert.equal(released.terminationReason, "released");
});

// Guards against an end whose owner can't see that it was somebody else's doing.
test("a lease that an admin ends for its user says so", async (t) => {
  const { admin, user, settle } = await startLeases(t);
  const { id } = await makeLease(user);
  await admin.delete(`/leases/${id}`);
  await settle();
  assert.equal((await user.get(`/leases/${id}`)).body.terminationReason, "admin");
});

// Guards against users who make templates, see the tenant's quota or repair drift.
test("what is an admin's to do is refused to users", async (t) => {
  const { admin, user, nobody } = await startLeases(t);
  await makeLease(admin);
  const made = await user.post("/leases/templates", { name: "x", image: "alpine" });
  assert.equal(made.body.code, "ERR_ACCESS_FORBIDDEN");
  for (const caller of [admin, user]) {
    assert.equal((await caller.get("/admin/leases/drift")).status, 403);
    assert.equal((await caller.post("/admin/leases/drift/repair")).status, 403);
  }
  const { tenant, user: own } = (await user.get("/leases/quota")).body;
  assert.deepEqual([tenant.leases.used, own.leases.used], [0, 0], "not what others have");
  assert.equal((await admin.get("/leases/quota")).body.tenant.leases.used, 1);
  assert.equal((await nobody.get("/leases")).status, 401);
});

// Guards against a way into a container that asks nobody, and use that does not count.
test("into a container leads one way, which knows who may and whether it is in use", async (t) => {
  const { admin, user, deps, tenant, engine, pass, clock } = await startLeases(t);
  const lease = await makeLease(admin, { preset: "standard", idleTtlSeconds: 60 });
  const request = { tenant, id: lease.id, permission: "lease:exec", ask: "use" } as const;
  const found = await openLease(deps, { ...request, caller: systemCaller });
  assert.equal(found.containerId, engine.of(lease.id)?.id);
  const nobody: Caller = { id: "somebody else", scopeOf: () => "own" };
  await assert.rejects(openLease(deps, { ...request, caller: nobody }), {
    code: "ERR_REQUEST_NOT_FOUND",
  });
  let finish: () => void = () => {};
  const using = whileInUse(
    deps,
    tenant,
    lease.id,
    () =>
      new Promise<void>((done) => {
        finish = done;
      }),
  );
  for (let round = 0; round < 9; round += 1) {
    // A sign of use every ten seconds, as long as it lasts.
    await new Promise((go) => setImmediate(go));
    await pass(10);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((go) => setImmediate(go));
  }
  assert.equal((await admin.get(`/leases/${lease.id}`)).body.state, "running");
  finish();
  await using;
  assert.equal((await admin.get(`/leases/${lease.id}`)).body.expiresInSeconds, 60);
  await pass(60);
  const ended = (await admin.get(`/leases/${lease.id}`)).body;
  assert.deepEqual([ended.state, ended.terminationReason], ["ended", "idle"]);
  await assert.rejects(openLease(deps, { ...request, caller: systemCaller }), {
    code: "ERR_LEASES_OVER",
  });
  assert.equal((await user.get("/leases")).body.items.length, 0);
  assert.ok(clock.nowMs() > 0);
});
