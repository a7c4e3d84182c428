import { type ManualClock, manualClock } from "#kernel/clock.ts";
import type { Tx } from "#kernel/db/types.ts";
import { type Random, systemRandom } from "#kernel/random.ts";
import type { KernelDeps } from "#kernel/service.ts";
import { createCustomer } from "../changes/customers.ts";
import { createTransaction } from "../changes/ledger.ts";
import { type MoveContext, moveOrder } from "../changes/moves.ts";
import { createOrder } from "../changes/orders.ts";
import { createProduct } from "../changes/products.ts";
import { createShop } from "../changes/shops.ts";
import { type OrderEventName, transitions } from "../rules/orders.ts";
import { type DemoOrder, demoOrders } from "./orders.ts";
import { demoCustomers, demoShops } from "./people.ts";
import { demoProducts } from "./products.ts";

const hourMs = 3_600_000;
const minuteMs = 60_000;
/** Between one step of an order and the next. */
const stepMinutes = 4;

/** What a name of the demo stands for in the database. */
type Ids = ReadonlyMap<string, string>;

/**
 * A small deli with two counters and six days of orders behind it, up to a moment ago: made by the
 * same changes as everybody's, on a clock that is put back.
 */
export async function ordersDemo(tx: Tx, { clock: today, random }: KernelDeps): Promise<void> {
  const ids = new Map<string, string>();
  const made = (name: string) => {
    const id = random.id();
    ids.set(name, id);
    return id;
  };
  for (const [name, shop] of Object.entries(demoShops)) await createShop(tx, made(name), shop);
  for (const [name, customer] of Object.entries(demoCustomers)) {
    await createCustomer(tx, made(name), customer);
  }
  for (const product of demoProducts) await createProduct(tx, made(product.sku), product);
  const clock = manualClock(today.nowMs());
  const past = { clock, random: systemRandom(clock) };
  for (const order of demoOrders) {
    clock.set(today.nowMs() - order.hoursAgo * hourMs);
    await takeOrder(tx, past, ids, order);
  }
  clock.set(today.nowMs() - hourMs / 4);
  await createTransaction(tx, past, {
    amountMinor: -475,
    vatRate: "standard",
    reference: "Refund: sausage roll dropped at the counter",
  });
}

/** The events that lead from a draft to each state. */
const way: readonly OrderEventName[] = [
  "submit",
  "confirm",
  "start-preparation",
  "mark-ready",
  "complete",
];

async function takeOrder(
  tx: Tx,
  { clock, random }: { clock: ManualClock; random: Random },
  ids: Ids,
  order: DemoOrder,
): Promise<void> {
  const idOf = (name: string) => ids.get(name) as string;
  const { id } = await createOrder(
    tx,
    { random },
    {
      shopId: idOf(order.shop),
      items: Object.entries(order.items).map(([sku, quantity]) => ({
        productId: idOf(sku),
        quantity,
      })),
      ...(order.customer && { customerId: idOf(order.customer) }),
      ...(order.name && { customerName: order.name }),
      ...(order.notes && { notes: order.notes }),
    },
  );
  const move = (event: OrderEventName, context: Partial<MoveContext> = {}) => {
    clock.advance(stepMinutes * minuteMs);
    return moveOrder(tx, id, event, { clock, random, ...context });
  };
  const { acknowledgeAllergens = false, reason } = order;
  for (const event of eventsTo(order)) {
    await move(event, event === "submit" ? { acknowledgeAllergens } : {});
  }
  if (order.state === "cancelled") await move("cancel", reason === undefined ? {} : { reason });
}

function eventsTo({ state, from }: DemoOrder): readonly OrderEventName[] {
  const end = state === "cancelled" ? from : state;
  const last = way.findIndex((event) => transitions[event].to === end);
  return way.slice(0, last + 1);
}
