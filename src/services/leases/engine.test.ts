import assert from "node:assert/strict";
import { test } from "node:test";
import { createLease } from "./changes/create.ts";
import { releaseLease, restartLease, wishLease } from "./changes/leases.ts";
import { asked, openHouse, writable } from "./fixtures/drills.ts";
import { assertTruth } from "./fixtures/truth.ts";

// Guards against a process that was away for too long and then writes what it once began.
test("whoever wakes up too late writes nothing, and takes away nothing of anybody's", async (t) => {
  const house = await openHouse(t);
  const { lease } = await house.write<{ lease: { id: string } }>((tx) =>
    createLease(tx, house.deps, { ...writable, ttlSeconds: 3_000 }),
  );
  house.known.set(lease.id, { promisedMs: 0, isReleased: false });
  const sleeper = house.box("sleeper");
  sleeper.freeze();
  house.clock.advance(2_000);
  const asleep = sleeper.engine.sweep();
  while (!sleeper.met.has("leases.create.intent")) await new Promise((go) => setImmediate(go));
  house.clock.advance(20_000);
  const heir = house.box("heir");
  await house.settle(heir);
  const first = house.engine.of(lease.id)?.id;
  assert.equal((await house.read(lease.id)).state, "running");
  // The second generation is on its way when the first one's maker wakes up.
  house.engine.die(first as string, { exitCode: 1 });
  await heir.engine.observe(house.tenant, lease.id);
  assert.equal((await house.read(lease.id)).state, "starting");
  sleeper.thaw();
  await asleep;
  const meanwhile = await house.read(lease.id);
  assert.equal(meanwhile.generation, 2);
  await house.settle(heir);
  house.clock.advance(60_000);
  await house.settle(heir);
  await heir.engine.reconcile(new AbortController().signal);
  assert.equal(house.engine.of(lease.id)?.spec.identity.generation, 2);
  await assertTruth(house, { isAtRest: true });
});

// Guards against a container that comes into being after its lease was ended, and stays.
test("a container whose lease ended while it was being made is removed by its maker", async (t) => {
  const house = await openHouse(t);
  const { lease } = await house.write<{ lease: { id: string } }>((tx) =>
    createLease(tx, house.deps, writable),
  );
  house.known.set(lease.id, { promisedMs: 0, isReleased: true });
  const maker = house.box("maker");
  maker.freeze();
  house.clock.advance(2_000);
  const making = maker.engine.sweep();
  while (!maker.met.has("leases.create.intent")) await new Promise((go) => setImmediate(go));
  await house.write((tx) => releaseLease(tx, house.deps, asked(lease.id)));
  const other = house.box("other");
  await house.settle(other);
  assert.equal((await house.read(lease.id)).state, "ended");
  assert.equal(house.engine.containers.size, 0);
  maker.thaw();
  await making;
  assert.ok(
    house.engine.calls.some((call) => call.startsWith("start ")),
    "it was made",
  );
  assert.equal(house.engine.containers.size, 0, "and nobody had to find it");
  await assertTruth(house, { isAtRest: true });
});

// Guards against a lease that is stuck because its engine is, for ever and at its tenant's cost.
test("an engine that does not answer keeps no lease for longer than its deadline", async (t) => {
  const house = await openHouse(t);
  const id = await house.lease({ ...writable, ttlSeconds: 600 });
  const box = house.box("cut off");
  box.answers = () => false;
  await house.write((tx) => releaseLease(tx, house.deps, asked(id)));
  const { costMinor } = await house.read(id);
  for (let minutes = 0; minutes < 14; minutes += 1) {
    house.clock.advance(60_000);
    await house.settle(box);
  }
  const { rows } = await house.db.query(house.tenant, "select state, message from lease");
  assert.equal(rows[0]?.state, "stopping");
  house.clock.advance(120_000);
  await house.settle(box);
  const ended = await house.db.query(house.tenant, "select state, message from lease");
  assert.equal(ended.rows[0]?.state, "ended");
  assert.match(String(ended.rows[0]?.message), /will be when that is possible/);
  assert.equal(house.engine.containers.size, 1, "it is there as long as nobody can remove it");
  box.answers = () => true;
  await box.engine.reconcile(new AbortController().signal);
  assert.equal(house.engine.containers.size, 0);
  await assertTruth(house, { isAtRest: true });
  assert.equal(typeof costMinor, "number");
});

