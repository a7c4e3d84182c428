import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestResponse } from "#kernel/testing/client.ts";
import {
  ifMatch,
  makeCustomer,
  makeOrder,
  makeProduct,
  makeShop,
  refusal,
  startOrders,
} from "./fixture.ts";
import { allergenNames } from "./rules/allergens.ts";

const minuteMs = 60_000;
const types = (events: readonly { type: string }[]) => events.map(({ type }) => type);

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against an order that is not what was asked for, at the prices and VAT of the day.
  test(`${isolation}: an order is taken as a draft, and computed`, async (t) => {
    const { admin, user, userId } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const roll = await makeProduct(admin, { allergens: ["gluten", "milk"] });
    const loaf = await makeProduct(admin, {
      sku: "LOAF",
      title: "Rye loaf",
      priceMinor: 333,
      vatRate: "zero",
    });
    const customer = await makeCustomer(user, { email: "ada@example.com", phone: "020 7946 0018" });

    const made = await user.post("/orders", {
      shopId: shop.id,
      customerId: customer.id,
      items: [
        { productId: roll.id, quantity: 4, currency: "GBP" },
        { productId: loaf.id, quantity: 3 },
      ],
    });
    assert.equal(made.status, 201, made.text);
    const { id, number, createdAt } = made.body;
    assert.match(number, /^260101-[0-9A-HJKMNP-TV-Z]{5}$/);
    assert.deepEqual(made.body, {
      id,
      number,
      shopId: shop.id,
      customerId: customer.id,
      customerName: "Ada Lovelace",
      customerEmail: "ada@example.com",
      customerPhone: "020 7946 0018",
      notes: "",
      state: "draft",
      currency: "GBP",
      items: [
        {
          productId: roll.id,
          title: "Sausage roll",
          quantity: 4,
          unitPriceMinor: 475,
          vatRate: "standard",
          totalMinor: 1_900,
          vatMinor: 317,
          allergens: ["gluten", "milk"],
        },
        {
          productId: loaf.id,
          title: "Rye loaf",
          quantity: 3,
          unitPriceMinor: 333,
          vatRate: "zero",
          totalMinor: 999,
          vatMinor: 0,
          allergens: [],
        },
      ],
      netMinor: 2_582,
      vatMinor: 317,
      totalMinor: 2_899,
      allergenWarnings: [],
      acknowledgedAllergens: false,
      ownerId: userId,
      allowedTransitions: ["submit", "cancel"],
      version: 1,
      createdAt,
      updatedAt: createdAt,
    });
    const path = `/orders/${id}`;
    assert.equal(made.headers.location, `/api/v1${path}`);
    const got = await user.get(path);
    assert.deepEqual([got.body, got.headers.etag], [made.body, '"1"']);

    const items = [{ productId: roll.id, quantity: 5 }];
    const changed = await user.patch(path, { items, notes: "No bag" }, ifMatch('"1"'));
    assert.equal(changed.status, 200, changed.text);
    assert.deepEqual((await user.get(path)).body, changed.body);
    assert.deepEqual([changed.body.totalMinor, changed.body.items.length], [2_375, 1]);
  });

  // Guards against an order that loses its way, its stock or its money, or what happened to it.
  test(`${isolation}: the whole life of an order`, async (t) => {
    const { admin, adminEmail, user, userId, clock, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const roll = await makeProduct(admin, { stock: 8 });
    const setUp = (await events()).length;
    const { id, number, createdAt } = await makeOrder(user, shop, [[roll, 4]]);
    const path = `/orders/${id}`;
    const items = [{ productId: roll.id, quantity: 5 }];
    assert.equal((await user.patch(path, { items }, ifMatch('"1"'))).status, 200);
    const steps: [caller: typeof admin, event: string, state: string, left: number][] = [
      [user, "submit", "pending", 8],
      [admin, "confirm", "confirmed", 3],
      [admin, "start-preparation", "preparing", 3],
      [admin, "mark-ready", "ready", 3],
      [admin, "complete", "completed", 3],
    ];
    for (const [index, [caller, event, state, left]] of steps.entries()) {
      clock.advance(minuteMs);
      const moved = await caller.post(`${path}/${event}`, { reason: `So: ${event}` });
      assert.equal(moved.status, 200, moved.text);
      assert.deepEqual([moved.body.state, moved.headers.etag], [state, `"${index + 3}"`]);
      assert.deepEqual((await caller.get(path)).body, moved.body);
      assert.equal((await admin.get(`/products/${roll.id}`)).body.stock, left, event);
    }
    const done = (await user.get(path)).body;
    assert.deepEqual([done.allowedTransitions, done.createdAt], [[], createdAt]);
    assert.equal(done.updatedAt, "2026-01-01T00:05:00.000000Z");

    const ledger = (await admin.get(`/transactions?orderId=${id}`)).body.items;
    const entryId = ledger[0].id;
    assert.deepEqual(ledger, [
      {
        id: entryId,
        amountMinor: 2_375,
        vatRate: "standard",
        vatMinor: 396,
        currency: "GBP",
        orderId: id,
        reference: number,
        version: 1,
        createdAt: "2026-01-01T00:05:00.000000Z",
        updatedAt: "2026-01-01T00:05:00.000000Z",
      },
    ]);

    const history = (await user.get(`${path}/history`)).body.items.reverse();
    assert.deepEqual(
      history.map((entry: { action: string; after: Record<string, unknown> }) => [
        entry.action,
        entry.after.state,
        entry.after.version,
        entry.after.reason,
      ]),
      [
        ["order.create", "draft", 1, undefined],
        ["order.update", "draft", 2, undefined],
        ["order.submit", "pending", 3, "So: submit"],
        ["order.confirm", "confirmed", 4, "So: confirm"],
        ["order.start-preparation", "preparing", 5, "So: start-preparation"],
        ["order.mark-ready", "ready", 6, "So: mark-ready"],
        ["order.complete", "completed", 7, "So: complete"],
      ],
    );
    assert.deepEqual(history[3].before, { state: "pending", version: 3 });
    assert.deepEqual(history[3].after.reserved, [{ productId: roll.id, quantity: 5 }]);
    assert.equal(history[3].actor.name, adminEmail);
    assert.deepEqual(history[6].after.transactions, [entryId]);

    const told = (await events()).slice(setUp);
    assert.deepEqual(types(told), [
      "order.created",
      "order.updated",
      "order.submitted",
      "product.stock_low",
      "order.confirmed",
      "order.preparation_started",
      "order.ready",
      "transaction.created",
      "order.completed",
    ]);
    const confirmed = told.find(({ type }) => type === "order.confirmed");
    assert.deepEqual([confirmed?.ownerId, confirmed?.resource.id], [userId, id]);
    assert.deepEqual([confirmed?.data.state, confirmed?.data.totalMinor], ["confirmed", 2_375]);
    assert.equal(confirmed?.data.reason, "So: confirm");
    const low = told.find(({ type }) => type === "product.stock_low");
    assert.deepEqual([low?.data.id, low?.data.stock], [roll.id, 3]);
  });

  // Guards against an order that changes under the customer because a price or a name did.
  test(`${isolation}: an order keeps what it was ordered at`, async (t) => {
    const { admin, user } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const [roll, loaf] = [await makeProduct(admin), await makeProduct(admin, { sku: "LOAF" })];
    const customer = await makeCustomer(admin, { email: "ada@example.com" });
    const order = await makeOrder(
      user,
      shop,
      [
        [roll, 1],
        [loaf, 1],
      ],
      { customerId: customer.id, customerPhone: "1" },
    );
    const newer = { priceMinor: 1, title: "New", vatRate: "zero", active: false };
    await admin.patch(`/products/${loaf.id}`, newer, ifMatch('"1"'));
    await admin.patch(`/customers/${customer.id}`, { name: "A. King" }, ifMatch('"1"'));
    await admin.patch(`/shops/${shop.id}`, { currency: "EUR", active: false }, ifMatch('"1"'));
    const path = `/orders/${order.id}`;
    const noted = await user.patch(path, { notes: "No bag" }, ifMatch('"1"'));
    assert.deepEqual(noted.body, {
      ...order,
      notes: "No bag",
      version: 2,
      updatedAt: noted.body.updatedAt,
      obstacles: noted.body.obstacles,
    });
    // Items that are sent anew get today's prices; a new customer brings its own address.
    const bob = await makeCustomer(admin, { name: "Bob", phone: "2" });
    const items = [{ productId: roll.id, quantity: 2 }];
    await admin.patch(`/products/${roll.id}`, { priceMinor: 500 }, ifMatch('"1"'));
    const change = { items, customerId: bob.id, customerEmail: "b@example.com" };
    const changed = (await user.patch(path, change, ifMatch('"2"'))).body;
    assert.deepEqual(
      [changed.customerName, changed.customerEmail, changed.customerPhone, changed.totalMinor],
      ["Bob", "b@example.com", "2", 1_000],
    );
    const walkIn = { customerId: null, customerName: "Somebody" };
    const without = (await user.patch(path, walkIn, ifMatch('"3"'))).body;
    assert.deepEqual(
      [without.customerId, without.customerName, without.customerPhone],
      [null, "Somebody", null],
    );
    const euro = await makeShop(admin, { name: "Calais", currency: "EUR" });
    const moved = (await user.patch(path, { shopId: euro.id }, ifMatch('"4"'))).body;
    assert.deepEqual([moved.currency, moved.shopId, moved.totalMinor], ["EUR", euro.id, 1_000]);
  });

  // Guards against somebody who is made ill because nobody looked, and a warning that nobody took.
  test(`${isolation}: allergens are shown, asked about at submit, and audited`, async (t) => {
    const { admin, user } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const cake = await makeProduct(admin, { title: "Cake", allergens: ["eggs", "nuts"] });
    const plain = await makeProduct(admin, { sku: "PLAIN", title: "Plain", allergens: ["milk"] });
    const customer = await makeCustomer(admin, { allergenRestrictions: ["nuts", "celery"] });
    const order = await makeOrder(user, shop, [[plain, 1]], { customerId: customer.id });
    assert.deepEqual(order.allergenWarnings, []);
    const path = `/orders/${order.id}`;
    const items = [cake, plain].map(({ id }) => ({ productId: id, quantity: 1 }));
    const changed = await user.patch(path, { items }, ifMatch('"1"'));
    const warning = { productId: cake.id, title: "Cake", allergens: ["nuts"] };
    assert.deepEqual(changed.body.allergenWarnings, [warning]);

    for (const body of [undefined, {}, { acknowledgeAllergens: false }]) {
      const refused = await user.post(`${path}/submit`, body);
      assert.equal(
        refusal(refused),
        "409 ERR_ORDERS_ALLERGEN_CONFLICT /acknowledgeAllergens",
        refused.text,
      );
      assert.deepEqual(refused.body.conflicts, [warning]);
      assert.deepEqual(refused.body.allergenRestrictions, ["nuts", "celery"]);
      assert.match(refused.body.detail, /Ada Lovelace must not eat it: Cake holds nuts/);
    }
    assert.deepEqual((await user.get(path)).body, changed.body);

    // A recipe that changed after the order was taken counts, and so does a new restriction.
    await admin.patch(`/products/${plain.id}`, { allergens: ["celery"] }, ifMatch('"1"'));
    const submitted = await user.post(`${path}/submit`, { acknowledgeAllergens: true });
    assert.equal(submitted.status, 200, submitted.text);
    const both = [warning, { productId: plain.id, title: "Plain", allergens: ["celery"] }];
    assert.deepEqual(submitted.body.allergenWarnings, both);
    assert.equal(submitted.body.acknowledgedAllergens, true);
    assert.deepEqual(submitted.body.items[1].allergens, ["celery"]);
    assert.deepEqual((await user.get(path)).body, submitted.body);
    const [record] = (await admin.get(`${path}/history`)).body.items;
    assert.deepEqual(
      [record.action, record.after.acknowledgedAllergens, record.after.allergenWarnings],
      ["order.submit", true, both],
    );

    // Without a conflict there is nothing to acknowledge.
    const harmless = await makeOrder(user, shop, [[cake, 1]]);
    const passed = await user.post(`/orders/${harmless.id}/submit`, { acknowledgeAllergens: true });
    assert.deepEqual([passed.status, passed.body.acknowledgedAllergens], [200, false]);
  });

  // Guards against an order that can be taken and never be told of, because it is too large.
  test(`${isolation}: the largest order there can be is told and moved`, async (t) => {
    const { admin, db, tenant, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const title = "🧀".repeat(127);
    const allergens = [...allergenNames];
    const first = await makeProduct(admin, { title, allergens, stock: 10_000, priceMinor: 9e8 });
    const customer = await makeCustomer(admin, { allergenRestrictions: allergens });
    const { rows } = await db.query<{ id: string }>(
      tenant,
      `insert into product (tenant_id, id, sku, title, ingredients, allergens, price_minor, vat_rate,
                            stock, active)
       select tenant_id, gen_random_uuid(), sku || n, title, ingredients, allergens, price_minor,
              vat_rate, stock, active from product, generate_series(1, 99) n returning id`,
    );
    const long = (length: number) => `x${"\u0001".repeat(length - 2)}x`;
    const items = [first, ...rows].map(({ id }) => ({ productId: id, quantity: 10_000 }));
    const made = await admin.post("/orders", {
      shopId: shop.id,
      customerId: customer.id,
      customerName: long(200),
      customerPhone: long(40),
      notes: long(2_000),
      items,
    });
    assert.equal(made.status, 201, made.text);
    assert.equal(made.body.allergenWarnings.length, 100);
    const path = `/orders/${made.body.id}`;
    const body = { reason: long(500), acknowledgeAllergens: true };
    for (const event of ["submit", "confirm", "cancel"]) {
      const moved = await admin.post(`${path}/${event}`, body);
      assert.equal(moved.status, 200, moved.text);
    }
    const told = (await events()).filter(({ resource }) => resource.type === "order");
    assert.deepEqual(types(told), [
      "order.created",
      "order.submitted",
      "order.confirmed",
      "order.cancelled",
    ]);
    assert.equal(told[3]?.data.items.length, 100);
    assert.equal((await admin.get(`${path}/history`)).body.items.length, 4);
    assert.equal((await admin.get(`/products/${first.id}`)).body.stock, 10_000);
  });

  // Guards against a retry that orders, confirms or books a second time.
  test(`${isolation}: one Idempotency-Key does one thing once`, async (t) => {
    const { admin } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin, { stock: 10 });
    const order = { shopId: shop.id, items: [{ productId: product.id, quantity: 2 }] };
    const twice = async (path: string, body: object | undefined, key: string) => {
      const answers = await Promise.all(
        [1, 2, 3].map(() => admin.post(path, body, { "idempotency-key": key })),
      );
      assert.equal(new Set(answers.map(({ text }) => text)).size, 1, path);
      return answers[0] as TestResponse;
    };
    const made = await twice("/orders", order, "a");
    assert.equal(made.status, 201);
    const path = `/orders/${made.body.id}`;
    for (const event of ["submit", "confirm", "start-preparation", "mark-ready", "complete"]) {
      assert.equal((await twice(`${path}/${event}`, undefined, event)).status, 200, event);
    }
    const refund = { amountMinor: -950, vatRate: "standard", reference: "Cold" };
    assert.equal((await twice("/transactions", refund, "b")).status, 201);
    assert.equal((await admin.get("/orders")).body.items.length, 1);
    assert.equal((await admin.get("/transactions")).body.items.length, 2);
    assert.equal((await admin.get(`/products/${product.id}`)).body.stock, 8);
    assert.equal((await admin.get(`${path}/history`)).body.items.length, 6);
  });
}
