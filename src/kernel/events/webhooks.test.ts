import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { type TestContext, test } from "node:test";
import { listAudit } from "../audit/audit.ts";
import { Problem } from "../errors.ts";
import { createOutgoing } from "../resilience/outgoing.ts";
import { createSealer } from "../secrets/seal.ts";
import { createSecrets } from "../secrets/secrets.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { type EventHouse, eventHouse, type Receiver, startReceiver } from "../testing/events.ts";
import { emit } from "./emit.ts";
import { type SenderOptions, sendDue } from "./webhook-sender.ts";
import { selectAttempts, selectDeliveries, selectEndpoint } from "./webhook-store.ts";
import * as webhooks from "./webhooks.ts";

interface WebhookHouse extends EventHouse {
  sender: SenderOptions;
  deps: webhooks.WebhookDeps;
  /** Hands out and sends everything that is due now. */
  settle(): Promise<void>;
}

async function webhookHouse(t: TestContext, allowed: readonly Receiver[]): Promise<WebhookHouse> {
  const house = await eventHouse(t);
  const { clock, random, log, metrics } = house;
  const outgoing = createOutgoing({
    allowPrivateHosts: allowed.map(({ host }) => host),
    clock,
    log,
    metrics,
    ownAddresses: () => new Set(),
  });
  t.after(() => outgoing.close());
  const secrets = createSecrets(createSealer(random.bytes(32), [], random));
  const sender = { ...house, outgoing, secrets };
  return {
    ...house,
    sender,
    deps: { clock, random, secrets },
    async settle() {
      for (;;) {
        const handedOut = await house.relay();
        const serving = await sendDue(sender, 32, new AbortController().signal);
        await Promise.all(serving);
        if (handedOut === 0 && serving.length === 0) return;
      }
    },
  };
}

const input = (url: string, events = ["order.*"]) => ({
  url,
  events,
  description: "",
  active: true,
});

function create({ db, deps }: WebhookHouse, tenant: TenantRef, url: string, events?: string[]) {
  return db.inTenant(tenant, (tx) => webhooks.createEndpoint(tx, deps, input(url, events)));
}

function order({ db }: WebhookHouse, tenant: TenantRef, n: number, id = "1"): Promise<void> {
  return db.inTenant(tenant, async (tx) => {
    emit(tx, { type: "order.updated", resource: { type: "order", id }, data: { n } });
  });
}

function deliveries({ db }: WebhookHouse, tenant: TenantRef, endpointId: string) {
  return db.inTenant(tenant, (tx) => selectDeliveries(tx, { endpointId, limit: 100 }));
}

const bodies = ({ received }: Receiver) => received.map(({ body }) => JSON.parse(body));
const numbers = (receiver: Receiver) => bodies(receiver).map(({ data }) => data.n);

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
  const { id, secret } = await create(house, tenant, receiver.url);
  await order(house, tenant, 1);
  await order(house, other, 2);
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
  const [delivery, ...others] = await deliveries(house, tenant, id);
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
  const made = await create(house, tenant, receiver.url);
  assert.match(made.secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
  const found = await db.inTenant(tenant, (tx) => selectEndpoint(tx, made.id));
  assert.ok(found);
  assert.equal("secret" in found, false);
  const rotated = await db.inTenant(tenant, (tx) => webhooks.rotateSecret(tx, deps, found, 2));
  assert.notEqual(rotated.secret, made.secret);
  assert.equal(rotated.secretLastFour, rotated.secret.slice(-4));
  await order(house, tenant, 1);
  await house.settle();
  clock.advance(2 * 3_600_000);
  await order(house, tenant, 2);
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

// Guards against events lost to a receiver that is down, and against hammering it meanwhile.
test("a receiver that fails is tried again by the schedule until it has got the event", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { db, clock } = house;
  const tenant = await house.tenant();
  const { id } = await create(house, tenant, receiver.url);
  receiver.answer(500, {}, "out of\u0007 order");
  await order(house, tenant, 1);
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
  const [delivery] = await deliveries(house, tenant, id);
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
  const { id } = await create(house, tenant, receiver.url);
  receiver.answer(429, { "retry-after": "60" });
  await order(house, tenant, 1);
  await house.settle();
  clock.advance(59_999);
  await house.settle();
  assert.equal(receiver.received.length, 1);
  for (let tries = 0; tries < 20; tries += 1) {
    clock.advance(6 * 3_600_000);
    await house.settle();
  }
  const [delivery] = await deliveries(house, tenant, id);
  assert.deepEqual([delivery?.state, delivery?.attempts], ["failed", 10]);
});

