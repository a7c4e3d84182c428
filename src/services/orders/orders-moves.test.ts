import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ifMatch,
  makeOrder,
  makeProduct,
  makeShop,
  moveTo,
  refusal,
  startOrders,
} from "./fixture.ts";
import {
  allowedTransitions,
  orderEventNames,
  orderStates,
  systemCaller,
  transitions,
} from "./rules/orders.ts";

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against any move that the table doesn't have, and against a refusal of one that it has.
  test(`${isolation}: every state and event, on the API`, async (t) => {
    const { admin, events } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const product = await makeProduct(admin, { stock: 1_000 });
    let cells = 0;
    for (const state of orderStates) {
      for (const event of orderEventNames) {
        const draft = await makeOrder(admin, shop, [[product, 1]]);
        const order = await moveTo(admin, draft, state);
        assert.equal(order.state, state);
        const owner = { state, ownerId: order.ownerId };
        assert.deepEqual(order.allowedTransitions, allowedTransitions(owner, systemCaller));
        const before = [(await admin.get(`/products/${product.id}`)).body, (await events()).length];
        const answer = await admin.post(`/orders/${order.id}/${event}`);
        const now = (await admin.get(`/orders/${order.id}`)).body;
        if (order.allowedTransitions.includes(event)) {
          assert.deepEqual([answer.status, now.state], [200, transitions[event].to]);
          assert.equal(now.version, order.version + 1);
        } else {
          assert.equal(refusal(answer), "409 ERR_ORDERS_ILLEGAL_TRANSITION", `${state} ${event}`);
          assert.deepEqual(
            [answer.body.state, answer.body.allowed],
            [state, order.allowedTransitions],
          );
          assert.deepEqual(now, order);
          const after = [
            (await admin.get(`/products/${product.id}`)).body,
            (await events()).length,
          ];
          assert.deepEqual(after, before);
        }
        cells += 1;
      }
    }
    assert.equal(cells, 42);
  });

  // Guards against stock that is lost or made out of nothing when an order is called off.
  test(`${isolation}: cancelling gives back exactly what confirming took`, async (t) => {
    const { admin } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    const counted = await makeProduct(admin, { stock: 10 });
    const free = await makeProduct(admin, { sku: "COFFEE" });
    const stockOf = async ({ id }: { id: string }) =>
      (await admin.get(`/products/${id}`)).body.stock;
    const items = [
      [counted, 3],
      [free, 2],
    ] as const;
    for (const state of ["draft", "pending", "confirmed", "preparing", "ready"] as const) {
      const order = await moveTo(admin, await makeOrder(admin, shop, items), state);
      const taken = state === "draft" || state === "pending" ? 10 : 7;
      assert.deepEqual([await stockOf(counted), await stockOf(free)], [taken, null]);
      const cancelled = await admin.post(`/orders/${order.id}/cancel`, { reason: "Rang off" });
      assert.equal(cancelled.body.state, "cancelled");
      assert.deepEqual([await stockOf(counted), await stockOf(free)], [10, null], state);
    }
    // What began to be counted after it was confirmed gets nothing back, and the other way round.
    const order = await moveTo(admin, await makeOrder(admin, shop, items), "confirmed");
    const set = async (product: { id: string }, stock: number | null) => {
      const { headers } = await admin.get(`/products/${product.id}`);
      await admin.patch(`/products/${product.id}`, { stock }, ifMatch(headers.etag as string));
    };
    await set(counted, null);
    await set(free, 5);
    await admin.post(`/orders/${order.id}/cancel`);
    assert.deepEqual([await stockOf(counted), await stockOf(free)], [null, 5]);
    // A stock that is full stays full.
    await set(counted, 10);
    const last = await moveTo(admin, await makeOrder(admin, shop, [[counted, 10]]), "confirmed");
    await set(counted, 2 ** 31 - 1);
    assert.equal((await admin.post(`/orders/${last.id}/cancel`)).status, 200);
    assert.equal(await stockOf(counted), 2 ** 31 - 1);
  });
}
