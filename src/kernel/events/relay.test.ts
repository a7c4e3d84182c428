import assert from "node:assert/strict";
import { test } from "node:test";
import { isoNow, systemClock } from "../clock.ts";
import { withClient } from "../db/roles.ts";
import type { Db } from "../db/types.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { type EventHouse, eventHouse, eventually } from "../testing/events.ts";
import { emit } from "./emit.ts";
import { createPublisher } from "./publisher.ts";
import { relayConnection, relayOnce, startRelay } from "./relay.ts";
import { relayTenant } from "./relay-store.ts";
import { eventsAfter, newEvents, outboxLag } from "./store.ts";
import type { Broker, EventEnvelope } from "./types.ts";

const shop = (id: string) => ({ type: "shop", id });

function emitOne(db: Db, tenant: TenantRef, n: number, resource = shop("1")): Promise<void> {
  return db.inTenant(tenant, async (tx) => {
    emit(tx, { type: "shop.updated", resource, data: { n } });
  });
}

const numbers = async (db: Db, tenant: TenantRef) =>
  (await eventsAfter(db, tenant.id, 0, 1_000)).map(({ data }) => data.n);

async function pointers({ ownerUrl }: EventHouse): Promise<number> {
  const text = "select count(*)::int as count from platform.outbox";
  return (await withClient(ownerUrl, (owner) => owner.query(text))).rows[0].count;
}

// Guards against events of changes that never were, and against changes without their event.
test("an event is handed out when its transaction commits, and only then", async (t) => {
  const house = await eventHouse(t);
  const { db, relay } = house;
  const tenant = await house.tenant();
  const failing = db.inTenant(tenant, async (tx) => {
    emit(tx, { type: "shop.created", resource: shop("1"), data: {} });
    await tx.query("select 1");
    throw new Error("no");
  });
  await assert.rejects(failing);
  assert.equal(await pointers(house), 0);
  await db.inTenant(tenant, async (tx) => {
    emit(tx, { type: "shop.created", resource: shop("1"), data: { name: "a" }, ownerId: "u1" });
  });
  assert.deepEqual(await numbers(db, tenant), [], "not before the relay");
  assert.equal(await relay(), 1);
  const [event] = await eventsAfter(db, tenant.id, 0, 10);
  assert.ok(event);
  const { id, occurredAt, position, sizeBytes: _, ...rest } = event;
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.match(occurredAt, /Z$/);
  assert.equal(position, 1);
  assert.deepEqual(rest, {
    type: "shop.created",
    tenantId: tenant.id,
    resource: shop("1"),
    data: { name: "a" },
    ownerId: "u1",
  });
  assert.equal(await pointers(house), 0);
  assert.equal(await relay(), 0);
});

// Guards against events that say too much, or nothing that can be subscribed to.
test("a bad type or too much data is refused where it is emitted", async (t) => {
  const { db, tenant: newTenant } = await eventHouse(t);
  const tenant = await newTenant();
  const tryEmit = (type: string, data: Record<string, unknown>) =>
    db.inTenant(tenant, async (tx) => emit(tx, { type, resource: shop("1"), data }));
  await assert.rejects(tryEmit("shop", {}), RangeError);
  await assert.rejects(tryEmit("Shop.Created", {}), RangeError);
  await assert.rejects(tryEmit("shop.created", { text: "x".repeat(70_000) }), RangeError);
});

// Guards against the loss of events whose transaction took its number early and committed late.
test("an event that commits after later numbers is still handed out", async (t) => {
  const { db, relay, tenant: newTenant } = await eventHouse(t);
  const tenant = await newTenant();
  const held = Promise.withResolvers<void>();
  const written = Promise.withResolvers<void>();
  const slow = db.inTenant(tenant, async (tx) => {
    const resource = shop("slow");
    const event = { type: "shop.updated", resource, data: '{"n":1}', ownerId: null };
    const { text, values = [] } = newEvents.make([{ ...event, tenantId: tenant.id }]);
    await tx.query(text, values);
    written.resolve();
    await held.promise;
  });
  await written.promise;
  await emitOne(db, tenant, 2, shop("fast"));
  assert.equal(await relay(), 1);
  assert.deepEqual(await numbers(db, tenant), [2]);
  held.resolve();
  await slow;
  await emitOne(db, tenant, 3, shop("fast"));
  assert.equal(await relay(), 2);
  assert.deepEqual(await numbers(db, tenant), [2, 1, 3]);
});

