import assert from "node:assert/strict";
import fc from "fast-check";
import { makeProduct, startOrders } from "./fixture.ts";
import { both } from "./fixtures/both.ts";
import { ada, lunch, offline, send, shop, soup, told, traces } from "./fixtures/sync.ts";
import type { SyncResult } from "./schemas/sync.ts";

// Guards against work done offline that is lost, or that takes another way than the API's.
both("what a till did offline arrives, in whatever order it stands", async (t, isolation) => {
  const { admin, adminEmail, events } = await startOrders(t, isolation);
  const results = await send(admin, offline);
  assert.deepEqual(results.map(told), ["applied 2", "applied 1", "applied 1", "applied 1"]);
  const [order, customer, product, made] = results as [
    SyncResult,
    SyncResult,
    SyncResult,
    SyncResult,
  ];
  for (const [path, result] of [
    ["orders", order],
    ["customers", customer],
    ["products", product],
    ["shops", made],
  ] as const) {
    assert.deepEqual((await admin.get(`/${path}/${result.id}`)).body, result.resource);
  }
  const { state, totalMinor, customerId, shopId, items } = order.resource as Record<
    string,
    unknown
  >;
  assert.deepEqual(
    [state, totalMinor, customerId, shopId],
    ["pending", 1100, customer.id, made.id],
  );
  assert.equal((items as { productId: string }[])[0]?.productId, product.id);
  assert.deepEqual(
    (await events()).map(({ type }) => type),
    ["shop.created", "product.created", "customer.created", "order.created", "order.submitted"],
  );
  const history = await admin.get(`/orders/${order.id}/history`);
  assert.deepEqual(
    history.body.items.map((entry: { action: string; actor: { name: string } }) => [
      entry.action,
      entry.actor.name,
    ]),
    [
      ["order.submit", adminEmail],
      ["order.create", adminEmail],
    ],
  );
});

// Guards against a second order because an answer got lost: again, in part, turned round, at once.
both("a batch that is sent again changes nothing", async (t, isolation) => {
  const house = await startOrders(t, isolation);
  const { admin } = house;
  const first = await Promise.all([1, 2, 3, 4].map(() => send(admin, offline)));
  for (const place of offline.keys()) {
    const outcomes = first.map((results) => String(results[place]?.outcome)).sort();
    assert.deepEqual(outcomes, ["applied", "unchanged", "unchanged", "unchanged"]);
    assert.equal(new Set(first.map((results) => results[place]?.id)).size, 1);
  }
  const before = await traces(house);
  assert.equal(before.orders?.length, 1);
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray([...offline], { minLength: 1 }), async (part) => {
      const results = await send(admin, part);
      assert.ok(results.every(({ outcome }) => outcome === "unchanged"));
    }),
    { numRuns: 10 },
  );
  const reordered = { quantity: 2, unitPriceMinor: 550, productId: "p-1" };
  const { state, ...others } = lunch.data;
  const [same] = await send(admin, [{ ...lunch, data: { state, ...others, items: [reordered] } }]);
  assert.equal(same?.outcome, "unchanged");
  assert.deepEqual(await traces(house), before);
  // Another till's keys are its own.
  const [other] = await send(admin, [{ ...ada, clientId: "till-8" }]);
  assert.equal(other?.outcome, "applied");
});

// Guards against one till overwriting what another changed, or being told so without need.
both("a change applies to the version it was made on, and to no other", async (t, isolation) => {
  const house = await startOrders(t, isolation);
  const { admin } = house;
  const made = await makeProduct(admin, { priceMinor: 400 });
  const change = (baseVersion: number | null, data: Record<string, unknown> | null) =>
    ({ type: "product", key: made.id, baseVersion, data }) as const;
  const [raised] = await send(admin, [change(1, { priceMinor: 450 })]);
  assert.ok(raised);
  assert.deepEqual([told(raised), raised.id], ["applied 2", made.id]);
  const [again, stale, agreeing, upper] = await send(admin, [
    change(1, { priceMinor: 450 }),
    change(1, { priceMinor: 475 }),
    { ...change(1, { priceMinor: 450 }), clientId: "till-8" },
    { ...change(2, { priceMinor: 500 }), key: made.id.toUpperCase(), clientId: "till-9" },
  ]);
  assert.deepEqual([again, stale, agreeing, upper].map(told), [
    "unchanged 2",
    "conflict 2",
    "unchanged 2",
    "applied 3",
  ]);
  assert.equal(stale?.resource?.priceMinor, 450);
  const tills = await Promise.all(
    [1, 2, 3, 4].map((till) =>
      send(admin, [{ ...change(3, { priceMinor: 600 + till }), clientId: `till-${till}` }]),
    ),
  );
  const outcomes = tills.map(([result]) => told(result)).sort();
  assert.deepEqual(outcomes, ["applied 4", "conflict 4", "conflict 4", "conflict 4"]);

  // What was made offline and sent before is not made again under its key.
  await send(admin, [ada]);
  const [edited, rebased] = await send(admin, [
    { ...ada, data: { name: "Ada L." } },
    { ...ada, baseVersion: 1, data: { name: "Ada L." } },
  ]);
  assert.deepEqual([edited, rebased].map(told), ["conflict 1", "applied 2"]);
});

