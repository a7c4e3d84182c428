import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLease, makeWritable, refusal, startLeases } from "./fixture.ts";
import { runtimeErrors } from "./runtimes/errors.ts";

const writable = { template: "writable", image: undefined, preset: undefined };

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against a snapshot that keeps secrets, and one that can't be made a lease of again.
  test(`a ${isolation} tenant keeps a container and leases it again`, async (t) => {
    const { admin, engine, settle, events } = await startLeases(t, { isolation });
    await makeWritable(admin, { ports: [8_080], idleTtlSeconds: 300 });
    const lease = await makeLease(admin, { ...writable, env: { TOKEN: "s3cr3t" } });
    const kept = await admin.post(`/leases/${lease.id}/snapshots?wait=10`, { name: "Before" });
    assert.equal(kept.status, 202, kept.text);
    assert.equal(kept.body.state, "ready");
    assert.equal(kept.headers["location"], `/api/v1/snapshots/${kept.body.id}`);
    const image = engine.snapshots.get(`snapshot:${kept.body.id}`);
    assert.deepEqual(image?.scrubEnv, ["TOKEN"]);
    await admin.delete(`/leases/${lease.id}`);
    await settle();
    const body = { name: "Again", ttlSeconds: 120 };
    const again = await admin.post(`/snapshots/${kept.body.id}/restore?wait=10`, body);
    assert.equal(again.body.state, "running", again.text);
    assert.equal(again.body.restoredFrom, kept.body.id);
    assert.deepEqual([again.body.template, again.body.idleTtlSeconds], ["writable", 300]);
    assert.deepEqual(again.body.env, {}, "values were not kept, so nothing is set");
    const container = engine.of(again.body.id);
    assert.equal(container?.spec.image, `snapshot:${kept.body.id}`);
    assert.deepEqual([container?.spec.env, container?.spec.writable], [{}, true]);
    const inUse = await admin.delete(`/snapshots/${kept.body.id}`);
    assert.equal(refusal(inUse), "409 ERR_LEASES_SNAPSHOT_IN_USE");
    await admin.delete(`/leases/${again.body.id}`);
    await settle();
    assert.equal((await admin.delete(`/snapshots/${kept.body.id}`)).status, 204);
    await settle();
    assert.equal(engine.snapshots.size, 0);
    assert.equal((await admin.get(`/snapshots/${kept.body.id}`)).status, 404);
    assert.equal((await admin.get("/leases/quota")).body.tenant.snapshots.used, 0);
    const told = (await events())
      .map(({ type }) => type)
      .filter((type) => type.startsWith("snapshot"));
    assert.deepEqual(told, ["snapshot.created", "snapshot.ready", "snapshot.deleted"]);
  });
}

// Guards against a snapshot that is lost because its lease ended a moment too early.
test("an ending lease waits for the snapshot that is being taken of it", async (t) => {
  const { admin, engine, settle, pass } = await startLeases(t);
  await makeWritable(admin);
  const { id } = await makeLease(admin, writable);
  let letGo: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  engine.meddle = (call, when) => (call === "snapshot" && when === "before" ? gate : undefined);
  const asked = await admin.post(`/leases/${id}/snapshots`);
  const early = await admin.delete(`/snapshots/${asked.body.id}`);
  assert.equal(refusal(early), "409 ERR_LEASES_SNAPSHOT_NOT_READY");
  const unready = await admin.post(`/snapshots/${asked.body.id}/restore`);
  assert.equal(refusal(unready), "409 ERR_LEASES_SNAPSHOT_NOT_READY");
  await admin.delete(`/leases/${id}`);
  for (let turn = 0; turn < 20; turn += 1) await new Promise((go) => setImmediate(go));
  assert.equal((await admin.get(`/leases/${id}`)).body.state, "stopping");
  assert.equal(engine.containers.size, 1);
  letGo();
  await settle();
  await pass(1);
  assert.equal((await admin.get(`/snapshots/${asked.body.id}`)).body.state, "ready");
  assert.equal((await admin.get(`/leases/${id}`)).body.state, "ended");
});

