import type { FieldError } from "#kernel/errors.ts";
import { ordersErrors } from "../errors.ts";
import type { AllergenName } from "./allergens.ts";
import { lineAmounts, sumAmounts, type VatRate } from "./money.ts";

export const orderStates = [
  "draft",
  "pending",
  "confirmed",
  "preparing",
  "ready",
  "completed",
  "cancelled",
] as const;
export type OrderState = (typeof orderStates)[number];

/** How far a permission reaches: everything in the tenant, or what the caller made. */
type Scope = "all" | "own";

interface Transition {
  readonly from: readonly OrderState[];
  /** Instead of `from`, for who holds the permission for own orders only. */
  readonly fromOwn?: readonly OrderState[];
  readonly to: OrderState;
  readonly permission: string;
  /** The event that tells of it. */
  readonly emits: string;
  readonly title: string;
}

/**
 * Everything that can happen to an order, by the last word of its path. The database has the same
 * moves in its trigger `sales_order_moves`; what is not here is refused there too.
 */
export const transitions = {
  submit: {
    from: ["draft"],
    to: "pending",
    permission: "order:submit",
    emits: "order.submitted",
    title: "Submit an order",
  },
  confirm: {
    from: ["pending"],
    to: "confirmed",
    permission: "order:confirm",
    emits: "order.confirmed",
    title: "Confirm an order",
  },
  "start-preparation": {
    from: ["confirmed"],
    to: "preparing",
    permission: "order:fulfil",
    emits: "order.preparation_started",
    title: "Start preparing an order",
  },
  "mark-ready": {
    from: ["preparing"],
    to: "ready",
    permission: "order:fulfil",
    emits: "order.ready",
    title: "Say that an order is ready",
  },
  complete: {
    from: ["ready"],
    to: "completed",
    permission: "order:complete",
    emits: "order.completed",
    title: "Complete an order",
  },
  cancel: {
    from: ["draft", "pending", "confirmed", "preparing", "ready"],
    fromOwn: ["draft", "pending"],
    to: "cancelled",
    permission: "order:cancel",
    emits: "order.cancelled",
    title: "Cancel an order",
  },
} as const satisfies Record<string, Transition>;

export type OrderEventName = keyof typeof transitions;

export const orderEventNames = Object.keys(transitions) as OrderEventName[];

/** Who asks: what the caller made is its own, and `scopeOf` says how far a permission reaches. */
export interface Caller {
  readonly id: string;
  readonly scopeOf: (permission: string) => Scope | undefined;
}

/** The server itself, for jobs, demos and imports: it may do everything. */
export const systemCaller: Caller = { id: "", scopeOf: () => "all" };

/** The owner whose orders a permission is limited to; null: it reaches all of them. */
export function ownerLimit(caller: Caller, permission: string): string | null {
  return caller.scopeOf(permission) === "all" ? null : caller.id;
}

/** The states out of which the caller may take an order by `event`; none without the permission. */
export function statesBefore(
  event: OrderEventName,
  { scopeOf }: Pick<Caller, "scopeOf">,
): readonly OrderState[] {
  const { from, fromOwn, permission }: Transition = transitions[event];
  const scope = scopeOf(permission);
  if (scope === undefined) return [];
  return scope === "own" ? (fromOwn ?? from) : from;
}

/** What the caller may do with an order now, as the paths of the API say it. */
export function allowedTransitions(
  order: { state: OrderState; ownerId: string },
  caller: Caller,
): OrderEventName[] {
  return orderEventNames.filter((event) => {
    const owner = ownerLimit(caller, transitions[event].permission);
    if (owner !== null && owner !== order.ownerId) return false;
    return statesBefore(event, caller).includes(order.state);
  });
}

/** An order as the caller sees it. */
export function shownTo<Order extends { state: OrderState; ownerId: string }>(
  caller: Caller,
  order: Order,
): Order & { allowedTransitions: OrderEventName[] } {
  return { ...order, allowedTransitions: allowedTransitions(order, caller) };
}

export const quantityMost = 10_000;

/** An item as somebody sent it: loosely typed, so that what is wrong with it is said by name. */
export interface WantedItem {
  readonly productId: string;
  readonly quantity: number;
  readonly currency?: string;
  readonly unitPriceMinor?: unknown;
  readonly totalMinor?: unknown;
  readonly vatMinor?: unknown;
  readonly title?: unknown;
  readonly vatRate?: unknown;
}

/** What of an order a client may believe in, but not decide. */
export interface ClaimedTotals {
  readonly totalMinor?: unknown;
  readonly netMinor?: unknown;
  readonly vatMinor?: unknown;
}

const totalMembers = ["totalMinor", "netMinor", "vatMinor"] as const;
const itemMembers = ["unitPriceMinor", "totalMinor", "vatMinor", "title", "vatRate"] as const;

/**
 * Throws for what an order's body says wrongly of itself: `totals_are_computed`, `bad_quantity` or
 * `duplicate_line`, naming every place of the first kind that is found.
 */