// Guards against resources that come back, or that go although somebody changed them.
both("null deletes what has not changed since", async (t, isolation) => {
  const { admin } = await startOrders(t, isolation);
  const [made] = await send(admin, [ada]);
  const remove = (baseVersion: number) => ({ ...ada, baseVersion, data: null });
  await send(admin, [{ ...ada, baseVersion: 1, data: { name: "Ada L." } }]);
  const [stale, gone, again] = await send(admin, [remove(1), remove(2), remove(2)]);
  assert.deepEqual([stale, gone, again].map(told), [
    "conflict 2",
    "applied null",
    "unchanged null",
  ]);
  assert.equal((await admin.get(`/customers/${made?.id}`)).status, 404);
  const [remade, changed, never, drafted] = await send(admin, [
    ada,
    { ...ada, baseVersion: 2, data: { name: "A." } },
    { ...ada, key: "c-99", data: null },
    { ...lunch, key: "o-99", data: null },
  ]);
  assert.deepEqual([remade, changed, never, drafted].map(told), [
    "unchanged null",
    "conflict null",
    "unchanged null",
    "refused 405 ERR_REQUEST_METHOD_NOT_ALLOWED",
  ]);
  assert.deepEqual((await admin.get("/customers")).body.items, []);
});

// Guards against one bad item that holds up a till's whole day, or that leaves half of itself.
both("an item that is refused says why, and the others are applied", async (t, isolation) => {
  const house = await startOrders(t, isolation);
  const { admin } = house;
  await makeProduct(admin, { sku: "TAKEN" });
  const results = await send(admin, [
    { ...soup, key: "p-9", data: { ...soup.data, sku: "TAKEN" } },
    { ...soup, key: "p-8", data: { ...soup.data, priceMinor: 1.5, colour: "red" } },
    { ...ada, key: "c-9", data: { name: "" } },
    { ...ada, key: "c-8", baseVersion: 3, data: { name: "Nobody" } },
    { ...lunch, key: "o-9", data: { ...lunch.data, shopId: "s-9" } },
    {
      ...lunch,
      key: "o-8",
      data: { ...lunch.data, items: [{ productId: "p-1", quantity: 0 }] },
    },
    { ...lunch, key: "o-7", data: { ...lunch.data, totalMinor: 1 } },
    { ...lunch, key: "o-6", data: { ...lunch.data, state: "completed" } },
    ...offline,
  ]);
  assert.deepEqual(results.slice(0, 8).map(told), [
    "refused 409 ERR_ORDERS_SKU_TAKEN /items/0/data/sku",
    "refused 422 ERR_REQUEST_INVALID /items/1/data/colour /items/1/data/priceMinor",
    "refused 422 ERR_REQUEST_INVALID /items/2/data/name /items/2/data/name",
    "refused 404 ERR_REQUEST_NOT_FOUND",
    "refused 422 ERR_ORDERS_SYNC_UNKNOWN_KEY /items/4/data/shopId",
    "refused 422 ERR_ORDERS_BAD_QUANTITY /items/5/data/items/0/quantity",
    "refused 422 ERR_ORDERS_TOTALS_ARE_COMPUTED /items/6/data/totalMinor",
    "refused 422 ERR_ORDERS_SYNC_BAD_STATE /items/7/data/state",
  ]);
  assert.ok(results.slice(8).every(({ outcome }) => outcome === "applied"));
  const { orders, receipts } = await traces(house);
  assert.equal(orders?.length, 1);
  assert.equal(receipts?.length, 4);
  // What was refused may be put right under the same key.
  const [mended] = await send(admin, [{ ...ada, key: "c-9", data: { name: "Grace" } }]);
  assert.equal(told(mended), "applied 1");
});

// Guards against an order that is half brought in: made, but not handed over as the till said.
both("an order that can't be submitted is not made either", async (t, isolation) => {
  const house = await startOrders(t, isolation);
  const { admin } = house;
  const allergic = { ...ada, data: { name: "Ada", allergenRestrictions: ["celery"] } };
  const [order] = await send(admin, [lunch, allergic, soup, shop]);
  assert.equal(
    told(order),
    "refused 409 ERR_ORDERS_ALLERGEN_CONFLICT /items/0/data/acknowledgeAllergens",
  );
  assert.equal((await traces(house)).orders, null);
  const [known] = await send(admin, [
    { ...lunch, data: { ...lunch.data, acknowledgeAllergens: true } },
  ]);
  assert.equal(told(known), "applied 2");
  assert.equal(known?.resource?.acknowledgedAllergens, true);
});

