import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { listAudit } from "../audit/audit.ts";
import { Problem } from "../errors.ts";
import { createOutgoing } from "../resilience/outgoing.ts";
import { type Receiver, startReceiver } from "../testing/events.ts";
import {
  addEndpoint,
  bodiesOf,
  deliveriesOf,
  numbersOf,
  tellOrder,
  webhookHouse,
} from "../testing/webhooks.ts";
import { emit } from "./emit.ts";
import { selectEndpoint } from "./webhook-store.ts";
import * as webhooks from "./webhooks.ts";

/** As a receiver would check it, from the specification and not with our own code. */
function signaturesOf(secret: string, { headers, body }: Receiver["received"][number]): string {
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  return `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
}

// Guards against deliveries that a receiver can't trust, and against those nobody asked for.
test("an endpoint gets the events it asked for, signed as Standard Webhooks says", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const [tenant, other] = [await house.tenant(), await house.tenant()];
  const { id, secret } = await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 1);
  await tellOrder(house, other, 2);
  await house.db.inTenant(tenant, async (tx) => {
    emit(tx, { type: "shop.created", resource: { type: "shop", id: "1" }, data: {} });
    emit(tx, { type: "orders.exported", resource: { type: "shop", id: "1" }, data: {} });
  });
  await house.settle();
  assert.equal(receiver.received.length, 1);
  const [request] = receiver.received;
  assert.ok(request);
  const { id: eventId, occurredAt, ...body } = JSON.parse(request.body);
  assert.deepEqual(body, {
    type: "order.updated",
    tenantId: tenant.id,
    resource: { type: "order", id: "1" },
    data: { n: 1 },
    position: 1,
  });
  assert.match(occurredAt, /Z$/);
  assert.equal(request.headers["content-type"], "application/json");
  assert.equal(request.headers["webhook-id"], eventId);
  assert.equal(request.headers["webhook-timestamp"], String(house.clock.nowMs() / 1_000));
  assert.equal(request.headers["webhook-signature"], signaturesOf(secret, request));
  const [delivery, ...others] = await deliveriesOf(house, tenant, id);
  assert.deepEqual(others, []);
  assert.deepEqual(
    [delivery?.state, delivery?.attempts, delivery?.lastStatus, delivery?.nextAttemptAt],
    ["delivered", 1, 200, null],
  );
});

// Guards against a secret that can be read later, in the list, the log or the audit.
test("the secret is shown once, and rotation keeps the old one for the overlap", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { db, deps, clock } = house;
  const tenant = await house.tenant();
  const made = await addEndpoint(house, tenant, receiver.url);
  assert.match(made.secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
  const found = await db.inTenant(tenant, (tx) => selectEndpoint(tx, made.id));
  assert.ok(found);
  assert.equal("secret" in found, false);
  const rotated = await db.inTenant(tenant, (tx) => webhooks.rotateSecret(tx, deps, found, 2));
  assert.notEqual(rotated.secret, made.secret);
  assert.equal(rotated.secretLastFour, rotated.secret.slice(-4));
  await tellOrder(house, tenant, 1);
  await house.settle();
  clock.advance(2 * 3_600_000);
  await tellOrder(house, tenant, 2);
  await house.settle();
  const [during, after] = receiver.received;
  assert.ok(during && after);
  const both = `${signaturesOf(rotated.secret, during)} ${signaturesOf(made.secret, during)}`;
  assert.equal(during.headers["webhook-signature"], both);
  assert.equal(after.headers["webhook-signature"], signaturesOf(rotated.secret, after));
  const records = await db.inTenant(tenant, (tx) => listAudit(tx, {}, { limit: 10 }));
  assert.equal(JSON.stringify(records).includes("whsec_"), false);
  await assert.rejects(
    db.inTenant(tenant, (tx) => webhooks.rotateSecret(tx, deps, found, 1_000)),
    { code: "ERR_WEBHOOKS_BAD_OVERLAP" },
  );
});

// Guards against requests into the operator's own network.
test("a private address is refused when the endpoint is made and when it is called", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, []);
  const tenant = await house.tenant();
  const outgoing = createOutgoing({ ...house, allowPrivateHosts: [] });
  t.after(() => outgoing.close());
  await assert.rejects(
    webhooks.assertEndpointUrl(outgoing, receiver.url),
    (error) => error instanceof Problem && error.code === "ERR_OUTGOING_PRIVATE_ADDRESS",
  );
  const { id } = await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 1);
  await house.settle();
  assert.equal(receiver.received.length, 0);
  const [delivery] = await deliveriesOf(house, tenant, id);
  assert.deepEqual([delivery?.state, delivery?.attempts], ["pending", 1]);
  assert.match(delivery?.lastError ?? "", /ERR_OUTGOING_PRIVATE_ADDRESS/);
});

// Guards against a webhook that can't be set up before its receiver, or while names can't be looked
// up.
test("a name that leads nowhere yet is no reason to refuse an endpoint", async (t) => {
  const house = await webhookHouse(t, []);
  const resolve = async (host: string) => {
    if (host === "inside.example") return ["10.0.0.1"];
    throw new Error("queryA ESERVFAIL");
  };
  const outgoing = createOutgoing({ ...house, allowPrivateHosts: [], resolve });
  t.after(() => outgoing.close());
  await webhooks.assertEndpointUrl(outgoing, "https://later.example/hook");
  await assert.rejects(
    webhooks.assertEndpointUrl(outgoing, "https://inside.example/hook"),
    (error) =>
      error instanceof Problem &&
      error.code === "ERR_OUTGOING_PRIVATE_ADDRESS" &&
      error.options.errors?.[0]?.path === "/url",
  );
});

// Guards against a redirect that leads signed events somewhere else.
test("a redirect is a failure and is not followed", async (t) => {
  const [receiver, elsewhere] = [await startReceiver(t), await startReceiver(t)];
  const house = await webhookHouse(t, [receiver, elsewhere]);
  const tenant = await house.tenant();
  await addEndpoint(house, tenant, receiver.url);
  receiver.answer(307, { location: elsewhere.url });
  await tellOrder(house, tenant, 1);
  await house.settle();
  assert.equal(receiver.received.length, 1);
  assert.equal(elsewhere.received.length, 0);
});

// Guards against a new receiver that is told what happened before anybody knew of it.
test("an endpoint made while events wait gets only what happens from then on", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const tenant = await house.tenant();
  await tellOrder(house, tenant, 1);
  await tellOrder(house, tenant, 2, "2");
  const { id } = await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 3);
  await house.settle();
  assert.deepEqual(numbersOf(receiver), [3]);
  assert.equal((await deliveriesOf(house, tenant, id)).length, 1);
});

// Guards against lost history: what was delivered, or missed, can be had again.
test("one delivery and a stretch of time can be replayed, and a ping sent", async (t) => {
  const [receiver, bystander] = [await startReceiver(t), await startReceiver(t)];
  const house = await webhookHouse(t, [receiver, bystander]);
  const { db, deps } = house;
  const tenant = await house.tenant();
  for (let n = 1; n <= 3; n += 1) await tellOrder(house, tenant, n, `${n}`);
  await house.settle();
  const late = await addEndpoint(house, tenant, receiver.url);
  await addEndpoint(house, tenant, bystander.url, ["*"]);
  await tellOrder(house, tenant, 4, "4");
  await house.settle();
  assert.deepEqual(numbersOf(receiver), [4]);
  await db.inTenant(tenant, async (tx) => {
    const found = await selectEndpoint(tx, late.id, true);
    assert.ok(found);
    const range = { from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z" };
    const replayed = await webhooks.replayRange(tx, deps, found, range);
    assert.deepEqual([replayed.replayed, replayed.more], [4, false]);
  });
  await house.settle();
  const again = numbersOf(receiver).toSorted((a, b) => a - b);
  assert.deepEqual(again, [1, 2, 3, 4, 4]);
  const [newest] = await deliveriesOf(house, tenant, late.id);
  assert.ok(newest);
  const replay = (deliveryId: string) =>
    db.inTenant(tenant, async (tx) => {
      const found = await selectEndpoint(tx, late.id, true);
      assert.ok(found);
      return webhooks.replayDelivery(tx, deps, found, deliveryId);
    });
  assert.equal((await replay(newest.id))?.state, "pending");
  assert.equal(await replay(late.id), null, "no such delivery");
  await house.settle();
  assert.deepEqual(numbersOf(receiver).slice(-1), [4]);
  await db.inTenant(tenant, async (tx) => {
    const found = await selectEndpoint(tx, late.id);
    assert.ok(found);
    webhooks.pingEndpoint(tx, found);
  });
  await house.settle();
  assert.equal(bodiesOf(receiver).at(-1)?.type, "webhook.ping");
  assert.deepEqual(numbersOf(bystander), [4], "a ping is for one endpoint alone");
});

// Guards against endpoints that ask for what can't be, and leftovers of deleted ones.
test("bad event types are refused, and a deleted endpoint gets nothing more", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { db, deps } = house;
  const tenant = await house.tenant();
  for (const type of [
    "",
    "order",
    "Order.created",
    "order.**",
    "*.created",
    "a".repeat(99) + ".b.c",
    "order.craeted",
    "orders.*",
  ]) {
    await assert.rejects(addEndpoint(house, tenant, receiver.url, [type]), {
      code: "ERR_EVENTS_UNKNOWN_TYPE",
    });
  }
  const { id } = await addEndpoint(house, tenant, receiver.url);
  await tellOrder(house, tenant, 1);
  await house.relay();
  await db.inTenant(tenant, async (tx) => {
    const found = await selectEndpoint(tx, id, true);
    assert.ok(found);
    await webhooks.deleteEndpoint(tx, deps, found);
  });
  await tellOrder(house, tenant, 2);
  await house.settle();
  assert.equal(receiver.received.length, 0);
  const left = await db.inTenant(tenant, (tx) =>
    deps.secrets.get(tx, webhooks.secretNames(id).current),
  );
  assert.equal(left, null);
});
