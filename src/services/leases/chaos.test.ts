import assert from "node:assert/strict";
import { test } from "node:test";
import { systemActor } from "#kernel/tenancy/types.ts";
import { type Leases, makeLease, startLeases } from "./fixture.ts";
import type { Client } from "#kernel/testing/client.ts";

async function runMonkey({ service, deps, test: { app } }: Leases): Promise<void> {
  const { signal } = new AbortController();
  const on = { actor: systemActor("leases.chaos"), requestId: "job:1" };
  const task = service.jobs?.tasks["leases.chaos"];
  await task?.run({}, { deps, signal, log: app.log, ...on } as never);
}

/** Sets the flag, for all or for one tenant. */
async function setFlag({ test: { app } }: Leases, on: boolean | null, tenantId?: string) {
  const { flags } = app.depsOf("leases");
  await app.identity.db.inPlatform((tx) => flags.set(tx, "chaos_monkey", on, tenantId));
}

const restartsOf = async (client: Client): Promise<number[]> =>
  (await client.get("/leases")).body.items.map(({ restarts }: { restarts: number }) => restarts);

// Guards against a monkey that ends what is anybody's who never asked for it.
test("leases of a tenant that has opted in are ended and restarted, nobody else's", async (t) => {
  const house = await startLeases(t);
  const { admin, stranger, events, tenant } = house;
  const [mine] = [await makeLease(admin), await makeLease(stranger)];
  await runMonkey(house);
  await setFlag(house, true);
  await runMonkey(house);
  assert.deepEqual([await restartsOf(admin), await restartsOf(stranger)], [[0], [0]]);
  await setFlag(house, true, tenant.id);
  await runMonkey(house);
  await house.pass(5);
  assert.deepEqual([await restartsOf(admin), await restartsOf(stranger)], [[1], [0]]);
  const lease = (await admin.get(`/leases/${mine.id}`)).body;
  assert.deepEqual([lease.state, lease.generation], ["running", 2]);
  const told = (await events()).filter(({ type }) => type === "lease.chaos_killed");
  assert.deepEqual(
    told.map(({ resource }) => resource.id),
    [mine.id],
  );
  const { items } = (await admin.get(`/leases/${mine.id}/history`)).body;
  const actions = items.map(({ action }: { action: string }) => action);
  for (const action of ["lease.chaos_killed", "lease.crash", "lease.restarted"]) {
    assert.ok(actions.includes(action), `${action} is in ${actions.join()}`);
  }
  await setFlag(house, false, tenant.id);
  await runMonkey(house);
  await house.pass(5);
  assert.deepEqual(await restartsOf(admin), [1]);
});

// Guards against a monkey that is the end of a lease which may be restarted, or of all at once.
test("one at a time, and what crashes too often ends as any other", async (t) => {
  const house = await startLeases(t);
  const { admin, tenant, engine } = house;
  await setFlag(house, true, tenant.id);
  await runMonkey(house);
  for (let count = 0; count < 4; count += 1) await makeLease(admin, { maxRestarts: 1 });
  const paused = await makeLease(admin);
  await admin.post(`/leases/${paused.id}/pause?wait=10`);
  for (let round = 1; round <= 3; round += 1) {
    await runMonkey(house);
    const ended = engine.calls.filter((call) => call.startsWith("stop ")).length;
    assert.equal(ended, round);
    await house.pass(5);
  }
  assert.equal((await admin.get(`/leases/${paused.id}`)).body.restarts, 0, "what runs, only");
  for (let round = 0; round < 20; round += 1) {
    await runMonkey(house);
    await house.pass(5);
  }
  const { items } = (await admin.get("/leases?live=false")).body;
  const reasons = items.map(
    ({ terminationReason }: { terminationReason: string }) => terminationReason,
  );
  assert.deepEqual(reasons, ["crashed", "crashed", "crashed", "crashed"]);
  assert.equal(engine.containers.size, 1);
});

// Guards against a monkey whose own failure keeps it from the next tenant, or ends its job.
test("an engine that does not answer is no failure of the job", async (t) => {
  const house = await startLeases(t);
  const { admin, tenant, engine } = house;
  await makeLease(admin);
  await setFlag(house, true, tenant.id);
  engine.meddle = (call) => {
    if (call === "stop") throw new Error("no answer");
  };
  await runMonkey(house);
  engine.meddle = () => {};
  assert.deepEqual(await restartsOf(admin), [0]);
});
