import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { createTenants } from "#kernel/tenancy/tenants.ts";
import { createEngine } from "./engine/engine.ts";
import { createFleet } from "./engine/fleet.ts";
import { fakeEngine, makeLease, makeWritable, startLeases } from "./fixture.ts";
import { runtimeErrors } from "./runtimes/errors.ts";
import type { ContainerSpec } from "./runtimes/types.ts";

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

// Guards against containers on a tenant's own engine that nobody finds after a restart, because
// nobody leases from there any more.
test("a tenant's own engine is looked at though nothing of the tenant lives", async (t) => {
  const house = await startLeases(t);
  const { admin, deps, clock, limit } = house;
  await limit({ "leases.docker_host": "tcp://engine.ships.test:2375" });
  const { id } = await makeLease(admin);
  await deps.engine.settled();
  const container = house.engine.of(id)?.spec as ContainerSpec;
  await admin.delete(`/leases/${id}`);
  await house.settle();
  // A maker that was killed has left it.
  await house.engine.runtime.create(container, AbortSignal.timeout(1_000));
  clock.advance(61_000);
  const places: string[] = [];
  const open = (_name: string, place: string) => {
    places.push(place);
    return place === "" ? fakeEngine(() => clock).runtime : house.engine.runtime;
  };
  const fleet = createFleet({ open, leases: deps.leases, env: "test", clock });
  const restarted = createEngine({
    ...deps,
    fleet,
    tenants: createTenants({ db: deps.db, clock }),
    publicUrl: deps.config.publicUrl,
  });
  t.after(() => restarted.stop());
  await restarted.reconcile(new AbortController().signal);
  assert.deepEqual(places.sort(), ["", "tcp://engine.ships.test:2375"]);
  assert.equal(house.engine.containers.size, 0);
});

// Guards against what is kept of containers for nobody: a disk that fills, and a tenant's files
// that outlive it.
test("an image of no snapshot is removed, and one of a snapshot is not", async (t) => {
  const { test: app, admin, deps, engine, clock, tenant, settle } = await startLeases(t);
  await makeWritable(admin);
  const { id } = await makeLease(admin, {
    template: "writable",
    image: undefined,
    preset: undefined,
  });
  const take = async () => (await admin.post(`/leases/${id}/snapshots?wait=10`, {})).body;
  const ready = await take();
  assert.equal(ready.state, "ready");
  const signal = new AbortController().signal;
  // The engine has done it, and says that it can't: as after a crash, nobody knows of the image.
  engine.meddle = (call, when) => {
    if (call === "snapshot" && when === "after") throw runtimeErrors.refused();
  };
  const failed = await take();
  assert.equal(failed.state, "failed");
  assert.equal(engine.snapshots.size, 2);
  const { items } = await deps.engine.drift(signal);
  assert.deepEqual(
    items.map(({ kind, image }) => [kind, image]),
    [["orphan_image", `snapshot:${failed.id}`]],
  );
  // One that is being taken is nobody's to remove.
  const gate = Promise.withResolvers<void>();
  engine.meddle = (call, when) =>
    call === "snapshot" && when === "after" ? gate.promise : undefined;
  const pending = (await admin.post(`/leases/${id}/snapshots`, {})).body;
  await eventually(async () => engine.snapshots.size === 3, "the engine has taken it");
  await deps.engine.reconcile(signal);
  const kept = [ready.id, pending.id].map((one) => `snapshot:${one}`);
  assert.deepEqual([...engine.snapshots.keys()].sort(), kept.sort());
  gate.resolve();
  await settle();
  await deps.engine.reconcile(signal);
  assert.equal((await admin.get(`/snapshots/${pending.id}`)).body.state, "ready");
  assert.equal(engine.snapshots.size, 2);
  await app.app.identity.db.inPlatform((tx) =>
    tx.query("update platform.tenant set active = false, deleted_at = now() where id = $1", [
      tenant.id,
    ]),
  );
  clock.advance(61_000);
  await deps.engine.reconcile(signal);
  assert.equal(engine.snapshots.size, 0);
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
