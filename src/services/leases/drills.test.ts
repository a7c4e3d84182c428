import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createLease } from "./changes/create.ts";
import { renewLease } from "./changes/leases.ts";
import { leasesFaultPoints } from "./engine/fault-points.ts";
import { asked, type House, openHouse, poolOf, scenarioOf, writable } from "./fixtures/drills.ts";
import type { Box } from "./fixtures/engines.ts";
import { noProcessRuntime, openProcessRuntime } from "./fixtures/process-runtime.ts";
import { assertTruth } from "./fixtures/truth.ts";
import { listWarm } from "./store/warm.ts";
import type { LeasesDeps } from "./types.ts";

/** Struck where a request is answered; the engine strikes all the others. */
const asking = ["leases.renew.commit", "leases.warm.claim"];
const points = Object.keys(leasesFaultPoints).filter((point) => !asking.includes(point));
/** Where a transaction is open: it ends with an error when it is kept waiting for too long. */
const committing = /\.(running|commit)$/;

interface Drill {
  readonly house: House;
  readonly box: Box;
  /** Done by then; `null`: it is about a pool. */
  readonly id: string | null;
  assertBecame(): Promise<void>;
}

/** Everything is as it has to be before a process comes to the point. */
async function begin(house: House, point: string): Promise<Drill> {
  const { prepare, ask, becomes } = scenarioOf(point);
  const id = await prepare(house);
  if (id !== null) await ask?.(house, id);
  house.clock.advance(2_000);
  return {
    house,
    id,
    box: house.box("struck"),
    async assertBecame() {
      if (id !== null) assert.equal((await house.read(id)).state, becomes);
      const ready = (await listWarm(house.db, house.tenant)).length;
      if (id === null) assert.equal(ready, becomes);
    },
  };
}

/** Another process takes over, when what the first one held is free, and comes to rest. */
async function takeOver(house: House, heir: Box): Promise<void> {
  await house.settle(heir);
  house.clock.advance(16_000);
  await house.settle(heir);
}

async function assertDone({ house, id, assertBecame }: Drill, heir: Box): Promise<void> {
  await assertBecame();
  await heir.engine.reconcile(new AbortController().signal);
  await house.settle(heir);
  await assertTruth(house, { isAtRest: true });
  const made = house.engine.calls.filter((call) => call.startsWith("create "));
  assert.ok(new Set(made).size <= (id === null ? 2 : 1), "none was made under another name");
}

for (const point of points) {
  // Guards against anything that is lost, left behind or paid for twice when a process is killed.
  test(`killed at ${point}, another process brings it to its end`, async (t) => {
    const drill = await begin(await openHouse(t), point);
    const { house, box } = drill;
    box.kills = (met) => met === point;
    await Promise.race([sweepAll(box), box.died]);
    assert.equal(box.killedAt, point, [...box.met].join(", "));
    await assertTruth(house, { isAtRest: false });
    const heir = house.box("heir");
    await takeOver(house, heir);
    await assertDone(drill, heir);
  });

  // Guards against a step that fails once and is never tried again, or is done twice.
  test(`told to fail at ${point}, the same process tries again`, async (t) => {
    const drill = await begin(await openHouse(t), point);
    const { house, box } = drill;
    let strikes = 2;
    box.fails = (met) => met === point && strikes-- > 0;
    await sweepAll(box);
    assert.ok(strikes < 2, `it never came there: ${[...box.met].join(", ")}`);
    await assertTruth(house, { isAtRest: false });
    for (let round = 0; round < 4; round += 1) await house.settle(box);
    assert.ok(strikes < 1, "it came there once more");
    await assertDone(drill, box);
  });

  if (committing.test(point)) continue;
  // Guards against a process that is slow, is taken for dead, and then goes on where it was.
  test(`kept waiting at ${point}, it finds that somebody else has done it`, async (t) => {
    const drill = await begin(await openHouse(t), point);
    const { house, box } = drill;
    box.stalls = (met) => met === point;
    const late = sweepAll(box);
    while (!box.isFrozen) await new Promise((go) => setImmediate(go));
    box.stalls = () => false;
    const heir = house.box("heir");
    await takeOver(house, heir);
    await drill.assertBecame();
    await assertTruth(house, { isAtRest: true });
    const before = await idsOf(house);
    box.thaw();
    await late;
    assert.deepEqual(await idsOf(house), before, "it takes away nothing of anybody's");
    await takeOver(house, heir);
    await assertDone(drill, heir);
  });
}