// Guards against a snapshot of another container than the one that was there when it was asked for.
test("a restart waits for the snapshot that is being taken of the old container", async (t) => {
  const { admin, engine, settle, pass } = await startLeases(t);
  await makeWritable(admin);
  const { id } = await makeLease(admin, writable);
  const old = engine.of(id)?.id;
  const gate = Promise.withResolvers<void>();
  engine.meddle = (call, when) =>
    call === "snapshot" && when === "before" ? gate.promise : undefined;
  const asked = await admin.post(`/leases/${id}/snapshots`);
  assert.equal((await admin.post(`/leases/${id}/restart`)).status, 202);
  for (let turn = 0; turn < 50; turn += 1) await new Promise((go) => setImmediate(go));
  assert.equal((await admin.get(`/leases/${id}`)).body.state, "starting");
  assert.deepEqual([...engine.containers.keys()], [old], "it is kept until that is done");
  gate.resolve();
  await settle();
  await pass(1);
  assert.equal((await admin.get(`/snapshots/${asked.body.id}`)).body.state, "ready");
  assert.ok(engine.calls.includes(`snapshot ${old}`), engine.calls.join(", "));
  const { body } = await admin.get(`/leases/${id}`);
  assert.deepEqual([body.state, body.generation], ["running", 2]);
});

// Guards against a failed snapshot that holds its quota, or that can't be got rid of.
test("a snapshot that can't be taken says why and gives its quota back", async (t) => {
  const { admin, engine, settle } = await startLeases(t, { env: { LEASES_QUOTA_SNAPSHOTS: "1" } });
  await makeWritable(admin);
  const { id } = await makeLease(admin, writable);
  engine.meddle = (call, when) => {
    if (call === "snapshot" && when === "before") {
      throw runtimeErrors.disk_full({ detail: "The disk is full." });
    }
  };
  const failed = await admin.post(`/leases/${id}/snapshots?wait=10`);
  assert.deepEqual([failed.body.state, failed.body.message], ["failed", "The disk is full."]);
  engine.meddle = () => {};
  const good = await admin.post(`/leases/${id}/snapshots?wait=10`);
  assert.equal(good.body.state, "ready");
  const full = await admin.post(`/leases/${id}/snapshots`);
  assert.deepEqual([full.body.code, full.body.limit], ["ERR_LEASES_QUOTA_EXCEEDED", "snapshots"]);
  assert.equal((await admin.delete(`/snapshots/${failed.body.id}`)).status, 204);
  await settle();
  const left = (await admin.get("/snapshots")).body.items;
  assert.deepEqual(
    left.map((one: { id: string }) => one.id),
    [good.body.id],
  );
  assert.equal((await admin.get("/leases/quota")).body.tenant.snapshots.used, 1);
});

// Guards against a last snapshot that keeps a lease from ending because there is no room for it.
test("without quota for its last snapshot a lease ends all the same", async (t) => {
  const { admin, engine, pass } = await startLeases(t, { env: { LEASES_QUOTA_SNAPSHOTS: "0" } });
  await makeWritable(admin);
  const { id } = await makeLease(admin, { ...writable, snapshotOnEnd: true, ttlSeconds: 60 });
  await pass(60);
  const { body } = await admin.get(`/leases/${id}`);
  assert.deepEqual([body.state, body.snapshotId], ["ended", null]);
  assert.equal(engine.containers.size, 0);
});

// Guards against what ran out of memory being gone with its container.
test("out of memory too, what was written is kept", async (t) => {
  const { admin, engine, deps, tenant, settle } = await startLeases(t);
  await makeWritable(admin, { snapshotOnEnd: true, maxRestarts: 0 });
  const { id } = await makeLease(admin, writable);
  engine.die(engine.of(id)?.id as string, { exitCode: 137, outOfMemory: true });
  await deps.engine.observe(tenant, id);
  await settle();
  const { body } = await admin.get(`/leases/${id}`);
  assert.deepEqual([body.state, body.terminationReason], ["ended", "oom"]);
  const kept = await admin.get(`/snapshots/${body.snapshotId}`);
  assert.deepEqual([kept.body.state, kept.body.automatic], ["ready", true]);
});