// Guards against a resource whose past is told in the wrong order, or with gaps, under load.
test("events of one resource keep their order while writers race the relay", async (t) => {
  const { db, relay, tenant: newTenant } = await eventHouse(t);
  const tenants = [await newTenant(), await newTenant(), await newTenant()];
  const changeTenant = (tenant: TenantRef) =>
    db.inTenant(tenant, async (tx) => {
      const { rows } = await tx.query<{ n: number }>(
        "update platform.tenant set version = version + 1 where id = $1 returning version as n",
        [tenant.id],
      );
      const resource = { type: "tenant", id: tenant.id };
      emit(tx, { type: "tenant.updated", resource, data: { n: rows[0]?.n } });
    });
  let writing = true;
  const relaying = (async () => {
    while (writing) await relay();
    await relay();
  })();
  await Promise.all(
    tenants.flatMap((tenant) => Array.from({ length: 50 }, () => changeTenant(tenant))),
  );
  writing = false;
  await relaying;
  for (const tenant of tenants) {
    assert.deepEqual(
      await numbers(db, tenant),
      Array.from({ length: 50 }, (_, n) => n + 2),
    );
  }
});

// Guards against one tenant's trouble that stops everybody's events.
test("a tenant whose events can't be handed out holds up nobody else's", async (t) => {
  const house = await eventHouse(t);
  const { db, clock, relay, appUrl, ownerUrl, log, logs } = house;
  const [bad, good] = [await house.tenant(), await house.tenant()];
  await withClient(ownerUrl, (owner) =>
    owner.query(
      `create function platform.trouble() returns trigger language plpgsql as
         $$ begin raise exception 'trouble'; end $$;
       create trigger trouble before update on platform.event for each row
         when (old.tenant_id = '${bad.id}') execute function platform.trouble()`,
    ),
  );
  for (let n = 1; n <= 3; n += 1) await emitOne(db, bad, n);
  await emitOne(db, good, 1);
  const { client } = await relayConnection(appUrl);
  t.after(() => client.end());
  const troubled = new Map<string, number>();
  const options = { clock, log, toBroker: false };
  assert.equal((await relayOnce(client, options, troubled)).events, 1);
  assert.deepEqual(await numbers(db, good), [1]);
  assert.equal((await relayOnce(client, options, troubled)).more, false, "left alone");
  assert.equal(logs.filter(({ tenant }) => tenant === bad.id).length, 1);
  await withClient(ownerUrl, (owner) => owner.query("drop trigger trouble on platform.event"));
  clock.advance(5_000);
  assert.equal((await relayOnce(client, options, troubled)).events, 3);
  assert.deepEqual(await numbers(db, bad), [1, 2, 3]);
  assert.equal(await relay(), 0);
});

// Guards against a round, with a commit of its own, for each event of a steady trickle, and against
// a full batch after which the rest waits for the next round.
test("only a full batch is followed by the next one at once", async (t) => {
  const { db, appUrl, log, clock, tenant: newTenant } = await eventHouse(t);
  const tenant = await newTenant();
  const { client } = await relayConnection(appUrl);
  t.after(() => client.end());
  const options = { clock, log, toBroker: false };
  await db.inTenant(tenant, async (tx) => {
    for (let n = 1; n <= 501; n += 1) {
      emit(tx, { type: "order.created", resource: { type: "order", id: `${n}` }, data: { n } });
    }
  });
  assert.deepEqual(await relayOnce(client, options), { events: 500, more: true });
  assert.deepEqual(await relayOnce(client, options), { events: 1, more: false });
});

// Guards against pointers that stay for ever when their tenant's rows are gone.
test("a pointer without its event is dropped", async (t) => {
  const house = await eventHouse(t);
  const tenant = await house.tenant();
  await emitOne(house.db, tenant, 1);
  await house.db.inTenant(tenant, (tx) => tx.query("delete from platform.event"));
  await house.relay();
  assert.equal(await pointers(house), 0);
});

// Guards against a relay that reads other tenants' rows: it works as the app role.
test("the relay's connection sees no tenant's events by itself", async (t) => {
  const house = await eventHouse(t);
  await emitOne(house.db, await house.tenant(), 1);
  const { client } = await relayConnection(house.appUrl);
  t.after(() => client.end());
  assert.equal((await client.query("select * from platform.event")).rowCount, 0);
});

// Guards against two relays that hand out the same events, and against none after one has died.
test("one relay leads, and another takes over when its connection ends", async (t) => {
  const house = await eventHouse(t);
  const { db, appUrl, log, metrics } = house;
  const tenant = await house.tenant();
  const start = () =>
    startRelay({
      appUrl,
      clock: systemClock,
      log,
      metrics,
      toBroker: false,
      pollMs: 10,
      standbyMs: 20,
    });
  const relays = [start(), start()];
  t.after(() => Promise.all(relays.map((relay) => relay.stop())));
  await eventually(() => relays.some((relay) => relay.leads()), "a leader");
  let n = 0;
  for (let deaths = 0; deaths < 4; deaths += 1) {
    for (let more = 0; more < 5; more += 1) await emitOne(db, tenant, ++n);
    await eventually(async () => (await numbers(db, tenant)).length === n, `${n} events`);
    assert.equal(relays.filter((relay) => relay.leads()).length, 1);
    await emitOne(db, tenant, ++n);
    await withClient(appUrl, (app) =>
      app.query(
        `select pg_terminate_backend(l.pid) from pg_locks l
          where l.locktype = 'advisory' and l.objid = 1919249529
            and l.database = (select oid from pg_database where datname = current_database())`,
      ),
    );
  }
  await eventually(async () => (await numbers(db, tenant)).length === n, "all events");
  assert.deepEqual(
    await numbers(db, tenant),
    Array.from({ length: n }, (_, at) => at + 1),
  );
});

