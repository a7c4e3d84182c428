import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { systemClock } from "../clock.ts";
import { withClient } from "../db/roles.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { type EventHouse, eventHouse } from "../testing/events.ts";
import { emit } from "./emit.ts";
import { createEventFeed, type EventFeed, type Subscription } from "./stream.ts";
import type { StoredEvent } from "./types.ts";

interface StreamHouse extends EventHouse {
  feed: EventFeed;
}

async function streamHouse(t: TestContext, pollMs = 60_000): Promise<StreamHouse> {
  const house = await eventHouse(t);
  const feed = createEventFeed({ ...house, clock: systemClock, pollMs });
  t.after(() => feed.stop());
  return { ...house, feed };
}

async function tell(house: EventHouse, tenant: TenantRef, from: number, to = from): Promise<void> {
  for (let n = from; n <= to; n += 1) {
    await house.db.inTenant(tenant, async (tx) => {
      const [type, owner] = n % 2 ? ["order.created", "u1"] : ["shop.created", "u2"];
      emit(tx, { type, resource: { type: "x", id: `${n}` }, data: { n }, ownerId: owner });
    });
  }
  await house.relay();
}

const everything = (options: Partial<Subscription> = {}): Subscription => ({
  may: () => true,
  signal: new AbortController().signal,
  ...options,
});

/** The next `count` events' numbers. */
async function take(events: AsyncGenerator<StoredEvent, void>, count: number): Promise<unknown[]> {
  const numbers: unknown[] = [];
  while (numbers.length < count) {
    const { value, done } = await events.next();
    if (done || !value) break;
    numbers.push(value.data.n);
  }
  return numbers;
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

// Guards against a stream that misses what happens while it is read, or shows another tenant's.
test("a reader gets its tenant's events as they happen, from now on", async (t) => {
  const house = await streamHouse(t);
  const [tenant, other] = [await house.tenant(), await house.tenant()];
  await tell(house, tenant, 1, 3);
  const over = new AbortController();
  const events = house.feed.subscribe(tenant.id, everything({ signal: over.signal }));
  await tell(house, other, 100);
  // Told until heard, since nobody outside knows when the reader has begun.
  let heard: unknown[] = [];
  const first = take(events, 1).then((numbers) => {
    heard = numbers;
  });
  let n = 3;
  while (heard.length === 0) {
    await tell(house, tenant, ++n);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await first;
  const begun = heard[0] as number;
  assert.ok(begun >= 4, "nothing from before");
  assert.deepEqual(await take(events, n - begun), range(begun + 1, n));
  const rest = take(events, 20);
  await tell(house, tenant, n + 1, n + 20);
  assert.deepEqual(await rest, range(n + 1, n + 20));
  const ended = events.next();
  over.abort();
  assert.equal((await ended).done, true);
});

// Guards against gaps between what a reader had and where it goes on.
test("a reader resumes after the last event it had, however many it missed", async (t) => {
  const house = await streamHouse(t);
  const tenant = await house.tenant();
  await tell(house, tenant, 1, 450);
  const all = house.feed.subscribe(tenant.id, everything({ lastEventId: 0 }));
  const seen: StoredEvent[] = [];
  for await (const event of all) {
    seen.push(event);
    if (seen.length === 10) break;
  }
  const lastEventId = seen.at(-1)?.position ?? 0;
  const resumed = house.feed.subscribe(tenant.id, everything({ lastEventId }));
  assert.deepEqual(await take(resumed, 440), range(11, 450));
  const more = take(resumed, 300);
  await tell(house, tenant, 451, 750);
  assert.deepEqual(await more, range(451, 750));
  await resumed.return();
});

// Guards against readers that see more than they may, or than they asked for.
test("a reader sees only the types it wants of what it may see", async (t) => {
  const house = await streamHouse(t);
  const tenant = await house.tenant();
  await tell(house, tenant, 1, 10);
  const subscribe = (options: Partial<Subscription>) =>
    house.feed.subscribe(tenant.id, everything({ lastEventId: 0, ...options }));
  const orders = subscribe({ types: ["order.*"] });
  assert.deepEqual(await take(orders, 5), [1, 3, 5, 7, 9]);
  const own = subscribe({ may: ({ ownerId }) => ownerId === "u2" });
  assert.deepEqual(await take(own, 5), [2, 4, 6, 8, 10]);
  const none = subscribe({ types: ["order.created"], may: ({ ownerId }) => ownerId === "u2" });
  const never = take(none, 1);
  const more = Promise.all([take(orders, 5), take(own, 5)]);
  await tell(house, tenant, 11, 20);
  await more;
  assert.equal(await Promise.race([never, Promise.resolve("nothing")]), "nothing");
  await Promise.all([orders.return(), own.return()]);
});

// Guards against many readers of one tenant that fall behind, differ, or each ask the database.
test("a hundred readers of one tenant all get every event in order", async (t) => {
  const house = await streamHouse(t);
  const tenant = await house.tenant();
  const readers = Array.from({ length: 100 }, () =>
    house.feed.subscribe(tenant.id, everything({ lastEventId: 0 })),
  );
  const taken = readers.map((reader) => take(reader, 60));
  for (let n = 1; n <= 60; n += 10) await tell(house, tenant, n, n + 9);
  for (const numbers of await Promise.all(taken)) assert.deepEqual(numbers, range(1, 60));
  await Promise.all(readers.map((reader) => reader.return()));
});

// Guards against a stream that stays silent after its notifications were lost.
test("a reader goes on when the listening connection dies", async (t) => {
  const house = await streamHouse(t, 100);
  const tenant = await house.tenant();
  const events = house.feed.subscribe(tenant.id, everything({ lastEventId: 0 }));
  await tell(house, tenant, 1);
  assert.deepEqual(await take(events, 1), [1]);
  await withClient(house.appUrl, (app) =>
    app.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'plimsoll events' and datname = current_database()`,
    ),
  );
  const next = take(events, 2);
  await tell(house, tenant, 2, 3);
  assert.deepEqual(await next, [2, 3]);
  await events.return();
});
