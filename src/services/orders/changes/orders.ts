import { audit } from "#kernel/audit/audit.ts";
import { type Clock, isoNow } from "#kernel/clock.ts";
import { isForeignKeyViolation } from "#kernel/db/pg-errors.ts";
import type { Tx } from "#kernel/db/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import { emit } from "#kernel/events/emit.ts";
import type { Random } from "#kernel/random.ts";
import { current, type Expected } from "#kernel/versions.ts";
import { ordersErrors } from "../errors.ts";
import { createdAtOf } from "../rules/ids.ts";
import {
  allergenWarnings,
  assertCurrency,
  assertWellFormed,
  type Caller,
  numberTailChars,
  type OrderLine,
  orderNumber,
  ownerLimit,
  systemCaller,
  totalsOf,
} from "../rules/orders.ts";
import {
  activeCustomer,
  contactOf,
  type KnownCustomer,
  type KnownProduct,
  type KnownShop,
  linesOf,
  openShop,
} from "../rules/references.ts";
import { withObstacles } from "../rules/obstacles.ts";
import type { NewOrder, Order, OrderChanges, ToldOrder } from "../schemas/orders.ts";
import { batchOf } from "../store/common.ts";
import {
  selectCustomer,
  selectCustomerOf,
  selectProducts,
  selectShop,
  selectShopOf,
} from "../store/lookups.ts";
import {
  insertOrder,
  lockOrder,
  type NewOrderRow,
  selectLines,
  type StoredHead,
  type StoredOrder,
  updateOrder,
} from "../store/orders.ts";

const numbersTriedMost = 5;

/**
 * Takes an order, as a draft of whoever does it. Throws `totals_are_computed`, `bad_quantity`,
 * `duplicate_line`, `mixed_currencies`, `unknown_shop`, `unknown_product`, `unknown_customer`,
 * `retired` and `total_too_large`.
 */
export async function createOrder(
  tx: Tx,
  { random }: { random: Random },
  wanted: NewOrder,
): Promise<StoredOrder> {
  assertWellFormed(wanted, wanted.items);
  const { customerId = null } = wanted;
  const rows = await batchOf(tx, {
    shop: selectShop(wanted.shopId),
    customer: customerId === null ? null : selectCustomer(customerId),
    products: selectProducts(wanted.items.map(({ productId }) => productId)),
  });
  const shop = openShop(shopIn(rows), wanted.shopId);
  const customer = customerId === null ? null : activeCustomer(customerIn(rows), customerId);
  assertCurrency(shop.currency, wanted, wanted.items);
  const items = linesOf(wanted.items, productsIn(rows));
  const id = random.id();
  const row = {
    id,
    shopId: shop.id,
    customerId: customer?.id ?? null,
    ...contactOf(wanted, customer),
    notes: wanted.notes ?? "",
    currency: shop.currency,
    ...totalsOf(items),
    allergenWarnings: allergenWarnings(items, customer?.allergenRestrictions ?? []),
    ownerId: tx.actor.userId ?? tx.actor.id,
  };
  const number = await insertNumbered(tx, random, row, items);
  const createdAt = createdAtOf(id);
  const made = { state: "draft", acknowledgedAllergens: false, version: 1 } as const;
  const order: StoredOrder = { ...row, ...made, number, items, createdAt, updatedAt: createdAt };
  audit(tx, { action: "order.create", resource: orderResource(order), after: order });
  tellOrder(tx, "order.created", order);
  return order;
}

/** A day has some 33 million numbers: a second try is rare, a sixth unheard of. */
async function insertNumbered(
  tx: Tx,
  random: Random,
  row: Omit<NewOrderRow, "number">,
  lines: readonly OrderLine[],
): Promise<string> {
  for (let tried = 0; tried < numbersTriedMost; tried += 1) {
    const number = orderNumber(createdAtOf(row.id), random.bytes(numberTailChars));
    const isMade = await insertOrder(tx, { ...row, number }, lines).catch(goneMeanwhile);
    if (isMade) return number;
  }
  throw requestErrors.unavailable({ detail: "No number was free for the order; send it again." });
}

/**
 * Changes a draft. Throws `not_a_draft`, the kernel's `version_conflict`, and what `createOrder`
 * throws. Items that are sent get today's prices, in today's currency of the shop; without any,
 * those of before stay.
 */
