import assert from "node:assert/strict";
import { test } from "node:test";
import { makeCustomer, makeOrder, makeProduct, makeShop, refusal, startOrders } from "./fixture.ts";
import { both } from "./fixtures/both.ts";
import {
  ada,
  type Brought,
  clientId,
  offline,
  send,
  shop,
  soup,
  told,
  traces,
} from "./fixtures/sync.ts";
import type { SyncResult } from "./schemas/sync.ts";

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
