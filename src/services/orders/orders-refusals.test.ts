import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ifMatch,
  makeCustomer,
  makeOrder,
  makeProduct,
  makeShop,
  moveTo,
  refusal,
  startOrders,
} from "./fixture.ts";

const unknownId = "019a0000-0000-7000-8000-000000000000";
const invalid = "422 ERR_REQUEST_INVALID";

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against an order that is taken although something in it is wrong, or not said where.
  test(`${isolation}: what is wrong with an order is refused by code and place`, async (t) => {
    const { admin, stranger, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const closed = await makeShop(admin, { name: "Closed", active: false });
    const product = await makeProduct(admin);
    const off = await makeProduct(admin, { sku: "OFF", active: false });
    const gone = await makeCustomer(admin, { name: "Gone", active: false });
    const foreign = {
      shop: (await makeShop(stranger)).id,
      product: (await makeProduct(stranger)).id,
      customer: (await makeCustomer(stranger)).id,
    };
    const draft = await makeOrder(admin, shop, [[product, 1]]);
    const item = { productId: product.id, quantity: 1 };
    const many = Array.from({ length: 101 }, () => item);
    const code = (name: string) => `422 ERR_ORDERS_${name}`;
    const table: [body: Record<string, unknown>, expected: string][] = [
      [{ items: [] }, `${invalid} /items`],
      [{ items: many }, `${invalid} /items`],
      [{ items: "1" }, `${invalid} /items`],
      [{ items: [{ ...item, quantity: "2" }] }, `${invalid} /items/0/quantity`],
      [{ items: [{ ...item, productId: "A-1" }] }, `${invalid} /items/0/productId`],
      [{ items: [{ ...item, discount: 5 }] }, `${invalid} /items/0/discount`],
      [{ state: "completed" }, `${invalid} /state`],
      [{ number: "261120-AAAAA" }, `${invalid} /number`],
      [{ ownerId: "me" }, `${invalid} /ownerId`],
      [{ customerEmail: "nobody" }, `${invalid} /customerEmail`],
      [{ notes: "x".repeat(2_001) }, `${invalid} /notes`],
      [{ totalMinor: 475 }, `${code("TOTALS_ARE_COMPUTED")} /totalMinor`],
      [{ netMinor: null, vatMinor: "" }, `${code("TOTALS_ARE_COMPUTED")} /netMinor /vatMinor`],
      [
        { items: [{ ...item, unitPriceMinor: 1 }] },
        `${code("TOTALS_ARE_COMPUTED")} /items/0/unitPriceMinor`,
      ],
      [{ items: [{ ...item, title: "x" }] }, `${code("TOTALS_ARE_COMPUTED")} /items/0/title`],
      [{ items: [{ ...item, quantity: 0 }] }, `${code("BAD_QUANTITY")} /items/0/quantity`],
      [{ items: [{ ...item, quantity: -1 }] }, `${code("BAD_QUANTITY")} /items/0/quantity`],
      [{ items: [{ ...item, quantity: 1.5 }] }, `${code("BAD_QUANTITY")} /items/0/quantity`],
      [{ items: [{ ...item, quantity: 10_001 }] }, `${code("BAD_QUANTITY")} /items/0/quantity`],
      [{ items: [item, item] }, `${code("DUPLICATE_LINE")} /items/1/productId`],
      [{ currency: "EUR" }, `${code("MIXED_CURRENCIES")} /currency`],
      [{ items: [{ ...item, currency: "EUR" }] }, `${code("MIXED_CURRENCIES")} /items/0/currency`],
      [{ shopId: unknownId }, `${code("UNKNOWN_SHOP")} /shopId`],
      [{ shopId: foreign.shop }, `${code("UNKNOWN_SHOP")} /shopId`],
      [{ shopId: closed.id }, `${code("RETIRED")} /shopId`],
      [{ customerId: unknownId }, `${code("UNKNOWN_CUSTOMER")} /customerId`],
      [{ customerId: foreign.customer }, `${code("UNKNOWN_CUSTOMER")} /customerId`],
      [{ customerId: gone.id }, `${code("RETIRED")} /customerId`],
      [
        { items: [item, { ...item, productId: foreign.product }] },
        `${code("UNKNOWN_PRODUCT")} /items/1/productId`,
      ],
      [{ items: [{ ...item, productId: off.id }] }, `${code("RETIRED")} /items/0/productId`],
    ];
    const before = await events();
    for (const [body, expected] of table) {
      const what = JSON.stringify(body).slice(0, 80);
      const made = await admin.post("/orders", { shopId: shop.id, items: [item], ...body });
      assert.equal(refusal(made), expected, what);
      const changed = await admin.patch(`/orders/${draft.id}`, body, ifMatch('"1"'));
      assert.equal(refusal(changed), expected, what);
    }
    for (const [body, expected] of [
      [{}, `${invalid} /shopId /items`],
      [[], `${invalid} `],
      [null, `${invalid} `],
    ] as const) {
      assert.equal(refusal(await admin.post("/orders", body)), expected);
    }
    const { detail, errors } = (
      await admin.post("/orders", { shopId: shop.id, items: [{ ...item, quantity: 1.5 }] })
    ).body;
    assert.equal(detail, "A quantity is a whole number from 1 to 10000, not 1.5.");
    assert.match(errors[0].message, /and is 1\.5$/);
    // What is another tenant's reads like what does not exist.
    const ask = (shopId: string) =>
      admin.post("/orders", { shopId, items: [item] }, { "x-request-id": "same" });
    const [theirs, nobodys] = [await ask(foreign.shop), await ask(unknownId)];
    assert.equal(theirs.text.replaceAll(foreign.shop, unknownId), nobodys.text);

    assert.deepEqual((await admin.get("/orders")).body.items.length, 1);
    assert.deepEqual((await admin.get(`/orders/${draft.id}`)).body, draft);
    assert.deepEqual(await events(), before);
  });

  // Guards against a change to what was agreed on, and against one that overwrites another.
  test(`${isolation}: only a draft is changed, and only as it was read`, async (t) => {
    const { admin, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin, { stock: 10 });
    const order = await makeOrder(admin, shop, [[product, 1]]);
    const path = `/orders/${order.id}`;
    const change = { notes: "x" };
    assert.equal(refusal(await admin.patch(path, change)), "428 ERR_REQUEST_VERSION_REQUIRED");
    const conflict = "412 ERR_REQUEST_VERSION_CONFLICT";
    assert.equal(refusal(await admin.patch(path, change, ifMatch('"2"'))), conflict);
    assert.equal(refusal(await admin.post(`${path}/submit`, {}, ifMatch('"2"'))), conflict);
    assert.equal(refusal(await admin.patch(path, {}, ifMatch('"1"'))), `${invalid} `);
    assert.deepEqual((await admin.get(path)).body, order);
    assert.equal((await admin.post(`${path}/submit`, {}, ifMatch('"1"'))).status, 200);
    const before = [(await admin.get(path)).body, await events()];
    const late = await admin.patch(path, change, ifMatch('"2"'));
    assert.equal(refusal(late), "409 ERR_ORDERS_NOT_A_DRAFT");
    assert.equal(late.body.state, "pending");
    for (const address of ["submit", "confirm", "cancel"].map((event) => `${path}/${event}`)) {
      const empty = await admin.post(address, { reason: " " });
      assert.equal(refusal(empty), `${invalid} /reason`);
      assert.equal(refusal(await admin.post(address, { state: "x" })), `${invalid} /state`);
    }
    assert.deepEqual([(await admin.get(path)).body, await events()], before);
  });

  // Guards against a confirmation that promises what is not there, or takes half of it.
  test(`${isolation}: without enough of everything nothing is confirmed or taken`, async (t) => {
    const { admin, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const roll = await makeProduct(admin, { stock: 5 });
    const loaf = await makeProduct(admin, { sku: "LOAF", title: "Rye loaf", stock: 1 });
    const cake = await makeProduct(admin, { sku: "CAKE", title: "Cake", stock: 0 });
    const items = [
      [roll, 5],
      [loaf, 2],
      [cake, 1],
    ] as const;
    const order = await moveTo(admin, await makeOrder(admin, shop, items), "pending");
    const before = await events();
    const refused = await admin.post(`/orders/${order.id}/confirm`);
    assert.equal(refusal(refused), "409 ERR_ORDERS_OUT_OF_STOCK");
    const short = [
      { productId: loaf.id, title: "Rye loaf", wanted: 2, left: 1 },
      { productId: cake.id, title: "Cake", wanted: 1, left: 0 },
    ];
    assert.deepEqual(refused.body.products, short);
    assert.match(refused.body.detail, /^Rye loaf: 2 wanted, 1 left; Cake: .* Nothing was taken\.$/);
    assert.deepEqual((await admin.get(`/orders/${order.id}`)).body, order);
    for (const product of [roll, loaf, cake]) {
      assert.deepEqual((await admin.get(`/products/${product.id}`)).body, product);
    }
    assert.deepEqual(await events(), before);
  });

  // Guards against an order whose shop, product or customer is gone.
  test(`${isolation}: what orders refer to is retired, not deleted`, async (t) => {
    const { admin, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin);
    const customer = await makeCustomer(admin);
    const order = await makeOrder(admin, shop, [[product, 1]], { customerId: customer.id });
    await admin.post(`/orders/${order.id}/cancel`);
    const before = await events();
    const document = (await admin.raw("GET", "/openapi.json")).body;
    for (const path of [
      `/shops/${shop.id}`,
      `/products/${product.id}`,
      `/customers/${customer.id}`,
    ]) {
      const refused = await admin.delete(path);
      assert.equal(refusal(refused), "409 ERR_ORDERS_IN_USE", path);
      const template = `/api/v1${path.replace(/[^/]+$/, "{id}")}`;
      assert.ok(document.paths[template].delete.responses[409], `${path} is documented`);
      assert.equal((await admin.get(path)).status, 200);
    }
    assert.deepEqual(await events(), before);
    for (const path of [`/shops/${shop.id}`, `/products/${product.id}`]) {
      assert.equal((await admin.patch(path, { active: false }, ifMatch('"1"'))).status, 200);
    }
    assert.equal(
      refusal(await admin.raw("DELETE", `/api/v1/orders/${order.id}`)),
      "405 ERR_REQUEST_METHOD_NOT_ALLOWED",
    );
  });
}
