import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "rabbitmq-client";
import { systemClock } from "../clock.ts";
import { systemRandom } from "../random.ts";
import { createPolicies } from "../resilience/policies.ts";
import { eventHouse, startProxy } from "../testing/events.ts";
import { requireService } from "../testing/services.ts";
import { connectBroker, eventExchange } from "./broker.ts";
import { emit } from "./emit.ts";
import { createPublisher } from "./publisher.ts";

// Guards against events that a broker's outages lose, reorder, or deliver under another id.
test("through outages every event reaches RabbitMQ, in order per resource", async (t) => {
  const amqpUrl = await requireService(t, "rabbitmq");
  if (!amqpUrl) return;
  const house = await eventHouse(t);
  const { db, log, metrics, relay } = house;
  const tenant = await house.tenant();
  const direct = new Connection(amqpUrl);
  const { queue } = await direct.queueDeclare({ exclusive: true });
  await direct.exchangeDeclare({ exchange: eventExchange, type: "topic", durable: true });
  await direct.queueBind({ queue, exchange: eventExchange, routingKey: `${tenant.id}.order.*` });

  const { hostname, port } = new URL(amqpUrl);
  const proxy = await startProxy(t, hostname, Number(port) || 5672);
  const throughProxy = new URL(amqpUrl);
  throughProxy.host = `127.0.0.1:${proxy.port}`;
  const clock = systemClock;
  const policies = createPolicies({ clock, random: systemRandom(clock), log, metrics });
  const broker = connectBroker({ url: throughProxy.href, policies, log });
  const publish = createPublisher({ db, broker, metrics });
  t.after(async () => {
    proxy.cut();
    await broker.close();
    await direct.close();
  });

  const order = async (n: number) =>
    db.inTenant(tenant, async (tx) => {
      const resource = { type: "order", id: `${n % 5}` };
      emit(tx, { type: "order.updated", resource, data: { n } });
    });
  const signal = new AbortController().signal;
  let refusals = 0;
  let n = 0;
  for (let outage = 0; outage < 5; outage += 1) {
    for (let more = 0; more < 40; more += 1) await order(++n);
    await relay(true);
    proxy.restore();
    const publishing = publish(signal).catch(() => void refusals++);
    // In the middle of it, or before it has connected again.
    if (outage % 2 === 0) await publishing;
    proxy.cut();
    await publishing;
  }
  assert.ok(refusals > 0, "the outages were felt");
  proxy.restore();
  const waiting = async () => {
    const { rows } = await db.inPlatform((tx) => tx.query("select 1 from platform.outbox"));
    return rows.length;
  };
  while ((await waiting()) > 0) await publish(signal).catch(() => clock.sleep(200));

  const firsts = new Map<string, { id: string; n: number }>();
  const seenIds = new Map<number, string>();
  for (;;) {
    const message = await direct.basicGet({ queue, noAck: true });
    if (!message) break;
    const event = message.body;
    assert.equal(message.messageId, event.id);
    assert.equal(message.routingKey, `${tenant.id}.order.updated`);
    const known = seenIds.get(event.data.n);
    assert.ok(known === undefined || known === event.id, "a duplicate has the same id");
    if (known !== undefined) continue;
    seenIds.set(event.data.n, event.id);
    const before = firsts.get(event.resource.id);
    assert.ok(!before || before.n < event.data.n, "in order per resource");
    firsts.set(event.resource.id, { id: event.id, n: event.data.n });
  }
  assert.equal(seenIds.size, n);
});