export async function changeOrder(
  tx: Tx,
  { clock }: { clock: Clock },
  id: string,
  version: Expected,
  changes: OrderChanges,
  caller: Caller = systemCaller,
): Promise<StoredOrder & Pick<Order, "obstacles">> {
  assertWellFormed(changes, changes.items ?? []);
  const { shopId, customerId, items } = changes;
  const rows = await batchOf(tx, {
    order: lockOrder(id, ownerLimit(caller, "order:update")),
    lines: selectLines(id),
    shop: shopOf(id, changes),
    customer: customerOf(id, customerId),
    products: items ? selectProducts(items.map(({ productId }) => productId)) : null,
  });
  const head = draft(current(rows.order[0] as StoredHead | undefined, version));
  const before: StoredOrder = { ...head, items: rows.lines as unknown as OrderLine[] };
  const shop = shopId === undefined ? shopIn(rows) : openShop(shopIn(rows), shopId);
  const currency = shop?.currency ?? before.currency;
  assertCurrency(currency, changes, items ?? []);
  const customer = customerId ? activeCustomer(customerIn(rows), customerId) : customerIn(rows);
  const lines = items ? linesOf(items, productsIn(rows)) : before.items;
  const contact = customerId === undefined ? before : contactOf({}, customer ?? null);
  const values = {
    shopId: shop?.id ?? before.shopId,
    customerId: customerId === undefined ? before.customerId : (customer?.id ?? null),
    ...contactOf({ ...contact, ...contactIn(changes) }, null),
    notes: changes.notes ?? before.notes,
    currency,
    ...totalsOf(lines),
    allergenWarnings: allergenWarnings(lines, customer?.allergenRestrictions ?? []),
  };
  const { head: changed, standing } = await updateOrder(
    tx,
    id,
    values,
    items ? lines : null,
    isoNow(clock),
  ).catch(goneMeanwhile);
  const after: StoredOrder = { ...changed, items: lines };
  audit(tx, { action: "order.update", resource: orderResource(after), before, after });
  tellOrder(tx, "order.updated", after);
  return withObstacles(after, standing);
}

const goneErrors = {
  sales_order_shop: ordersErrors.unknown_shop,
  sales_order_customer: ordersErrors.unknown_customer,
  sales_order_line_product: ordersErrors.unknown_product,
};

/** Somebody deleted what the order names between its being read and its being written. */
function goneMeanwhile(error: unknown): never {
  for (const [constraint, problem] of Object.entries(goneErrors)) {
    if (isForeignKeyViolation(error, constraint)) throw problem({ cause: error });
  }
  throw error;
}

/** The shop that the order is to have, where its currency matters. */
function shopOf(id: string, { shopId, items }: OrderChanges) {
  if (shopId !== undefined) return selectShop(shopId);
  return items ? selectShopOf(id) : null;
}

/** The customer that the order is to have: a new one, none, or the one that it has. */
function customerOf(id: string, customerId: string | null | undefined) {
  if (customerId === undefined) return selectCustomerOf(id);
  return customerId === null ? null : selectCustomer(customerId);
}

function contactIn({ customerName, customerEmail, customerPhone }: OrderChanges) {
  const said = { customerName, customerEmail, customerPhone };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
}

const shopIn = (rows: { shop: unknown[] }) => rows.shop[0] as KnownShop | undefined;
const customerIn = (rows: { customer: unknown[] }) => rows.customer[0] as KnownCustomer | undefined;
const productsIn = (rows: { products: unknown[] }) => rows.products as KnownProduct[];

function draft(order: StoredHead): StoredHead {
  if (order.state === "draft") return order;
  throw ordersErrors.not_a_draft({
    detail: `Order ${order.number} is ${order.state}; only a draft can be changed.`,
    extensions: { state: order.state },
  });
}

/** An order as audit records and events name it. */
export const orderResource = ({ id }: Pick<StoredHead, "id">) => ({ type: "order", id });

/** Tells what has happened to an order, to who may see it. */
export function tellOrder(tx: Tx, type: string, order: StoredOrder, reason?: string): void {
  const data: ToldOrder = {
    ...order,
    items: order.items.map(({ title: _, allergens: __, ...item }) => item),
    allergenWarnings: order.allergenWarnings.map(({ title: _, ...warning }) => warning),
    ...(reason !== undefined && { reason }),
  };
  emit(tx, { type, resource: orderResource(order), data, ownerId: order.ownerId });
}
