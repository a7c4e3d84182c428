import assert from "node:assert/strict";
import type { Client } from "#kernel/testing/client.ts";
import {
  ifMatch,
  makeCustomer,
  makeOrder,
  makeProduct,
  makeShop,
  refusal,
  startOrders,
} from "./fixture.ts";
import { both } from "./fixtures/both.ts";

async function change(admin: Client, path: string, body: object): Promise<void> {
  const { headers } = await admin.get(path);
  const answer = await admin.patch(path, body, ifMatch(headers.etag as string));
  assert.equal(answer.status, 200, answer.text);
}

// Guards against orders for what is not sold any more, taken down while it still was.
both("a draft that names what is retired by now can't be submitted", async (t, isolation) => {
  const house = await startOrders(t, isolation);
  const { admin } = house;
  const shop = await makeShop(admin);
  const [rolls, tea] = [
    await makeProduct(admin),
    await makeProduct(admin, { sku: "TEA", title: "Tea" }),
  ];
  const ada = await makeCustomer(admin);
  const items = [[rolls, 1] as const, [tea, 2] as const];
  const draft = await makeOrder(admin, shop, items, { customerId: ada.id });
  assert.ok(!("obstacles" in draft));
  const of = `/orders/${draft.id}`;
  assert.ok(!("obstacles" in (await admin.get(of)).body));

  await change(admin, `/products/${tea.id}`, { active: false });
  const shown = (await admin.get(of)).body;
  assert.deepEqual(shown.obstacles, [
    { code: "ERR_ORDERS_RETIRED", path: "/items/1/productId", message: "Tea is off sale" },
  ]);
  assert.equal(
    refusal(await admin.post(`${of}/submit`)),
    "422 ERR_ORDERS_RETIRED /items/1/productId",
  );
  await change(admin, `/shops/${shop.id}`, { active: false });
  await change(admin, `/customers/${ada.id}`, { active: false });
  const all = "/shopId /customerId /items/1/productId";
  assert.equal(refusal(await admin.post(`${of}/submit`)), `422 ERR_ORDERS_RETIRED ${all}`);
  const after = (await admin.get(of)).body;
  assert.deepEqual([after.state, after.version], ["draft", 1]);
  assert.ok((await house.events()).every(({ type }) => type !== "order.submitted"));

  // Told wherever the order is; gone when what is wrong is put right, and when it is cancelled.
  const patched = await admin.patch(of, { notes: "Soon" }, ifMatch('"1"'));
  assert.equal(patched.body.obstacles.length, 3);
  const item = { type: "order", key: draft.id, clientId: "till-1", baseVersion: 2, data: {} };
  const synced = await admin.post("/orders/sync", { items: [item] });
  assert.deepEqual(synced.body.items[0].resource, (await admin.get(of)).body);
  await change(admin, `/shops/${shop.id}`, { active: true });
  const onlyRolls = { items: [{ productId: rolls.id, quantity: 1 }], customerId: null };
  const mended = await admin.patch(of, onlyRolls, ifMatch('"2"'));
  assert.ok(!("obstacles" in mended.body), mended.text);
  assert.equal((await admin.post(`${of}/submit`)).status, 200);
  // What was ordered goes on.
  await change(admin, `/shops/${shop.id}`, { active: false });
  assert.ok(!("obstacles" in (await admin.get(of)).body));
  assert.equal((await admin.post(`${of}/confirm`)).status, 200);
});

// Guards against prices that were pounds when they were said, and are euros when they are paid.
both("a draft in a currency that its shop has left can't be submitted", async (t, isolation) => {
  const { admin } = await startOrders(t, isolation);
  const shop = await makeShop(admin);
  const product = await makeProduct(admin);
  const draft = await makeOrder(admin, shop, [[product, 2]]);
  const of = `/orders/${draft.id}`;
  await change(admin, `/shops/${shop.id}`, { currency: "EUR" });
  const shown = (await admin.get(of)).body;
  assert.deepEqual(
    [shown.currency, shown.obstacles[0].code, shown.obstacles[0].path],
    ["GBP", "ERR_ORDERS_CURRENCY_CHANGED", "/currency"],
  );
  const refused = await admin.post(`${of}/submit`);
  assert.equal(refusal(refused), "409 ERR_ORDERS_CURRENCY_CHANGED /currency");
  assert.match(refused.body.detail, /is GBP, while Deli takes EUR by now; change its items/);
  // Other changes leave it as it is; items are priced anew, in what the shop takes now.
  const noted = await admin.patch(of, { notes: "Soon" }, ifMatch('"1"'));
  assert.equal(noted.body.currency, "GBP");
  const items = [{ productId: product.id, quantity: 2, currency: "EUR" }];
  const priced = await admin.patch(of, { items }, ifMatch('"2"'));
  assert.deepEqual([priced.status, priced.body.currency], [200, "EUR"], priced.text);
  assert.equal((await admin.post(`${of}/submit`)).status, 200);
  // Agreed on, it keeps its currency, whatever the shop takes later.
  await change(admin, `/shops/${shop.id}`, { currency: "USD" });
  assert.equal((await admin.post(`${of}/confirm`)).body.currency, "EUR");
});
