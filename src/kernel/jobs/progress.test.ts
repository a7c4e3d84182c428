import assert from "node:assert/strict";
import { test } from "node:test";
import { eventsAfter } from "../events/store.ts";
import { eventHouse } from "../testing/events.ts";
import { createProgress, readProgress } from "./progress.ts";

// Guards against long work that floods the database and every open console with its progress.
test("progress is a field written at most every second and told at most every three", async (t) => {
  const house = await eventHouse(t);
  const { db, clock } = house;
  const [tenant, other] = [await house.tenant(), await house.tenant()];
  const resource = { type: "run", id: "1" };
  const progress = createProgress({ db, tenant, resource, ownerId: "u1", clock });
  const read = () => db.inTenant(tenant, (tx) => readProgress(tx, resource));
  assert.equal(await read(), null);
  await progress.report(1, null, "looking");
  assert.deepEqual(
    { ...(await read()), updatedAt: "" },
    { done: 1, total: null, message: "looking", updatedAt: "" },
  );
  await progress.report(2, 100);
  assert.equal((await read())?.done, 1, "too soon");
  for (let done = 3; done <= 50; done += 1) {
    clock.advance(100);
    await progress.report(done, 100);
  }
  assert.equal((await read())?.done, 42);
  await progress.finish(100, 100, "done".repeat(200));
  assert.deepEqual([(await read())?.done, (await read())?.message.length], [100, 500]);
  await house.relay();
  const events = await eventsAfter(db, tenant.id, 0, 100);
  assert.deepEqual(
    events.map(({ data }) => data.done),
    [1, 32, 100],
  );
  assert.deepEqual([events[0]?.type, events[0]?.ownerId], ["job.progress", "u1"]);
  assert.equal(await db.inTenant(other, (tx) => readProgress(tx, resource)), null);
});
