import { audit } from "#kernel/audit/audit.ts";
import { type Clock, isoNow } from "#kernel/clock.ts";
import type { Statement, Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import type { Random } from "#kernel/random.ts";
import { current, type Expected } from "#kernel/versions.ts";
import { ordersErrors } from "../errors.ts";
import {
  allergenWarnings,
  allowedTransitions,
  amountsByVatRate,
  type Caller,
  type OrderEventName,
  type OrderLine,
  ownerLimit,
  statesBefore,
  systemCaller,
  transitions,
} from "../rules/orders.ts";
import { obstaclesOf, refusalOf, type Standing } from "../rules/obstacles.ts";
import type { KnownCustomer } from "../rules/references.ts";
import { stockFellLow } from "../rules/stock.ts";
import type { Move } from "../schemas/orders.ts";
import { batchOf } from "../store/common.ts";
import { selectStanding } from "../store/lookups.ts";
import {
  lockOrder,
  moveState,
  refreshAllergens,
  selectLines,
  type StoredHead,
  type StoredOrder,
  updateWarnings,
} from "../store/orders.ts";
import { getProducts } from "../store/products.ts";
import { returnStock, type StockTaken, takeStock } from "../store/stock.ts";
import { bookTransaction } from "./ledger.ts";
import { orderResource, tellOrder } from "./orders.ts";
import { productResource } from "./products.ts";

/** Whose doing a move is, and what it needs of the world. */
export interface MoveContext extends Move {
  readonly clock: Clock;
  readonly random: Random;
  /** Everything is allowed without one. */
  readonly caller?: Caller;
  /** The version that the caller read; null or absent: however it is by now. */
  readonly version?: Expected;
}

interface Moved {
  readonly tx: Tx;
  readonly order: StoredOrder;
  /** What the effect's own statement answered. */
  readonly rows: readonly unknown[];
  readonly context: MoveContext;
}

/** What an event does besides moving the order on. */
interface Effect {
  readonly before?: (orderId: string) => Statement;
  readonly after?: (orderId: string) => Statement;
  /** Decides and writes; what it returns is kept in the audit record. */
  readonly finish?: (moved: Moved) => Promise<object>;
}

const effects: Readonly<Record<OrderEventName, Effect>> = {
  submit: { before: refreshAllergens, after: selectStanding, finish: mindSubmission },
  confirm: { after: takeStock, finish: mindStock },
  "start-preparation": {},
  "mark-ready": {},
  complete: { finish: bookIncome },
  cancel: { after: returnStock },
};

/**
 * Moves an order on. One flight asks and writes everything, in which one statement decides whether
 * the move is legal and takes the order; the stock, on which others may be waiting, comes last.
 * Throws `illegal_transition` with the state and what the caller may do instead, also to whoever
 * loses a race; `retired`, `currency_changed`, `allergen_conflict`, `out_of_stock`, and the
 * kernel's `not_found` and `version_conflict`.
 */
export async function moveOrder(
  tx: Tx,
  id: string,
  event: OrderEventName,
  context: MoveContext,
): Promise<StoredOrder> {
  const { caller = systemCaller, version = null, clock, reason } = context;
  const { to, permission, emits } = transitions[event];
  const ownerId = ownerLimit(caller, permission);
  const { before, after, finish } = effects[event];
  const move = { ownerId, version, now: isoNow(clock) };
  const rows = await batchOf(tx, {
    locked: lockOrder(id, ownerId),
    before: before?.(id) ?? null,
    moved: moveState(id, statesBefore(event, caller), to, move),
    lines: selectLines(id),
    after: after?.(id) ?? null,
  });
  const was = current(rows.locked[0] as StoredHead | undefined, version);
  const head = rows.moved[0] as StoredHead | undefined;
  if (!head) throw illegal(was, event, caller);
  const order: StoredOrder = { ...head, items: rows.lines as unknown as OrderLine[] };
  const noted = await finish?.({ tx, order, rows: rows.after, context });
  audit(tx, {
    action: `order.${event}`,
    resource: orderResource(order),
    before: { state: was.state, version: was.version },
    after: { state: order.state, version: order.version, reason, ...noted },
  });
  tellOrder(tx, emits, order, reason);
  return order;
}

function illegal(was: StoredHead, event: OrderEventName, caller: Caller): Error {
  const allowed = allowedTransitions(was, caller);
  const states = statesBefore(event, caller).join(" and ");
  const isForOthers = statesBefore(event, systemCaller).includes(was.state);
  const why = isForOthers
    ? `, and you may only "${event}" ${states} orders`
    : `, which does not allow "${event}"`;
  let instead = isForOthers ? "somebody with more permissions can" : "it stays so";
  if (allowed.length > 0) instead = `what can be done is ${allowed.join(", ")}`;
  return ordersErrors.illegal_transition({
    detail: `Order ${was.number} is ${was.state}${why}; ${instead}.`,
    extensions: { state: was.state, allowed },
  });
}

async function mindSubmission(moved: Moved): Promise<object> {
  const { standing } = moved.rows[0] as { standing: Standing };
  const refusal = refusalOf(obstaclesOf(moved.order, standing));
  if (refusal) throw refusal;
  return mindAllergens(moved, standing.customer);
}

async function mindAllergens(
  { tx, order, context }: Moved,
  customer: KnownCustomer | null,
): Promise<object> {
  const warnings = allergenWarnings(order.items, customer?.allergenRestrictions ?? []);
  const isWarned = warnings.length > 0;
  if (isWarned && !context.acknowledgeAllergens) {
    const held = warnings.map(({ title, allergens }) => `${title} holds ${allergens.join(", ")}`);
    throw ordersErrors.allergen_conflict({
      detail: `${customer?.name} must not eat it: ${held.join("; ")}.`,
      errors: [
        { path: "/acknowledgeAllergens", message: "must be true to submit it all the same" },
      ],
      extensions: { conflicts: warnings, allergenRestrictions: customer?.allergenRestrictions },
    });
  }
  if (!isWarned && order.allergenWarnings.length === 0) return {};
  order.allergenWarnings = warnings;
  order.acknowledgedAllergens = isWarned;
  await updateWarnings(tx, order);
  return { allergenWarnings: warnings, acknowledgedAllergens: isWarned };
}

async function mindStock({ tx, rows }: Moved): Promise<object> {
  const counted = rows as readonly StockTaken[];
  const short = counted.filter(({ taken }) => !taken);
  if (short.length > 0) {
    throw ordersErrors.out_of_stock({
      detail: `${short
        .map(({ title, wanted, left }) => `${title}: ${wanted} wanted, ${left} left`)
        .join("; ")}. Nothing was taken.`,
      extensions: {
        products: short.map(({ productId, title, wanted, left }) => ({
          productId,
          title,
          wanted,
          left,
        })),
      },
    });
  }
  const low = counted.filter(({ left, wanted }) => stockFellLow(left, left - wanted));
  if (low.length > 0) {
    for (const product of await getProducts(
      tx,
      low.map(({ productId }) => productId),
    )) {
      emit(tx, { type: "product.stock_low", resource: productResource(product), data: product });
    }
  }
  return { reserved: counted.map(({ productId, wanted }) => ({ productId, quantity: wanted })) };
}

/** One entry for each VAT rate: their sums are the order's total and its VAT. */
async function bookIncome({ tx, order, context: { random } }: Moved): Promise<object> {
  const { id: orderId, currency, number: reference } = order;
  const entries = amountsByVatRate(order.items).map((amounts) =>
    bookTransaction(tx, { id: random.id(), ...amounts, currency, orderId, reference }),
  );
  return { transactions: entries.map(({ id }) => id) };
}
