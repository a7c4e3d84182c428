import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestResponse } from "#kernel/testing/client.ts";
import {
  ifMatch,
  makeOrder,
  makeProduct,
  makeShop,
  moveTo,
  refusal,
  startOrders,
} from "./fixture.ts";
import { orderEventNames, type OrderEventName, transitions } from "./rules/orders.ts";

const atOnceMost = 64;

/** Runs `work` for every item, `atOnceMost` at a time. */
async function forEach<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  const worker = async () => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: atOnceMost }, worker));
}

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against two people who both believe that they moved the order on.
  test(`${isolation}: of two moves at once one wins, the other gets 409`, async (t) => {
    const { admin, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin, { stock: 100 });
    const pairs: [OrderEventName, OrderEventName][] = [
      ...orderEventNames.map((event): [OrderEventName, OrderEventName] => [event, event]),
      ["confirm", "cancel"],
      ["complete", "cancel"],
    ];
    let taken = 0;
    for (const [left, right] of pairs) {
      const from = transitions[left].from[0];
      const order = await moveTo(admin, await makeOrder(admin, shop, [[product, 1]]), from);
      const answers = await Promise.all(
        [left, right].map((event) => admin.post(`/orders/${order.id}/${event}`)),
      );
      const now = (await admin.get(`/orders/${order.id}`)).body;
      const won = answers.filter(({ status }) => status === 200);
      // Cancelling may follow upon confirming: then both have won, one after the other.
      const inTurn = now.state === "cancelled" && left === "confirm" && right === "cancel";
      assert.ok(won.length === 1 || (inTurn && won.length === 2), `${left} ${right}`);
      assert.equal(now.version, order.version + won.length);
      for (const lost of answers.filter(({ status }) => status !== 200)) {
        assert.equal(refusal(lost), "409 ERR_ORDERS_ILLEGAL_TRANSITION");
        assert.deepEqual([lost.body.state, lost.body.allowed], [now.state, now.allowedTransitions]);
      }
      const told = (await events()).filter(({ resource }) => resource.id === order.id);
      assert.equal(told.length, now.version);
      if (["confirmed", "preparing", "ready", "completed"].includes(now.state)) taken += 1;
      const { stock } = (await admin.get(`/products/${product.id}`)).body;
      assert.equal(stock, 100 - taken, `${left} ${right}`);
    }
  });

  // Guards against a draft that changes between being read and being submitted.
  test(`${isolation}: of a change and a submit at once, what was submitted stays`, async (t) => {
    const { admin } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin);
    for (let round = 0; round < 10; round += 1) {
      const order = await makeOrder(admin, shop, [[product, 1]]);
      const path = `/orders/${order.id}`;
      const items = [{ productId: product.id, quantity: 2 }];
      const [changed, submitted, again] = await Promise.all([
        admin.patch(path, { items }, ifMatch('"1"')),
        admin.post(`${path}/submit`),
        admin.patch(path, { items, notes: "x" }, ifMatch('"1"')),
      ]);
      const now = (await admin.get(path)).body;
      assert.equal(submitted?.status, 200, submitted?.text);
      assert.deepEqual(submitted?.body, now);
      const changes = [changed, again].filter((answer) => answer?.status === 200).length;
      assert.equal(now.items[0].quantity, changes === 0 ? 1 : 2);
      assert.deepEqual([now.totalMinor, now.version], [now.items[0].totalMinor, changes + 2]);
      assert.ok(changes <= 1);
    }
  });

  // Guards against orders of the same products that wait for each other for ever.
  test(`${isolation}: orders of the same products in another order never deadlock`, async (t) => {
    const { admin, server } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const products = [];
    for (let n = 0; n < 4; n += 1) {
      products.push(await makeProduct(admin, { sku: `P${n}`, stock: 1_000 }));
    }
    const orders: { id: string }[] = [];
    for (let n = 0; n < 40; n += 1) {
      const items = products.map((product) => [product, 1] as const);
      const turned = n % 2 === 0 ? items : items.reverse();
      orders.push(await moveTo(admin, await makeOrder(admin, shop, turned), "pending"));
    }
    const statuses = new Set<number>();
    for (const event of ["confirm", "cancel"]) {
      await forEach(orders, async ({ id }) => {
        statuses.add((await admin.post(`/orders/${id}/${event}`)).status);
      });
    }
    assert.deepEqual([...statuses], [200]);
    for (const product of products) {
      assert.equal((await admin.get(`/products/${product.id}`)).body.stock, 1_000);
    }
    assert.deepEqual(server.logs, []);
  });

  // Guards against selling what is not there: the promise that this service stands for.
  test(`${isolation}: 1,000 confirms of 100 units: 100 are confirmed, none oversold`, async (t) => {
    const { admin, db, tenant, server } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin, { stock: 100 });
    const first = await makeOrder(admin, shop, [[product, 1]]);
    const { random } = server.app.depsOf("orders");
    const ids = [first.id, ...Array.from({ length: 999 }, () => random.id())];
    await db.inTenant(tenant, async (tx) => {
      await tx.query(copyOfOrders, [first.id, ids.slice(1)]);
      await tx.query(copyOfLines, [first.id, ids.slice(1)]);
      await tx.query("update sales_order set state = 'pending'");
    });
    const answers: TestResponse[] = [];
    await forEach(ids, async (id) => {
      answers.push(await admin.post(`/orders/${id}/confirm`));
    });
    const confirmed = answers.filter(({ status }) => status === 200);
    assert.equal(confirmed.length, 100);
    assert.equal(new Set(confirmed.map(({ body }) => body.id)).size, 100);
    for (const refused of answers.filter(({ status }) => status !== 200)) {
      assert.equal(refusal(refused), "409 ERR_ORDERS_OUT_OF_STOCK");
      assert.deepEqual(refused.body.products, [
        { productId: product.id, title: product.title, wanted: 1, left: 0 },
      ]);
    }
    assert.equal((await admin.get(`/products/${product.id}`)).body.stock, 0);
    const { counts } = (await admin.get("/orders/summary")).body;
    assert.deepEqual([counts.pending, counts.confirmed], [900, 100]);
    const { rows } = await db.query(
      tenant,
      `select sum(reserved) as reserved, count(*) filter (where type = 'order.confirmed') as told,
              count(*) filter (where type = 'product.stock_low') as low
         from (select reserved, null as type from sales_order_line
               union all select null, type from platform.event) as seen`,
    );
    assert.deepEqual(rows, [{ reserved: 100, told: 100, low: 1 }]);
  });
}

const copyOfOrders = `
  insert into sales_order
  select (jsonb_populate_record(o, jsonb_build_object('id', new_id,
           'number', '260101-' || lpad(n::text, 5, '0')))).*
    from sales_order o, unnest($2::uuid[]) with ordinality as made (new_id, n)
   where o.id = $1`;

const copyOfLines = `
  insert into sales_order_line
  select (jsonb_populate_record(l, jsonb_build_object('order_id', new_id))).*
    from sales_order_line l, unnest($2::uuid[]) as made (new_id)
   where l.order_id = $1`;