// Guards against a later event of a resource that overtakes one that is still being tried.
test("a resource's events wait for each other, other resources' do not", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { clock } = house;
  const tenant = await house.tenant();
  await create(house, tenant, receiver.url);
  receiver.answer(500);
  await order(house, tenant, 1, "a");
  await house.settle();
  receiver.answer(200);
  await order(house, tenant, 2, "a");
  await order(house, tenant, 3, "b");
  await order(house, tenant, 4, "a");
  await house.settle();
  assert.deepEqual(numbers(receiver), [1, 3]);
  clock.advance(5_000);
  await house.settle();
  assert.deepEqual(numbers(receiver), [1, 3, 1, 2, 4]);
});

// Guards against lost or reordered deliveries when several processes send at once.
test("with three senders every event arrives once, in order per resource", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const tenants = [await house.tenant(), await house.tenant()];
  for (const tenant of tenants) await create(house, tenant, receiver.url);
  let writing = true;
  const senders = Array.from({ length: 3 }, async () => {
    while (writing) await house.settle();
    await house.settle();
  });
  for (let n = 1; n <= 30; n += 1) {
    await Promise.all(tenants.map((tenant) => order(house, tenant, n, `${n % 3}`)));
  }
  writing = false;
  await Promise.all(senders);
  await house.settle();
  for (const tenant of tenants) {
    for (const id of ["0", "1", "2"]) {
      const got = bodies(receiver)
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
  await create(house, tenant, receiver.url);
  await order(house, tenant, 1);
  await house.relay();
  const dies: SenderOptions = {
    ...sender,
    secrets: { get: () => Promise.reject(new Error("killed")) },
  };
  await Promise.all(await sendDue(dies, 32, new AbortController().signal));
  await house.settle();
  assert.deepEqual(numbers(receiver), [], "leased");
  clock.advance(60_000);
  await house.settle();
  assert.deepEqual(numbers(receiver), [1]);
});

// Guards against attempts that are counted as failures because the server was stopping.
test("a delivery that a stop interrupts is no attempt and is sent again", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const tenant = await house.tenant();
  const { id } = await create(house, tenant, receiver.url);
  await order(house, tenant, 1);
  await house.relay();
  await Promise.all(await sendDue(house.sender, 32, AbortSignal.abort()));
  const [before] = await deliveries(house, tenant, id);
  assert.deepEqual([before?.state, before?.attempts], ["pending", 0]);
  await house.settle();
  const [after] = await deliveries(house, tenant, id);
  assert.deepEqual([after?.state, after?.attempts], ["delivered", 1]);
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
  const { id } = await create(house, tenant, receiver.url);
  await order(house, tenant, 1);
  await house.settle();
  assert.equal(receiver.received.length, 0);
  const [delivery] = await deliveries(house, tenant, id);
  assert.deepEqual([delivery?.state, delivery?.attempts], ["pending", 1]);
  assert.match(delivery?.lastError ?? "", /ERR_OUTGOING_PRIVATE_ADDRESS/);
});

// Guards against a redirect that leads signed events somewhere else.
test("a redirect is a failure and is not followed", async (t) => {
  const [receiver, elsewhere] = [await startReceiver(t), await startReceiver(t)];
  const house = await webhookHouse(t, [receiver, elsewhere]);
  const tenant = await house.tenant();
  await create(house, tenant, receiver.url);
  receiver.answer(307, { location: elsewhere.url });
  await order(house, tenant, 1);
  await house.settle();
  assert.equal(receiver.received.length, 1);
  assert.equal(elsewhere.received.length, 0);
});

