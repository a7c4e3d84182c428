import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import type { Isolation } from "#kernel/tenancy/types.ts";
import type { Client } from "#kernel/testing/client.ts";
import { makeCustomer, makeOrder, makeProduct, makeShop, refusal, startOrders } from "./fixture.ts";
import type { SyncItem, SyncResult } from "./schemas/sync.ts";

type Brought = Partial<SyncItem> & Pick<SyncItem, "type" | "key" | "data">;

const clientId = "till-7";

async function send(caller: Client, items: readonly Brought[]): Promise<SyncResult[]> {
  const answer = await caller.post("/orders/sync", {
    items: items.map((item) => ({ clientId, ...item })),
  });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.body.items.length, items.length);
  return answer.body.items;
}

/** "applied 1", "refused 409 ERR_ORDERS_SKU_TAKEN /items/0/data/sku" */
function told(result: SyncResult | undefined): string {
  assert.ok(result);
  const { outcome, version, problem } = result;
  if (!problem) return `${outcome} ${version}`;
  const paths = (problem.errors ?? []).map(({ path }) => path);
  return [outcome, problem.status, problem.code, ...paths].join(" ");
}

const shop = { type: "shop", key: "s-1", data: { name: "Van" } } as const;
const soup = {
  type: "product",
  key: "p-1",
  data: { sku: "SOUP", title: "Soup", priceMinor: 550, vatRate: "standard", allergens: ["celery"] },
} as const;
const ada = { type: "customer", key: "c-1", data: { name: "Ada" } } as const;
const lunch = {
  type: "order",
  key: "o-1",
  data: {
    shopId: "s-1",
    customerId: "c-1",
    items: [{ productId: "p-1", quantity: 2, unitPriceMinor: 550 }],
    state: "pending",
  },
} as const;
const offline: readonly Brought[] = [lunch, ada, soup, shop];

/** Everything that syncing can leave behind. */
async function traces({ db, tenant, events }: Awaited<ReturnType<typeof startOrders>>) {
  const { rows } = await db.query<Record<"orders" | "receipts", unknown[] | null>>(
    tenant,
    `select (select json_agg(s order by id) from shop s) as shops,
            (select json_agg(p order by id) from product p) as products,
            (select json_agg(c order by id) from customer c) as customers,
            (select json_agg(o order by id) from sales_order o) as orders,
            (select json_agg(l order by order_id, position) from sales_order_line l) as lines,
            (select json_agg(r order by type, key) from sync_receipt r) as receipts,
            (select count(*) from platform.audit where resource_type in
              ('shop', 'product', 'customer', 'order')) as records`,
  );
  return { orders: null, receipts: null, ...rows[0], events: await events() };
}

function both(name: string, work: (t: TestContext, isolation: Isolation) => Promise<void>): void {
  for (const isolation of ["shared", "dedicated"] as const) {
    test(`${isolation}: ${name}`, (t) => work(t, isolation));
  }
}

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
    "refused 422 ERR_REQUEST_INVALID /items/7/data/state",
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

// Guards against syncing as a way around roles: each item needs what its own endpoint needs.
both("each item needs the permission of its type, and reaches as far", async (t, isolation) => {
  const house = await startOrders(t, isolation);
  const { admin, user } = house;
  const product = await makeProduct(admin);
  const open = await makeShop(admin);
  const theirs = await makeOrder(admin, open, [[product, 1]]);
  const data = { shopId: open.id, items: [{ productId: product.id, quantity: 1 }] };
  const mine = { type: "order", key: "o-5", data } as const;
  const results = await send(user, [
    shop,
    soup,
    { type: "product", key: product.id, baseVersion: 1, data: { priceMinor: 1 } },
    { type: "product", key: product.id, baseVersion: 1, data: null },
    ada,
    mine,
    { type: "order", key: theirs.id, baseVersion: 1, data: { notes: "Mine" } },
  ]);
  assert.deepEqual(results.map(told), [
    "refused 403 ERR_ACCESS_FORBIDDEN",
    "refused 403 ERR_ACCESS_FORBIDDEN",
    "refused 403 ERR_ACCESS_FORBIDDEN",
    "refused 403 ERR_ACCESS_FORBIDDEN",
    "applied 1",
    "applied 1",
    "refused 404 ERR_REQUEST_NOT_FOUND",
  ]);
  assert.deepEqual((await admin.get(`/products/${product.id}`)).body, product);
  assert.equal((await admin.get(`/orders/${theirs.id}`)).body.version, 1);
  // Another user who knows the till and its keys gets neither the order nor a second one.
  await send(admin, [{ ...mine, key: "o-6" }]);
  const [foreign, changed] = await send(user, [
    { ...mine, key: "o-6" },
    { ...mine, key: "o-6", baseVersion: 1, data: { notes: "Mine" } },
  ]);
  assert.deepEqual([foreign, changed].map(told), [
    "refused 404 ERR_REQUEST_NOT_FOUND",
    "refused 404 ERR_REQUEST_NOT_FOUND",
  ]);
  assert.equal((await admin.get("/orders")).body.items.length, 3);
});

