import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLease, startLeases } from "./fixture.ts";

const kindsOf = (items: readonly { kind: string }[]) => items.map(({ kind }) => kind).sort();

// Guards against a difference that nobody sees, and a repair that harms what is in order.
test("containers and leases that differ are shown, and repaired on demand", async (t) => {
  const house = await startLeases(t);
  const { admin, root, engine, db, tenant, clock, settle } = house;
  const fine = await makeLease(admin);
  const lost = await makeLease(admin, { maxRestarts: 0 });
  const still = await makeLease(admin);
  const over = await makeLease(admin);
  engine.vanish(engine.of(lost.id)?.id as string);
  const paused = engine.of(still.id);
  if (paused) paused.state = "paused";
  const stray = engine.of(over.id);
  await admin.delete(`/leases/${over.id}`);
  await settle();
  // It comes back from the dead, as when a removal was undone by an engine's restart.
  if (stray) engine.containers.set("undead", { ...stray, id: "undead", state: "running" });
  await db.inTenant(tenant, (tx) => tx.query("update lease_quota set leases = leases + 5"));
  const young = (await root.get("/admin/leases/drift")).body;
  assert.deepEqual(kindsOf(young.items), [
    "missing_container",
    "quota_mismatch",
    "quota_mismatch",
    "state_mismatch",
  ]);
  clock.advance(61_000);
  const drift = (await root.get("/admin/leases/drift")).body;
  assert.deepEqual(kindsOf(drift.items), [
    "missing_container",
    "orphan_container",
    "quota_mismatch",
    "quota_mismatch",
    "state_mismatch",
  ]);
  assert.deepEqual([drift.leases, drift.containers, drift.unreachable], [3, 3, []]);
  const only = await root.post("/admin/leases/drift/repair", { kind: "orphan_container" });
  assert.deepEqual(kindsOf(only.body.repaired), ["orphan_container"], only.text);
  assert.equal(engine.containers.has("undead"), false);
  const rest = await root.post("/admin/leases/drift/repair");
  assert.equal(rest.body.repaired.length, 4, rest.text);
  assert.deepEqual(rest.body.failed, []);
  await settle();
  assert.deepEqual((await root.get("/admin/leases/drift")).body.items, []);
  const stateOf = async ({ id }: { id: string }) => (await admin.get(`/leases/${id}`)).body.state;
  assert.deepEqual(await Promise.all([fine, lost, still, over].map(stateOf)), [
    "running",
    "ended",
    "running",
    "ended",
  ]);
  assert.equal((await admin.get(`/leases/${lost.id}`)).body.terminationReason, "crashed");
});

// Guards against a container that is removed because its lease is very new.
test("a container whose lease is not known is left alone for its first minute", async (t) => {
  const { admin, root, engine, clock, db, tenant } = await startLeases(t);
  const { id } = await makeLease(admin);
  const container = engine.of(id);
  assert.ok(container);
  const { spec } = container;
  const identity = { ...spec.identity, leaseId: "019b76da-a800-7000-8000-00000000dead" };
  engine.containers.set("new", { ...container, id: "new", spec: { ...spec, name: "n", identity } });
  assert.deepEqual((await root.get("/admin/leases/drift")).body.items, []);
  clock.advance(59_000);
  assert.deepEqual((await root.get("/admin/leases/drift")).body.items, []);
  clock.advance(1_000);
  assert.equal((await root.get("/admin/leases/drift")).body.items.length, 1);
  assert.equal((await db.query(tenant, "select 1 from lease")).rows.length, 1);
});

// Guards against an engine that does not answer being taken for one without containers.
test("of an engine that does not answer nothing is concluded", async (t) => {
  const { admin, root, engine, deps, settle } = await startLeases(t);
  const { id } = await makeLease(admin);
  const { runtimeErrors } = await import("./runtimes/errors.ts");
  const list = engine.runtime.list;
  engine.runtime.list = async () => {
    throw runtimeErrors.unavailable();
  };
  const drift = (await root.get("/admin/leases/drift")).body;
  assert.deepEqual([drift.items, drift.unreachable], [[], ["docker"]]);
  await deps.engine.reconcile(new AbortController().signal);
  await settle();
  assert.equal((await admin.get(`/leases/${id}`)).body.state, "running");
  engine.runtime.list = list;
});

// Guards against a lease that the sweep has forgotten, so that it never ends.
test("a lease whose pointer was lost is found again", async (t) => {
  const { admin, deps, db, engine, pass } = await startLeases(t);
  const { id } = await makeLease(admin, { ttlSeconds: 60 });
  await deps.engine.settled();
  await db.inPlatform((tx) => tx.query("delete from leases.lease_due"));
  await pass(60);
  assert.equal((await admin.get(`/leases/${id}`)).body.state, "running");
  await deps.engine.reconcile(new AbortController().signal);
  await pass(0);
  assert.equal((await admin.get(`/leases/${id}`)).body.terminationReason, "expired");
  assert.equal(engine.containers.size, 0);
});

// Guards against containers of a deleted tenant that live on, unseen by everybody.
test("what a deleted tenant had is removed from the engine", async (t) => {
  const { test: app, admin, deps, engine, clock, tenant } = await startLeases(t);
  await makeLease(admin);
  await deps.engine.settled();
  const { db } = app.app.identity;
  await db.inPlatform((tx) =>
    tx.query("update platform.tenant set active = false, deleted_at = now() where id = $1", [
      tenant.id,
    ]),
  );
  clock.advance(61_000);
  await deps.engine.reconcile(new AbortController().signal);
  assert.equal(engine.containers.size, 0);
});

// Guards against leases that are listed for ever, and against money that is forgotten with them.
test("a lease is forgotten long after its end, and what it cost is not", async (t) => {
  const { admin, service, deps, clock, pass, test: app, db, tenant } = await startLeases(t);
  const { id } = await makeLease(admin, { ttlSeconds: 60 });
  await pass(60);
  const task = service.jobs?.tasks["leases.forget"];
  const forget = async () => {
    const context = { deps, signal: new AbortController().signal, log: app.app.log };
    await task?.run({}, context as never);
    return (await db.query(tenant, "select id from lease")).rows.map((row) => row.id);
  };
  clock.advance(167 * 3_600_000);
  assert.deepEqual(await forget(), [id]);
  clock.advance(2 * 3_600_000);
  assert.deepEqual(await forget(), []);
  assert.equal((await db.query(tenant, "select 1 from lease_usage")).rows.length, 1);
});