// Guards against a till that sets prices, and against a difference that nobody hears of.
both("the server's price holds, and another one of the till is told", async (t, isolation) => {
  const { admin } = await startOrders(t, isolation);
  const items = [{ productId: "p-1", quantity: 2, unitPriceMinor: 500 }];
  const dear = { ...lunch, data: { ...lunch.data, items } };
  const [order, , product] = await send(admin, [dear, ada, soup, shop]);
  const differences = [
    { productId: product?.id, currency: "GBP", tillUnitPriceMinor: 500, unitPriceMinor: 550 },
  ];
  assert.deepEqual([order?.resource?.totalMinor, order?.priceDifferences], [1100, differences]);
  const [again] = await send(admin, [dear]);
  assert.deepEqual([again?.outcome, again?.priceDifferences], ["unchanged", differences]);
});

// Guards against a till that is told all is well while its customer's cancellation goes nowhere.
both("a state moves the order where that is legal, and is a conflict where not", async (t, iso) => {
  const house = await startOrders(t, iso);
  const { admin, user } = house;
  await send(admin, offline);
  const move = (baseVersion: number, state: unknown, key = "o-1") =>
    ({ type: "order", key, baseVersion, data: { state } }) as const;
  const one = async (caller: typeof admin, item: ReturnType<typeof move>) => {
    const [result] = await send(caller, [item]);
    assert.ok(result);
    return result;
  };
  // An unknown state changes nothing, and is no "unchanged" either.
  for (const state of ["shipped", "CANCELLED", "", 7, null]) {
    const expected = "refused 422 ERR_ORDERS_SYNC_BAD_STATE /items/0/data/state";
    assert.equal(told(await one(admin, move(2, state))), expected, String(state));
  }
  const before = await traces(house);
  const ahead = await one(admin, move(2, "ready"));
  assert.deepEqual(
    [ahead.outcome, ahead.version, ahead.problem?.code, ahead.resource?.state],
    ["conflict", 2, "ERR_ORDERS_ILLEGAL_TRANSITION", "pending"],
  );
  const { state, allowed } = ahead.problem as Record<string, unknown>;
  assert.deepEqual([state, allowed], ["pending", ["confirm", "cancel"]]);
  assert.equal((await one(admin, move(2, "draft"))).outcome, "conflict");
  assert.equal(told(await one(admin, move(1, "cancelled"))), "conflict 2");
  assert.equal(told(await one(admin, move(2, "pending"))), "unchanged 2");
  assert.deepEqual(await traces(house), before);

  assert.equal(told(await one(admin, move(2, "confirmed"))), "applied 3");
  assert.equal(told(await one(admin, move(3, "pending"))), "unchanged 3");
  const cancelled = await one(admin, move(3, "cancelled"));
  assert.deepEqual(
    [told(cancelled), cancelled.resource?.state, cancelled.resource?.allowedTransitions],
    ["applied 4", "cancelled", []],
  );
  // The same change is known again; for another till the order is as it wants it.
  assert.equal(told(await one(admin, move(3, "cancelled"))), "unchanged 4");
  assert.equal(told(await one(admin, move(4, "cancelled"))), "unchanged 4");
  assert.equal((await one(admin, move(4, "pending"))).outcome, "conflict");
  assert.equal((await house.events()).at(-1)?.type, "order.cancelled");

  // A user takes back its own, and moves nothing that it may not move.
  const [mine] = await send(user, [{ ...lunch, key: "o-2" }]);
  assert.equal(mine?.outcome, "applied");
  const confirmed = await one(user, move(2, "confirmed", "o-2"));
  assert.equal(told(confirmed), "refused 403 ERR_ACCESS_FORBIDDEN");
  assert.equal(told(await one(user, move(2, "cancelled", "o-2"))), "applied 3");
});

// Guards against an order that is changed after it was handed over, and against a lost hand-over.
both("a draft is changed and handed over later; then it stays", async (t, isolation) => {
  const { admin } = await startOrders(t, isolation);
  const { state: _, ...draft } = lunch.data;
  const [made] = await send(admin, [{ ...lunch, data: draft }, ada, soup, shop]);
  assert.deepEqual([made?.version, made?.resource?.state], [1, "draft"]);
  const more = [{ productId: "p-1", quantity: 5 }];
  const update = (baseVersion: number, data: Record<string, unknown>) => ({
    ...lunch,
    baseVersion,
    data,
  });
  const [changed, submitted, late, same] = await send(admin, [
    update(1, { items: more, state: "draft" }),
    update(2, { items: more, state: "pending" }),
    update(3, { notes: "No salt" }),
    { ...update(1, { items: more, state: "pending" }), clientId: "till-7" },
  ]);
  assert.deepEqual([changed, submitted, late, same].map(told), [
    "applied 2",
    "applied 3",
    "refused 409 ERR_ORDERS_NOT_A_DRAFT",
    "unchanged 3",
  ]);
  assert.equal(submitted?.resource?.state, "pending");
});