// Guards against reaching another tenant's resources, or its tills' keys, by naming them.
both("another tenant's ids and keys are like unknown ones", async (t, isolation) => {
  const house = await startOrders(t, isolation);
  const { admin, stranger } = house;
  await send(admin, offline);
  const product = await makeProduct(admin);
  const customer = await makeCustomer(admin);
  const before = await traces(house);
  const unknownId = "019a0000-0000-7000-8000-000000000000";
  const attempts = (id: string): Brought[] => [
    { type: "product", key: id, baseVersion: 1, data: { priceMinor: 1 } },
    { type: "product", key: id, baseVersion: 9, data: { priceMinor: 1 } },
    { type: "product", key: id, baseVersion: 1, data: null },
    {
      type: "order",
      key: "o-5",
      data: { shopId: "s-5", items: [{ productId: id, quantity: 1 }] },
    },
  ];
  const anonymous = (results: SyncResult[], id: string) =>
    JSON.stringify(results).replaceAll(id, "<id>");
  await send(stranger, [{ ...shop, key: "s-5", data: { name: "Stall" } }]);
  for (const { id } of [product, customer]) {
    assert.equal(
      anonymous(await send(stranger, attempts(id)), id),
      anonymous(await send(stranger, attempts(unknownId)), unknownId),
    );
  }
  // The same till name and keys there are another till and other keys.
  const own = await send(stranger, offline);
  assert.ok(own.every(({ outcome }) => outcome === "applied"));
  assert.deepEqual(await traces(house), before);
});

// Guards against a batch that nobody could work through, and against shapes that no item has.
test("a batch has 1 to 200 items of a known shape", async (t) => {
  const { admin, user, nobody } = await startOrders(t, "shared");
  const post = (items: unknown, caller = admin) => caller.post("/orders/sync", { items });
  const item = { clientId, ...ada };
  assert.equal(refusal(await post([])), "422 ERR_REQUEST_INVALID /items");
  assert.equal(
    refusal(await post(Array.from({ length: 201 }, () => item))),
    "422 ERR_REQUEST_INVALID /items",
  );
  for (const wrong of [
    { ...item, type: "transaction" },
    { ...item, key: "" },
    { ...item, clientId: undefined },
    { ...item, baseVersion: -1 },
    { ...item, data: [] },
    { ...item, data: undefined },
    { ...item, extra: 1 },
  ]) {
    const [status, code] = refusal(await post([wrong])).split(" ");
    assert.deepEqual([status, code], ["422", "ERR_REQUEST_INVALID"], JSON.stringify(wrong));
  }
  assert.equal(refusal(await post([item], nobody)), "401 ERR_IDENTITY_UNAUTHENTICATED");
  const full = await send(
    user,
    Array.from({ length: 200 }, (_, at) => ({ ...ada, key: `c-${at}` })),
  );
  assert.ok(full.every(({ outcome }) => outcome === "applied"));
});

// Guards against receipts that grow without end, and a change of old that is applied once more.
test("a hundred changes of a resource are known again, and none is repeated", async (t) => {
  const { admin, db, tenant } = await startOrders(t, "shared");
  await send(admin, [ada]);
  const change = (version: number) => ({
    ...ada,
    baseVersion: version,
    data: { name: `Ada ${version}` },
  });
  for (let version = 1; version <= 110; version += 1) await send(admin, [change(version)]);
  const { rows } = await db.query(tenant, "select cardinality(changes) as n from sync_receipt");
  assert.deepEqual(rows, [{ n: 100 }]);
  const [recent, old] = await send(admin, [change(50), change(3)]);
  assert.deepEqual([recent, old].map(told), ["unchanged 111", "conflict 111"]);
});
