import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Client, TestResponse } from "#kernel/testing/client.ts";
import { ifMatch, makeOrder, makeProduct, makeShop, startOrders } from "./fixture.ts";
import { vatWithin } from "./rules/money.ts";
import { orderEventNames, type OrderState, orderStates, totalsOf } from "./rules/orders.ts";

// Random operations, several at once, by an admin and a user. Nothing is said of which of them win:
// whatever they did, what is stored must be explained by what was answered and recorded.

const productCount = 3;
const startStock = 12;
const index = fc.nat({ max: 5 });
const which = fc.nat({ max: productCount - 1 });
const lines = fc.uniqueArray(fc.tuple(which, fc.integer({ min: 1, max: 5 })), {
  minLength: 1,
  maxLength: productCount,
  selector: ([product]) => product,
});
const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("create" as const), lines }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("patch" as const), index, lines }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("move" as const),
      index,
      event: fc.constantFrom(...orderEventNames),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("next" as const), index }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("stock" as const),
      which,
      stock: fc.integer({ min: 0, max: 20 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("price" as const),
      which,
      priceMinor: fc.integer({ min: 0, max: 10_000 }),
    }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer Value> ? Value : never;
const rounds = fc.array(fc.array(operation, { minLength: 1, maxLength: 8 }), {
  minLength: 3,
  maxLength: 8,
});

interface World {
  admin: Client;
  user: Client;
  shop: { id: string };
  products: { id: string }[];
  orders: string[];
}

/** From draft to completed. */
const longestPath = 5;
const refusals = [403, 404, 409, 412];

async function act(world: World, wanted: Operation): Promise<void> {
  const { admin, user, shop, products, orders } = world;
  const itemsOf = (chosen: readonly [number, number][]) =>
    chosen.map(([product, quantity]) => ({ productId: products[product]?.id, quantity }));
  const mind = (answer: TestResponse) => {
    const isFine = answer.status === 200 || refusals.includes(answer.status);
    assert.ok(isFine, `${JSON.stringify(wanted)}: ${answer.text}`);
  };
  if (wanted.kind === "create") {
    const caller = orders.length % 2 === 0 ? admin : user;
    const body = { shopId: shop.id, items: itemsOf(wanted.lines) };
    const made = await caller.post("/orders", body);
    assert.equal(made.status, 201, made.text);
    orders.push(made.body.id);
    return;
  }
  if (wanted.kind === "stock" || wanted.kind === "price") {
    const path = `/products/${products[wanted.which]?.id}`;
    const etag = (await admin.get(path)).headers.etag as string;
    const change =
      wanted.kind === "stock" ? { stock: wanted.stock } : { priceMinor: wanted.priceMinor };
    return mind(await admin.patch(path, change, ifMatch(etag)));
  }
  const id = orders[wanted.index % Math.max(orders.length, 1)];
  if (id === undefined) return;
  if (wanted.kind === "move") {
    return mind(await admin.post(`/orders/${id}/${wanted.event}`));
  }
  if (wanted.kind === "next") {
    const [next = "submit"] = (await admin.get(`/orders/${id}`)).body.allowedTransitions;
    return mind(await admin.post(`/orders/${id}/${next}`));
  }
  const read = await user.get(`/orders/${id}`);
  if (read.status !== 200) return mind(read);
  const etag = read.headers.etag as string;
  const items = itemsOf(wanted.lines);
  mind(await user.patch(`/orders/${id}`, { items }, ifMatch(etag)));
}

const heldIn = ["confirmed", "preparing", "ready", "completed"];
const confirmedOnce = [...heldIn, "cancelled"];

interface Line {
  product_id: string;
  quantity: number;
  reserved: number | null;
}

/** Totals are the lines', the ledger is the totals', history and events are the versions. */
async function reconcileOrder(
  { admin }: World,
  id: string,
  stored: readonly Line[],
  told: number,
): Promise<OrderState[]> {
  const order = (await admin.get(`/orders/${id}`)).body;
  for (const item of order.items) {
    assert.equal(item.totalMinor, item.unitPriceMinor * item.quantity);
    assert.equal(item.vatMinor, vatWithin(item.totalMinor, item.vatRate));
  }
  const { netMinor, vatMinor, totalMinor } = order;
  assert.deepEqual({ netMinor, vatMinor, totalMinor }, totalsOf(order.items));

  const history = (await admin.get(`/orders/${id}/history?limit=100`)).body.items;
  assert.equal(history.length, order.version);
  assert.equal(told, order.version);
  const actions = history.map(({ action }: { action: string }) => action);
  for (const event of orderEventNames) {
    assert.ok(actions.filter((action: string) => action === `order.${event}`).length <= 1);
  }

  const isConfirmed = actions.includes("order.confirm");
  assert.ok(!isConfirmed || confirmedOnce.includes(order.state));
  for (const { reserved, quantity } of stored) {
    const kept = heldIn.includes(order.state) ? quantity : 0;
    assert.equal(reserved, isConfirmed ? kept : null, order.state);
  }

  const entries = (await admin.get(`/transactions?orderId=${id}`)).body.items;
  const sum = (member: string) =>
    entries.reduce((all: number, entry: Record<string, number>) => all + (entry[member] ?? 0), 0);
  const booked = order.state === "completed" ? [totalMinor, vatMinor] : [0, 0];
  assert.deepEqual([sum("amountMinor"), sum("vatMinor")], booked);
  const states = history.map(({ after }: { after: { state?: OrderState } }) => after.state);
  return [...states.filter(Boolean), order.state];
}

/** What was there, and what was put in by hand, is what is left and what orders hold. */
async function reconcileStock(
  { admin }: World,
  { id }: { id: string },
  stored: readonly Line[],
): Promise<void> {
  const { stock } = (await admin.get(`/products/${id}`)).body;
  const history = (await admin.get(`/products/${id}/history?limit=100`)).body.items;
  const byHand = history
    .filter(({ action }: { action: string }) => action === "product.update")
    .reduce(
      (all: number, entry: { before: { stock: number }; after: { stock: number } }) =>
        all + entry.after.stock - entry.before.stock,
      0,
    );
  const held = stored
    .filter(({ product_id }) => product_id === id)
    .reduce((all, { reserved }) => all + (reserved ?? 0), 0);
  assert.ok(stock >= 0);
  assert.equal(stock + held, startStock + byHand);
}

for (const isolation of ["shared", "dedicated"] as const) {
  // Guards against any interleaving after which stock, totals, ledger and history tell different
  // stories.
  test(`${isolation}: whatever happens at once, the books reconcile`, async (t) => {
    const { admin, user, db, tenant, server } = await startOrders(t, isolation);
    const shop = await makeShop(admin);
    let runs = 0;
    const reached = new Set<OrderState>();
    const property = fc.asyncProperty(rounds, async (plan) => {
      runs += 1;
      const products = [];
      for (const vatRate of ["standard", "reduced", "zero"]) {
        const body = { sku: `${vatRate}-${runs}`, vatRate, stock: startStock };
        products.push(await makeProduct(admin, body));
      }
      const first = await makeOrder(user, shop, [[products[0] as { id: string }, 2]]);
      const world: World = { admin, user, shop, products, orders: [first.id] };
      for (const round of plan) await Promise.all(round.map((each) => act(world, each)));
      // How far orders get among all this is up to chance; in every other run one goes to its end.
      const stepsLeft = runs % 2 === 0 ? longestPath : 0;
      for (let step = 0; step < stepsLeft; step += 1) await act(world, { kind: "next", index: 0 });

      const { rows } = await db.query<Line & { order_id: string }>(
        tenant,
        `select order_id, product_id, quantity, reserved from sales_order_line
          where order_id = any($1::uuid[])`,
        [world.orders],
      );
      const { rows: told } = await db.query<{ id: string; events: number }>(
        tenant,
        `select resource_id as id, count(*) as events from platform.event
          where resource_type = 'order' group by resource_id`,
      );
      for (const id of world.orders) {
        const own = rows.filter(({ order_id }) => order_id === id);
        const events = told.find((one) => one.id === id)?.events ?? 0;
        for (const state of await reconcileOrder(world, id, own, events)) reached.add(state);
      }
      for (const product of products) await reconcileStock(world, product, rows);
      assert.deepEqual(server.logs, []);
    });
    await fc.assert(property, { seed: 20261120, numRuns: 20, endOnFailure: true });
    assert.deepEqual([...reached].sort(), [...orderStates].sort(), "states that orders came to");
  });
}
