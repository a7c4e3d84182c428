import assert from "node:assert/strict";
import { test } from "node:test";
import { listAudit } from "../audit/audit.ts";
import { startReceiver } from "../testing/events.ts";
import {
  addEndpoint,
  bodiesOf,
  deliveriesOf,
  numbersOf,
  tellOrder,
  webhookHouse,
} from "../testing/webhooks.ts";
import { type SenderOptions, sendDue } from "./webhook-sender.ts";
import { selectAttempts, selectDeliveries, selectEndpoint } from "./webhook-store.ts";
import * as webhooks from "./webhooks.ts";

// Guards against events lost to a receiver that is down, and against hammering it meanwhile.
test("a receiver that fails is tried again until it has got the event", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { db, clock } = house;
  const tenant = await house.tenant();
  const { id } = await addEndpoint(house, tenant, receiver.url);
  receiver.answer(500, {}, "out of\u0007 order");
  await tellOrder(house, tenant, 1);
  await house.settle();
  assert.equal(receiver.received.length, 1);
  for (const [pauseMs, attempts] of [
    [5_000, 2],
    [300_000, 3],
    [1_800_000, 4],
  ] as const) {
    clock.advance(pauseMs - 1);
    await house.settle();
    assert.equal(receiver.received.length, attempts - 1, "not before its time");
    clock.advance(1);
    await house.settle();
    assert.equal(receiver.received.length, attempts);
  }
  receiver.answer(204);
  clock.advance(7_200_000);
  await house.settle();
  const [delivery] = await deliveriesOf(house, tenant, id);
  assert.ok(delivery);
  assert.deepEqual([delivery.state, delivery.attempts], ["delivered", 5]);
  const log = await db.inTenant(tenant, (tx) => selectAttempts(tx, delivery.id));
  assert.deepEqual(
    log.map(({ status }) => status),
    [204, 500, 500, 500, 500],
  );
  assert.equal(log[1]?.responseExcerpt, "out of order");
  assert.equal(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size, 1);
  assert.equal(new Set(receiver.received.map(({ body }) => body)).size, 1);
});

// Guards against retries without end, and a Retry-After that nobody heeds.
test("after the last attempt a delivery has failed, and Retry-After puts one off", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { clock } = house;
  const tenant = await house.tenant();
  const { id } = await addEndpoint(house, tenant, receiver.url);
  receiver.answer(429, { "retry-after": "60" });
  await tellOrder(house, tenant, 1);
  await house.settle();
  clock.advance(59_999);
  await house.settle();
  assert.equal(receiver.received.length, 1);
  for (let tries = 0; tries < 20; tries += 1) {
    clock.advance(6 * 3_600_000);
    await house.settle();
  }
  const [delivery] = await deliveriesOf(house, tenant, id);
  assert.deepEqual([delivery?.state, delivery?.attempts], ["failed", 10]);
});

// Guards against a later event of a resource that overtakes one that is still being tried.
test("a resource's events wait for each other, other resources' do not", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { clock } = house;
  const tenant = await house.tenant();
  await addEndpoint(house, tenant, receiver.url);
  receiver.answer(500);
  await tellOrder(house, tenant, 1, "a");
  await house.settle();
  receiver.answer(200);
  await tellOrder(house, tenant, 2, "a");
  await tellOrder(house, tenant, 3, "b");
  await tellOrder(house, tenant, 4, "a");
  await house.settle();
  assert.deepEqual(numbersOf(receiver), [1, 3]);
  clock.advance(5_000);
  await house.settle();
  assert.deepEqual(numbersOf(receiver), [1, 3, 1, 2, 4]);
});

// Guards against lost or reordered deliveries when several processes send at once.
test("with three senders every event arrives once, in order per resource", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const tenants = [await house.tenant(), await house.tenant()];
  for (const tenant of tenants) await addEndpoint(house, tenant, receiver.url);
  let writing = true;
  const senders = Array.from({ length: 3 }, async () => {
    while (writing) await house.settle();
    await house.settle();
  });
  for (let n = 1; n <= 30; n += 1) {
    await Promise.all(tenants.map((tenant) => tellOrder(house, tenant, n, `${n % 3}`)));
  }
  writing = false;
  await Promise.all(senders);
  await house.settle();
  for (const tenant of tenants) {
    for (const id of ["0", "1", "2"]) {
      const got = bodiesOf(receiver)
        .filter(({ tenantId, resource }) => tenantId === tenant.id && resource.id === id)
        .map(({ data }) => data.n);
      const sent = Array.from({ length: 30 }, (_, at) => at + 1).filter((n) => `${n % 3}` === id);
      assert.deepEqual(got, sent);
    }
  }
});