export function assertWellFormed(wanted: ClaimedTotals, items: readonly WantedItem[]): void {
  const claims = [
    ...totalMembers.filter((name) => wanted[name] !== undefined).map((name) => `/${name}`),
    ...items.flatMap((item, index) =>
      itemMembers
        .filter((name) => item[name] !== undefined)
        .map((name) => `/items/${index}/${name}`),
    ),
  ];
  if (claims.length > 0) {
    throw ordersErrors.totals_are_computed({
      detail: `Leave out ${claims.join(", ")}: they follow from the products and the quantities.`,
      errors: claims.map((path) => ({ path, message: "is computed by the server" })),
    });
  }
  const wrong = items.flatMap(({ quantity }, index) =>
    isQuantity(quantity) ? [] : [{ path: `/items/${index}/quantity`, quantity }],
  );
  if (wrong.length > 0) {
    const must = `a whole number from 1 to ${quantityMost}`;
    throw ordersErrors.bad_quantity({
      detail: `A quantity is ${must}, not ${wrong[0]?.quantity}.`,
      errors: wrong.map(({ path, quantity }) => ({
        path,
        message: `must be ${must}, and is ${quantity}`,
      })),
    });
  }
  const duplicates = duplicatesOf(items);
  if (duplicates.length > 0) {
    throw ordersErrors.duplicate_line({
      detail: "Each product has one line: add the quantities up.",
      errors: duplicates,
    });
  }
}

const isQuantity = (quantity: number) =>
  Number.isInteger(quantity) && quantity >= 1 && quantity <= quantityMost;

function duplicatesOf(items: readonly WantedItem[]): FieldError[] {
  const seen = new Map<string, number>();
  return items.flatMap(({ productId }, index) => {
    const first = seen.get(productId.toLowerCase());
    if (first === undefined) {
      seen.set(productId.toLowerCase(), index);
      return [];
    }
    return [{ path: `/items/${index}/productId`, message: `is that of item ${first}` }];
  });
}

/** Throws `mixed_currencies` where the order or an item names another currency than the shop's. */
export function assertCurrency(
  currency: string,
  wanted: { currency?: string },
  items: readonly WantedItem[],
): void {
  const claims = [
    { path: "/currency", claimed: wanted.currency },
    ...items.map((item, index) => ({ path: `/items/${index}/currency`, claimed: item.currency })),
  ];
  const wrong = claims.filter(({ claimed }) => claimed !== undefined && claimed !== currency);
  if (wrong.length === 0) return;
  throw ordersErrors.mixed_currencies({
    detail: `The shop takes ${currency}, not ${wrong[0]?.claimed}.`,
    errors: wrong.map(({ path, claimed }) => ({
      path,
      message: `is ${claimed}, while the shop takes ${currency}`,
    })),
  });
}

/** Of a product, what a line keeps. */
export interface SoldProduct {
  readonly id: string;
  readonly title: string;
  readonly priceMinor: number;
  readonly vatRate: VatRate;
  readonly allergens: readonly AllergenName[];
}

export interface OrderLine {
  productId: string;
  title: string;
  quantity: number;
  unitPriceMinor: number;
  vatRate: VatRate;
  totalMinor: number;
  vatMinor: number;
  allergens: AllergenName[];
}

/** A line of `quantity` of the product at its price of now. Throws `total_too_large`. */
export function lineOf(product: SoldProduct, quantity: number): OrderLine {
  return {
    productId: product.id,
    title: product.title,
    quantity,
    unitPriceMinor: product.priceMinor,
    vatRate: product.vatRate,
    ...lineAmounts(product.priceMinor, quantity, product.vatRate),
    allergens: [...product.allergens],
  };
}

/** The sums of the lines, to the penny. Throws `total_too_large`. */
export function totalsOf(lines: readonly OrderLine[]): {
  netMinor: number;
  vatMinor: number;
  totalMinor: number;
} {
  const [totalMinor, vatMinor] = [
    sumAmounts(lines.map((line) => line.totalMinor)),
    sumAmounts(lines.map((line) => line.vatMinor)),
  ];
  return { netMinor: totalMinor - vatMinor, vatMinor, totalMinor };
}

export interface AllergenWarning {
  productId: string;
  title: string;
  allergens: AllergenName[];
}

/** The lines that hold what the customer must not eat, each with those allergens alone. */
export function allergenWarnings(
  lines: readonly Pick<OrderLine, "productId" | "title" | "allergens">[],
  restrictions: readonly AllergenName[],
): AllergenWarning[] {
  return lines.flatMap(({ productId, title, allergens }) => {
    const met = allergens.filter((name) => restrictions.includes(name));
    return met.length === 0 ? [] : [{ productId, title, allergens: met }];
  });
}

/** What an order took in, by VAT rate: one ledger entry each. Their sums are the order's. */
export function amountsByVatRate(
  lines: readonly OrderLine[],
): { vatRate: VatRate; amountMinor: number; vatMinor: number }[] {
  const rates = [...new Set(lines.map(({ vatRate }) => vatRate))].sort();
  return rates.map((vatRate) => {
    const { totalMinor, vatMinor } = totalsOf(lines.filter((line) => line.vatRate === vatRate));
    return { vatRate, amountMinor: totalMinor, vatMinor };
  });
}

/** Crockford's base 32: no I, L, O or U, which people misread or take amiss. */
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
export const numberTailChars = 5;
/** A whole number as somebody may type it. */
export const orderNumberPattern = /^\d{6}-[0-9A-HJKMNP-TV-Z]{5}$/i;

/** `261120-7K3QD`: the day in UTC, then chance; short enough to be called out over a counter. */
export function orderNumber(createdAt: string, chance: Uint8Array): string {
  const day = createdAt.slice(2, 10).replaceAll("-", "");
  const tail = [...chance.subarray(0, numberTailChars)].map((byte) => crockford[byte % 32]);
  return `${day}-${tail.join("")}`;
}