// Guards against endpoints that are dead for ever and go on being called.
test("an endpoint that is gone, or fails for days, is switched off and says so", async (t) => {
  const [gone, failing] = [await startReceiver(t), await startReceiver(t)];
  const house = await webhookHouse(t, [gone, failing]);
  const { db, clock, deps } = house;
  const tenant = await house.tenant();
  const first = await create(house, tenant, gone.url);
  gone.answer(410);
  await order(house, tenant, 1);
  await house.settle();
  const endpoint = (id: string) => db.inTenant(tenant, (tx) => selectEndpoint(tx, id));
  const off = await endpoint(first.id);
  assert.deepEqual([off?.active, off?.disabledReason], [false, "gone"]);
  const records = await db.inTenant(tenant, (tx) =>
    listAudit(tx, { action: "webhook.disable" }, { limit: 5 }),
  );
  assert.equal(records[0]?.actor.name, "webhooks");
  await order(house, tenant, 2);
  await house.settle();
  assert.equal(gone.received.length, 1, "not called any more");

  const second = await create(house, tenant, failing.url);
  failing.answer(503);
  let n = 2;
  for (let day = 0; day < 6; day += 1) {
    await order(house, tenant, ++n, `${n}`);
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
  await create(house, tenant, receiver.url);
  receiver.answer(500);
  for (let n = 1; n <= 40; n += 1) await order(house, tenant, n, `${n}`);
  await house.settle();
  const held = receiver.received.length;
  assert.ok(held < 40, `${held} of 40 were tried`);
  clock.advance(300_000);
  await house.settle();
  assert.equal(receiver.received.length, held + 1, "one probe");
  receiver.answer(200);
  clock.advance(300_000);
  await house.settle();
  const [, ...got] = new Set(numbers(receiver));
  assert.equal(got.length, 39);
});

// Guards against a slow receiver that holds up its neighbours.
test("a tenant can't take all the senders", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const [busy, quiet] = [await house.tenant(), await house.tenant()];
  for (let n = 0; n < 20; n += 1) await create(house, busy, receiver.url);
  await assert.rejects(create(house, busy, receiver.url), { code: "ERR_WEBHOOKS_TOO_MANY" });
  await create(house, quiet, receiver.url);
  await order(house, busy, 1);
  await order(house, quiet, 2);
  await house.relay();
  const never = Promise.withResolvers<never>();
  const hangs = { ...house.sender, outgoing: { fetch: () => never.promise } };
  const serving = await sendDue(hangs, 100, new AbortController().signal);
  assert.equal(serving.length, 8 + 1);
  assert.equal((await sendDue(hangs, 100, new AbortController().signal)).length, 0);
  never.reject(new Error("over"));
  await Promise.all(serving);
});

// Guards against lost history: what was delivered, or missed, can be had again.
test("one delivery and a stretch of time can be replayed, and a ping sent", async (t) => {
  const [receiver, bystander] = [await startReceiver(t), await startReceiver(t)];
  const house = await webhookHouse(t, [receiver, bystander]);
  const { db, deps } = house;
  const tenant = await house.tenant();
  for (let n = 1; n <= 3; n += 1) await order(house, tenant, n, `${n}`);
  await house.settle();
  const late = await create(house, tenant, receiver.url);
  await create(house, tenant, bystander.url, ["*"]);
  await order(house, tenant, 4, "4");
  await house.settle();
  assert.deepEqual(numbers(receiver), [4]);
  await db.inTenant(tenant, async (tx) => {
    const found = await selectEndpoint(tx, late.id, true);
    assert.ok(found);
    const range = { from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z" };
    const replayed = await webhooks.replayRange(tx, deps, found, range);
    assert.deepEqual([replayed.replayed, replayed.more], [4, false]);
  });
  await house.settle();
  assert.deepEqual(numbers(receiver).toSorted(), [1, 2, 3, 4, 4]);
  const [newest] = await deliveries(house, tenant, late.id);
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
  assert.deepEqual(numbers(receiver).slice(-1), [4]);
  await db.inTenant(tenant, async (tx) => {
    const found = await selectEndpoint(tx, late.id);
    assert.ok(found);
    webhooks.pingEndpoint(tx, found);
  });
  await house.settle();
  assert.equal(bodies(receiver).at(-1)?.type, "webhook.ping");
  assert.deepEqual(numbers(bystander), [4], "a ping is for one endpoint alone");
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
  ]) {
    await assert.rejects(create(house, tenant, receiver.url, [type]), {
      code: "ERR_WEBHOOKS_BAD_EVENT_TYPE",
    });
  }
  const { id } = await create(house, tenant, receiver.url);
  await order(house, tenant, 1);
  await house.relay();
  await db.inTenant(tenant, async (tx) => {
    const found = await selectEndpoint(tx, id, true);
    assert.ok(found);
    await webhooks.deleteEndpoint(tx, deps, found);
  });
  await order(house, tenant, 2);
  await house.settle();
  assert.equal(receiver.received.length, 0);
  const left = await db.inTenant(tenant, (tx) =>
    deps.secrets.get(tx, webhooks.secretNames(id).current),
  );
  assert.equal(left, null);
});

// Guards against deadlocks between senders and people who replay, change and delete.
test("replays and changes go on while deliveries are under way", async (t) => {
  const receiver = await startReceiver(t);
  const house = await webhookHouse(t, [receiver]);
  const { db, deps, clock } = house;
  const tenant = await house.tenant();
  const made = await Promise.all([1, 2, 3].map(() => create(house, tenant, receiver.url)));
  for (let n = 1; n <= 20; n += 1) await order(house, tenant, n, `${n % 4}`);
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
    await order(house, tenant, 100 + round, `${round % 4}`);
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