// Guards against a sender that dies with a lease and takes its endpoint's events along.
test("what a dead sender had leased is sent by another when the lease is over", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { clock, sender } = house;
  const tenant = await house.tenant();
  await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 1);
  await house.relay();
  const dies: SenderOptions = {
    ...sender,
    secrets: { get: () => Promise.reject(new Error("killed")) },
  };
  await Promise.all(await sendDue(dies, 32, new AbortController().signal));
  await house.settle();
  assert.deepEqual(numbersOf(receiver), [], "leased");
  clock.advance(60_000);
  await house.settle();
  assert.deepEqual(numbersOf(receiver), [1]);
});

// Guards against a dead host that uses up the attempts of what waits for it, or is hammered.
test("while a host's breaker is open its deliveries wait, and fail no more", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { clock, policies } = house;
  const [tenant, other] = [await house.tenant(), await house.tenant()];
  const sick = await addEndpoint(house, tenant, receiver.url);
  receiver.answer(503);
  for (let n = 1; n <= 5; n += 1) await tellOrder(house, tenant, n, `${n}`);
  await house.settle();
  assert.equal(receiver.received.length, 5);
  assert.equal(policies.list()[0]?.state, "OPEN");
  const late = await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 6, "6");
  await house.settle();
  assert.equal(receiver.received.length, 5, "nobody asked");
  for (const { id } of [sick, late]) {
    const [delivery] = await deliveriesOf(house, tenant, id);
    assert.deepEqual([delivery?.state, delivery?.attempts], ["pending", 0]);
  }
  receiver.answer(200);
  await addEndpoint(house, other, receiver.url);
  await tellOrder(house, other, 100);
  await house.settle();
  assert.deepEqual(numbersOf(receiver).slice(5), [100], "another tenant's goes out meanwhile");
  clock.advance(30_000);
  await house.settle();
  const delivered = numbersOf(receiver).slice(6);
  assert.deepEqual(
    delivered.toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6, 6],
  );
  for (const { id } of [sick, late]) {
    const deliveries = await deliveriesOf(house, tenant, id);
    assert.ok(deliveries.every(({ state }) => state === "delivered"));
  }
});

// Guards against attempts that are counted as failures because the server was stopping.
test("a delivery that a stop interrupts is no attempt and is sent again", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const tenant = await house.tenant();
  const { id } = await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 1);
  await house.relay();
  await Promise.all(await sendDue(house.sender, 32, AbortSignal.abort()));
  const [before] = await deliveriesOf(house, tenant, id);
  assert.deepEqual([before?.state, before?.attempts], ["pending", 0]);
  await house.settle();
  const [after] = await deliveriesOf(house, tenant, id);
  assert.deepEqual([after?.state, after?.attempts], ["delivered", 1]);
});

// Guards against endpoints that are dead for ever and go on being called.
test("an endpoint that is gone, or fails for days, is switched off and says so", async (t) => {
  const [gone, failing] = [await startReceiver(t), await startReceiver(t)];
  const house = await webhookHouse(t, [gone, failing]);
  const { db, clock, deps } = house;
  const tenant = await house.tenant();
  const first = await addEndpoint(house, tenant, gone.url);
  gone.answer(410);
  await tellOrder(house, tenant, 1);
  await house.settle();
  const endpoint = (id: string) => db.inTenant(tenant, (tx) => selectEndpoint(tx, id));
  const off = await endpoint(first.id);
  assert.deepEqual([off?.active, off?.disabledReason, off?.version], [false, "gone", 2]);
  assert.ok((off?.updatedAt ?? "") > first.updatedAt, "a new version was made at a moment");
  const records = await db.inTenant(tenant, (tx) =>
    listAudit(tx, { action: "webhook.disable" }, { limit: 5 }),
  );
  assert.equal(records[0]?.actor.name, "webhooks");
  await tellOrder(house, tenant, 2);
  await house.settle();
  assert.equal(gone.received.length, 1, "not called any more");

  const second = await addEndpoint(house, tenant, failing.url);
  failing.answer(503);
  let n = 2;
  for (let day = 0; day < 6; day += 1) {
    await tellOrder(house, tenant, ++n, `${n}`);
    await house.settle();
    clock.advance(24 * 3_600_000);
    await house.settle();
  }
  const tired = await endpoint(second.id);
  assert.deepEqual([tired?.active, tired?.disabledReason], [false, "failing"]);
  failing.answer(200);
  await db.inTenant(tenant, async (tx) => {
    const found = await selectEndpoint(tx, second.id, true);
    assert.ok(found);
    await webhooks.updateEndpoint(tx, deps, found, { active: true });
  });
  const before = failing.received.length;
  await house.settle();
  assert.ok(failing.received.length > before, "what waited is sent");
  const again = await endpoint(second.id);
  assert.deepEqual([again?.active, again?.disabledReason, again?.failuresInRow], [true, null, 0]);
});