/** A broker whose trouble is set by the test; it stands for another company's machine. */
function fakeBroker() {
  const got: EventEnvelope[] = [];
  let trouble: (event: EventEnvelope) => Error | null = () => null;
  const broker: Broker = {
    async publish(event) {
      const error = trouble(event);
      if (error?.message !== "refused") got.push(event);
      if (error) throw error;
    },
    assertReady() {},
    async close() {},
  };
  return { broker, got, fail: (how: typeof trouble) => void (trouble = how) };
}

// Guards against loss when the confirmation or the process is lost between publish and bookkeeping.
test("an event whose confirmation is lost is published again under the same id", async (t) => {
  const house = await eventHouse(t);
  const { db, relay } = house;
  const tenant = await house.tenant();
  const { broker, got, fail } = fakeBroker();
  const publish = createPublisher({ ...house, broker });
  await emitOne(db, tenant, 1);
  await relay(true);
  fail(() => new Error("confirmation lost"));
  await assert.rejects(publish(new AbortController().signal), /confirmation lost/);
  fail(() => null);
  await publish(new AbortController().signal);
  assert.deepEqual(
    got.map(({ data }) => data.n),
    [1, 1],
  );
  assert.equal(new Set(got.map(({ id }) => id)).size, 1);
  assert.equal(await pointers(house), 0);
});

// Guards against a dead broker that stops webhooks and streams, and against events lost to it.
test("while the broker refuses, events go to everyone else and wait for it", async (t) => {
  const house = await eventHouse(t);
  const { db, relay } = house;
  const tenant = await house.tenant();
  const { broker, got, fail } = fakeBroker();
  const publish = createPublisher({ ...house, broker });
  const round = () => publish(new AbortController().signal);
  fail(() => new Error("refused"));
  for (let n = 1; n <= 4; n += 1) {
    await emitOne(db, tenant, n, shop(n % 2 ? "odd" : "even"));
    await relay(true);
    await assert.rejects(round());
  }
  assert.deepEqual(await numbers(db, tenant), [1, 2, 3, 4], "the stream has them");
  const lag = await db.inPlatform((tx) => outboxLag(tx));
  assert.deepEqual([lag.toRelay, lag.toPublish], [0, 4]);
  assert.ok(lag.toPublishAgeSeconds > 0);
  // One resource goes on being refused: the other's events do not wait for it, its own do.
  fail(({ resource, data }) =>
    resource.id === "odd" && data.n === 1 ? new Error("refused") : null,
  );
  await assert.rejects(round());
  assert.deepEqual(
    got.map(({ data }) => data.n),
    [2, 4],
  );
  fail(() => null);
  await round();
  assert.deepEqual(
    got.map(({ data }) => data.n),
    [2, 4, 1, 3],
  );
  assert.equal(await pointers(house), 0);
});

// Guards against a plan made while the outbox was empty, by which a batch took minutes behind a
// change of many rows.
test("a burst is handed out by a plan that fits it, however quiet it was before", async (t) => {
  const house = await eventHouse(t);
  const { client } = await relayConnection(house.appUrl);
  t.after(() => client.end());
  const tenant = await house.tenant();
  await withClient(house.ownerUrl, (owner) => owner.query("vacuum analyze platform.outbox"));
  const work = { tenantId: tenant.id, toSeq: "1", limit: 500, keep: false };
  for (let rounds = 0; rounds < 8; rounds += 1) {
    await relayTenant(client, { ...work, nowIso: isoNow(house.clock) });
  }
  await house.db.inTenant(tenant, async (tx) => {
    for (let n = 0; n < 5_000; n += 1) {
      emit(tx, { type: "shop.updated", resource: shop(String(n)), data: {} });
    }
  });
  const { rows } = await client.query(
    `explain execute "relay-events" ('${tenant.id}', 1000000, 500, false, now())`,
  );
  const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
  assert.match(plan, /Delete on outbox/);
  assert.doesNotMatch(plan, /Join Filter: \(p_?\d*\.seq = o_?\d*\.seq\)/, plan);
});
