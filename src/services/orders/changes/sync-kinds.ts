import type { Clock } from "#kernel/clock.ts";
import type { Tx } from "#kernel/db/types.ts";
import type { Random } from "#kernel/random.ts";
import { type Caller, type OrderLine, ownerLimit, shownTo } from "../rules/orders.ts";
import { alreadySays, eventTo, isAt, splitTillOrder, type SyncType } from "../rules/sync.ts";
import { type Standing, withObstacles } from "../rules/obstacles.ts";
import type { NewCustomer } from "../schemas/customers.ts";
import type { NewOrder, OrderChanges } from "../schemas/orders.ts";
import type { NewProduct } from "../schemas/products.ts";
import type { NewShop } from "../schemas/shops.ts";
import type { TillOrder, TillOrderChanges } from "../schemas/sync.ts";
import { lockCustomer } from "../store/customers.ts";
import { selectStanding } from "../store/lookups.ts";
import { lockOrder, selectLines, type StoredHead, type StoredOrder } from "../store/orders.ts";
import { lockProduct } from "../store/products.ts";
import { lockShop } from "../store/shops.ts";
import { changeCustomer, createCustomer, removeCustomer } from "./customers.ts";
import { moveOrder } from "./moves.ts";
import { changeOrder, createOrder } from "./orders.ts";
import { changeProduct, createProduct, removeProduct } from "./products.ts";
import { changeShop, createShop, removeShop } from "./shops.ts";

/** A resource of any type, as GET shows it. */
export type Resource = Record<string, unknown> & { id: string; version: number };

type Data = Record<string, unknown>;

interface Context {
  random: Random;
  clock: Clock;
  caller: Caller;
}

/** What can be done with a resource of a type. Data has been validated for the type by then. */
interface Kind {
  lock(tx: Tx, id: string, caller: Caller): Promise<Resource | null>;
  create(tx: Tx, context: Context, data: Data): Promise<Resource>;
  change(tx: Tx, context: Context, before: Resource, data: Data): Promise<Resource>;
  readonly remove?: (tx: Tx, before: Resource) => Promise<void>;
}

const shop: Kind = {
  lock: (tx, id) => lockShop(tx, id),
  create: (tx, { random }, data) => createShop(tx, random.id(), data as NewShop),
  change: (tx, _, { id, version }, data) => changeShop(tx, id, version, data),
  remove: (tx, { id, version }) => removeShop(tx, id, version),
};

const product: Kind = {
  lock: (tx, id) => lockProduct(tx, id),
  create: (tx, { random }, data) => createProduct(tx, random.id(), data as NewProduct),
  change: (tx, _, { id, version }, data) => changeProduct(tx, id, version, data),
  remove: (tx, { id, version }) => removeProduct(tx, id, version),
};

const customer: Kind = {
  lock: (tx, id) => lockCustomer(tx, id),
  create: (tx, { random }, data) => createCustomer(tx, random.id(), data as NewCustomer),
  change: (tx, _, { id, version }, data) => changeCustomer(tx, id, version, data),
  remove: (tx, { id, version }) => removeCustomer(tx, id, version),
};

const order: Kind = {
  async lock(tx, id, caller) {
    const owner = ownerLimit(caller, "order:read");
    const [head, lines, now] = await tx.batch([
      lockOrder(id, owner),
      selectLines(id),
      selectStanding(id),
    ]);
    const found = head?.rows[0] as StoredHead | undefined;
    if (!found) return null;
    const whole = { ...found, items: lines?.rows as unknown as OrderLine[] };
    return shownTo(caller, withObstacles(whole, now?.rows[0]?.standing as Standing));
  },

  async create(tx, context, data) {
    const { order: wanted, state, acknowledgeAllergens } = splitTillOrder(data as TillOrder);
    const made = await createOrder(tx, context, wanted as NewOrder);
    const event = eventTo(state);
    const taken = event
      ? await moveOrder(tx, made.id, event, { ...context, acknowledgeAllergens })
      : made;
    return shownTo(context.caller, taken);
  },

  async change(tx, context, before, data) {
    const { order: wanted, state, acknowledgeAllergens } = splitTillOrder(data as TillOrderChanges);
    const { id, version } = before;
    let after = before as unknown as StoredOrder;
    if (!alreadySays("order", before, wanted)) {
      after = await changeOrder(tx, context, id, version, wanted as OrderChanges, context.caller);
    }
    const event = eventTo(state);
    if (event && !isAt(before, state)) {
      after = await moveOrder(tx, id, event, { ...context, acknowledgeAllergens });
    }
    return shownTo(context.caller, after);
  },
};

export const syncKinds: Readonly<Record<SyncType, Kind>> = { shop, product, customer, order };
