import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { eventHouse, startReceiver } from "../testing/events.ts";
import { drill } from "../testing/faults.ts";
import {
  addEndpoint,
  bodiesOf,
  deliveriesOf,
  numbersOf,
  tellOrder,
  webhookHouse,
} from "../testing/webhooks.ts";
import { emit } from "./emit.ts";
import { createPublisher } from "./publisher.ts";
import { relayConnection, relayOnce } from "./relay.ts";
import { eventsAfter } from "./store.ts";
import type { EventEnvelope } from "./types.ts";
import { sendDue } from "./webhook-sender.ts";

const noStop = () => new AbortController().signal;

// Guards against a relay that fails half-way and loses its batch, or hands it out twice.
test("events.relay.commit: a batch that is not committed is handed out once, later", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const tenant = await house.tenant();
  const { id } = await addEndpoint(house, tenant, receiver.url);
  for (let n = 1; n <= 3; n += 1) await tellOrder(house, tenant, n);
  const { client } = await relayConnection(house.appUrl);
  t.after(() => client.end());
  const faults = drill(house, "events.relay.commit");
  const failing = relayOnce(client, { ...house, toBroker: false, faults });
  await assert.rejects(failing, { code: "ERR_FAULTS_INJECTED" });
  assert.deepEqual(await eventsAfter(house.db, tenant.id, 0, 10), [], "nothing was handed out");
  assert.deepEqual(await deliveriesOf(house, tenant, id), []);
  await house.settle();
  assert.deepEqual(numbersOf(receiver), [1, 2, 3]);
  assert.equal((await deliveriesOf(house, tenant, id)).length, 3);
});

// Guards against an event that the broker has and we forget, or send under another id.
test("events.publish.confirmed: an event comes again, under the same id", async (t) => {
  const house = await eventHouse(t);
  const tenant = await house.tenant();
  const got: EventEnvelope[] = [];
  const broker = {
    publish: async (event: EventEnvelope) => void got.push(event),
    assertReady() {},
    async close() {},
  };
  for (const id of ["1", "2"]) {
    await house.db.inTenant(tenant, async (tx) => {
      emit(tx, { type: "shop.updated", resource: { type: "shop", id }, data: { id } });
    });
  }
  await house.relay(true);
  const faults = drill(house, "events.publish.confirmed");
  const publish = createPublisher({ ...house, broker, faults });
  await assert.rejects(publish(noStop()), { code: "ERR_FAULTS_INJECTED" });
  await publish(noStop());
  assert.equal(got.length, 4);
  assert.equal(new Set(got.map(({ id }) => id)).size, 2);
  assert.equal(await publish(noStop()), false);
  assert.equal(got.length, 4, "and no more once it is noted");
});

// Guards against a delivery that is given up, or out of order, for one bad moment.
test("webhooks.send: what can't go out is sent again, in order", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const tenant = await house.tenant();
  const { id } = await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 1);
  await tellOrder(house, tenant, 2);
  await house.relay();
  const faults = drill(house, "webhooks.send");
  const round = async () => Promise.all(await sendDue({ ...house.sender, faults }, 32, noStop()));
  await round();
  assert.equal(faults.struck(), 1);
  assert.deepEqual(numbersOf(receiver), [], "the second waits for the first");
  const failed = (await deliveriesOf(house, tenant, id)).at(-1);
  assert.match(failed?.lastError ?? "", /ERR_FAULTS_INJECTED/);
  house.clock.advance(5_000);
  await house.settle();
  assert.deepEqual(numbersOf(receiver), [1, 2]);
});

// Guards against a changed body that a receiver takes for ours.
test("webhooks.send: a body that was corrupted on the way fails its signature", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const tenant = await house.tenant();
  const { secret } = await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 1);
  await tellOrder(house, tenant, 2, "2");
  await house.relay();
  const faults = drill(house, "webhooks.send", { kind: "corruption" });
  await Promise.all(await sendDue({ ...house.sender, faults }, 32, noStop()));
  const isGood = ({ headers, body }: (typeof receiver.received)[number]) => {
    const key = Buffer.from(secret.replace("whsec_", ""), "base64");
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const expected = createHmac("sha256", key).update(signed).digest("base64");
    return headers["webhook-signature"] === `v1,${expected}`;
  };
  assert.deepEqual(new Set(receiver.received.map(isGood)), new Set([false, true]));
});

// Guards against an answer that is lost on our side and takes the event with it.
test("webhooks.settle: what a receiver has taken comes again under the same id", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const tenant = await house.tenant();
  const { id } = await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 1);
  await house.relay();
  const faults = drill(house, "webhooks.settle");
  await Promise.all(await sendDue({ ...house.sender, faults }, 32, noStop()));
  assert.deepEqual(numbersOf(receiver), [1]);
  assert.equal((await deliveriesOf(house, tenant, id))[0]?.state, "pending");
  house.clock.advance(60_000);
  await house.settle();
  assert.deepEqual(numbersOf(receiver), [1, 1]);
  assert.equal(new Set(bodiesOf(receiver).map((body) => body.id)).size, 1);
  assert.equal((await deliveriesOf(house, tenant, id))[0]?.state, "delivered");
});