// Guards against a lease that can't be made and holds its quota, or costs anything.
test("what can't be made fails with the reason, is free, and gives its quota back", async (t) => {
  const house = await openHouse(t);
  const box = house.box("cut off");
  box.answers = (call) => call !== "create";
  const { lease } = await house.write<{ lease: { id: string } }>((tx) =>
    createLease(tx, house.deps, { ...writable, ttlSeconds: 600 }),
  );
  house.known.set(lease.id, { promisedMs: 0, isReleased: false });
  for (let minutes = 0; minutes < 6; minutes += 1) {
    await house.settle(box);
    house.clock.advance(60_000);
  }
  await house.settle(box);
  const failed = await house.read(lease.id);
  assert.deepEqual([failed.state, failed.terminationReason], ["failed", "failed"]);
  assert.equal(failed.costMinor, 0);
  assert.equal(failed.message, "The container runtime does not answer");
  await assertTruth(house, { isAtRest: true });
});

// Guards against a restart that nobody waits for: a program that crashes at once, again and again.
test("a crash is noticed, restarted with a pause, and in the end it is enough", async (t) => {
  const house = await openHouse(t);
  const id = await house.lease({ ...writable, maxRestarts: 2 });
  const box = house.box("one");
  const generations: unknown[] = [];
  for (let crash = 1; crash <= 3; crash += 1) {
    const container = house.engine.of(id);
    house.engine.die(container?.id as string, { exitCode: 137, outOfMemory: crash === 3 });
    await box.engine.observe(house.tenant, id);
    const crashed = await house.read(id);
    generations.push([crashed.state, crashed.generation, crashed.restarts]);
    await box.engine.sweep();
    if (crash < 3) assert.equal((await house.read(id)).state, "starting", "it waits a while");
    house.clock.advance(30_000);
    await house.settle(box);
  }
  assert.deepEqual(generations, [
    ["starting", 2, 1],
    ["starting", 3, 2],
    ["stopping", 3, 2],
  ]);
  const ended = await house.read(id);
  assert.deepEqual([ended.state, ended.terminationReason, ended.exitCode], ["ended", "oom", 137]);
  await assertTruth(house, { isAtRest: true });
});

// Guards against a last command that is run twice, or not at all, and a snapshot that is forgotten.
test("before its end a lease runs its last command and keeps what it has written", async (t) => {
  const house = await openHouse(t);
  const preStop = { command: ["sync"], timeoutSeconds: 5 };
  const id = await house.lease({ ...writable, snapshotOnEnd: true, preStop });
  const box = house.box("one");
  box.answers = (call) => call !== "stop";
  house.clock.advance(300_000);
  await box.engine.sweep();
  box.answers = () => true;
  await house.settle(box);
  assert.deepEqual(house.engine.execs, [["sync"]]);
  const ended = await house.read(id);
  assert.equal(ended.state, "ended");
  const kept = house.engine.snapshots.get(`snapshot:${ended.snapshotId}`);
  assert.equal(kept?.tenantId, house.tenant.id);
  await assertTruth(house, { isAtRest: true });
});

// Guards against a container that stands still while its lease is paid for, and the reverse.
test("a container that is not as its lease says is brought to what the lease says", async (t) => {
  const house = await openHouse(t);
  const id = await house.lease();
  const box = house.box("one");
  const container = house.engine.of(id);
  if (container) container.state = "paused";
  await box.engine.reconcile(new AbortController().signal);
  assert.equal(house.engine.of(id)?.state, "running");
  await house.write((tx) => wishLease(tx, house.deps, "pause", asked(id)));
  await house.settle(box);
  if (container) container.state = "running";
  await box.engine.reconcile(new AbortController().signal);
  assert.equal(house.engine.of(id)?.state, "paused");
  await assertTruth(house, { isAtRest: true });
});

// Guards against a restart in which the old container stays, or is paid for with the new one.
test("of a restarted lease there is only the newest container", async (t) => {
  const house = await openHouse(t);
  const id = await house.lease();
  for (let count = 0; count < 3; count += 1) {
    await house.write((tx) => restartLease(tx, house.deps, asked(id)));
    await house.settle(house.box("one"));
    assert.equal(house.engine.containers.size, 1);
  }
  assert.equal(house.engine.of(id)?.spec.identity.generation, 4);
  await assertTruth(house, { isAtRest: true });
});