// Guards against a dead endpoint with many events that takes all the senders' time.
test("an endpoint that keeps failing is held back and then tried with one delivery", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { clock } = house;
  const tenant = await house.tenant();
  await addEndpoint(house, tenant, receiver.url);
  receiver.answer(500);
  for (let n = 1; n <= 40; n += 1) await tellOrder(house, tenant, n, `${n}`);
  await house.settle();
  const held = receiver.received.length;
  assert.ok(held < 40, `${held} of 40 were tried`);
  clock.advance(300_000);
  await house.settle();
  assert.equal(receiver.received.length, held + 1, "one probe");
  receiver.answer(200);
  clock.advance(300_000);
  await house.settle();
  const [, ...got] = new Set(numbersOf(receiver));
  assert.equal(got.length, 39);
});

// Guards against a slow receiver that holds up its neighbours.
test("a tenant can't take all the senders", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const [busy, quiet] = [await house.tenant(), await house.tenant()];
  for (let n = 0; n < 20; n += 1) await addEndpoint(house, busy, receiver.url);
  await assert.rejects(addEndpoint(house, busy, receiver.url), { code: "ERR_WEBHOOKS_TOO_MANY" });
  await addEndpoint(house, quiet, receiver.url);
  await tellOrder(house, busy, 1);
  await tellOrder(house, quiet, 2);
  await house.relay();
  const never = Promise.withResolvers<never>();
  const hangs = { ...house.sender, outgoing: { fetch: () => never.promise } };
  const serving = await sendDue(hangs, 100, new AbortController().signal);
  assert.equal(serving.length, 8 + 1);
  assert.equal((await sendDue(hangs, 100, new AbortController().signal)).length, 0);
  never.reject(new Error("over"));
  await Promise.all(serving);
});

// Guards against deadlocks between senders and people who replay, change and delete.
test("replays and changes go on while deliveries are under way", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { db, deps, clock } = house;
  const tenant = await house.tenant();
  const made = await Promise.all([1, 2, 3].map(() => addEndpoint(house, tenant, receiver.url)));
  for (let n = 1; n <= 20; n += 1) await tellOrder(house, tenant, n, `${n % 4}`);
  await house.relay();
  let working = true;
  const sending = Array.from({ length: 2 }, async () => {
    while (working) await house.settle();
  });
  const range = { from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z" };
  const change = (id: string, round: number) =>
    db.inTenant(tenant, async (tx) => {
      const found = await selectEndpoint(tx, id, true);
      assert.ok(found);
      if (round % 3 === 0) return void (await webhooks.replayRange(tx, deps, found, range));
      if (round % 3 === 1) return void (await webhooks.updateEndpoint(tx, deps, found, {}));
      const [delivery] = await selectDeliveries(tx, { endpointId: id, limit: 1 });
      if (delivery) await webhooks.replayDelivery(tx, deps, found, delivery.id);
    });
  for (let round = 0; round < 20; round += 1) {
    await Promise.all(made.map(({ id }, at) => change(id, round + at)));
    await tellOrder(house, tenant, 100 + round, `${round % 4}`);
    clock.advance(1_000);
  }
  for (const { id } of made) {
    await db.inTenant(tenant, async (tx) => {
      const found = await selectEndpoint(tx, id, true);
      assert.ok(found);
      await webhooks.deleteEndpoint(tx, deps, found);
    });
  }
  working = false;
  await Promise.all(sending);
  assert.deepEqual(house.logs, []);
});