const idsOf = async ({ runtime }: House): Promise<string[]> =>
  (await runtime.list()).map(({ id }) => id).sort();

/** All that is due by now, and what becomes due by doing it. */
async function sweepAll(box: Box): Promise<void> {
  while ((await box.engine.sweep()) > 0) await box.engine.settled();
}

/** What `faults` of a request's process does at one point. */
const failingAt = (house: House, point: string): LeasesDeps => ({
  ...house.deps,
  faults: {
    ...house.deps.faults,
    at: async (met: string) => {
      if (met === point) throw new Error("killed");
    },
  },
});

// Guards against a renewal that was told to somebody and is not there.
test("a renewal that is not committed has not happened", async (t) => {
  const house = await openHouse(t);
  const id = await house.lease();
  const before = await house.read(id);
  const deps = failingAt(house, "leases.renew.commit");
  const renewal = { ...asked(id), ttlSeconds: 600 };
  await assert.rejects(
    house.write((tx) => renewLease(tx, deps, renewal)),
    /killed/,
  );
  assert.deepEqual(await house.read(id), before);
});

// Guards against a container that is lost, or leased twice, when its lease does not come to be.
test("a container whose lease is not committed is ready for the next one", async (t) => {
  const house = await openHouse(t);
  await poolOf(house, 1);
  await house.settle(house.box("filling"));
  const [ready] = await listWarm(house.db, house.tenant);
  const deps = failingAt(house, "leases.warm.claim");
  await assert.rejects(
    house.write((tx) => createLease(tx, deps, writable)),
    /killed/,
  );
  await assertTruth(house, { isAtRest: true });
  assert.deepEqual(await listWarm(house.db, house.tenant), [ready]);
  assert.equal(await house.lease(), ready?.id);
  await assertTruth(house, { isAtRest: true });
});

// Guards against a process that was slow to make a container, and removes it from its lease.
test("who wakes up late leaves a container alone that somebody has leased", async (t) => {
  const house = await openHouse(t);
  await poolOf(house, 1);
  house.clock.advance(2_000);
  const sleeper = house.box("sleeper");
  sleeper.stalls = (met) => met === "leases.warm.ready";
  const late = sweepAll(sleeper);
  while (!sleeper.isFrozen) await new Promise((go) => setImmediate(go));
  sleeper.stalls = () => false;
  const heir = house.box("heir");
  await takeOver(house, heir);
  const [ready] = await listWarm(house.db, house.tenant);
  const id = await house.lease();
  assert.equal(id, ready?.id);
  const { id: container } = house.engine.of(id) ?? {};
  sleeper.thaw();
  await late;
  assert.equal(house.engine.of(id)?.id, container);
  await house.settle(heir);
  await assertTruth(house, { isAtRest: true });
});

const missing = await noProcessRuntime();

/** Between two parts of everything that is done to a real container. */
const realPoints = [
  "leases.create.container",
  "leases.create.start",
  "leases.create.running",
  "leases.snapshot.image",
  "leases.snapshot.delete",
  "leases.expire.stop",
  "leases.delete.container",
  "leases.delete.commit",
  "leases.warm.container",
  "leases.warm.ready",
  "leases.warm.remove",
];

for (const point of realPoints) {
  // Guards against a real container that is left behind, though one in memory would not be.
  test(`killed at ${point} with real processes`, { skip: missing }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "plm-drill-"));
    const house = await openHouse(t, ({ installId }) => openProcessRuntime(folder, installId));
    t.after(async () => {
      for (const { id } of await house.runtime.list()) await house.runtime.remove(id);
      await house.runtime.close();
      rmSync(folder, { recursive: true, force: true });
    });
    const drill = await begin(house, point);
    const { box } = drill;
    box.kills = (met) => met === point;
    await Promise.race([sweepAll(box), box.died]);
    assert.equal(box.killedAt, point, [...box.met].join(", "));
    const heir = house.box("heir");
    await takeOver(house, heir);
    // Real processes may be slow, and what is tried again is not due before.
    await takeOver(house, heir);
    await assertDone(drill, heir);
  });
}
