import type { Problem } from "#kernel/errors.ts";
import { ordersErrors } from "../errors.ts";
import {
  type OrderEventName,
  orderEventNames,
  type OrderState,
  orderStates,
  transitions,
} from "./orders.ts";

/** What a till can bring; in the order in which one may refer to another. */
export const syncTypes = ["shop", "product", "customer", "order"] as const;
export type SyncType = (typeof syncTypes)[number];

export const syncItemsMost = 200;

type Members = Record<string, unknown>;

/**
 * Where the items stand in the order in which they are worked on: what is referred to comes before
 * what refers to it, and otherwise as they were sent.
 */
export function workingOrder(items: readonly { type: SyncType }[]): number[] {
  const places = items.map((_, place) => place);
  const rank = (place: number) => syncTypes.indexOf((items[place] as { type: SyncType }).type);
  return places.sort((a, b) => rank(a) - rank(b) || a - b);
}

/**
 * The same text for the same change, however its members were ordered: to know it again by.
 * `baseVersion` is part of it, since a till may put back on purpose what it had before.
 */
export function textOfChange(baseVersion: number, data: Members | null): string {
  return JSON.stringify([baseVersion, sorted(data)]);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]));
}

/** A member that names another resource, by the server's id or by the till's own key. */
export interface Reference {
  type: SyncType;
  key: string;
  /** A JSON Pointer into the item's data. */
  path: string;
}

/** What an item's data refers to. Only orders refer to anything. */
export function referencesOf(type: SyncType, data: Members | null): Reference[] {
  if (type !== "order" || data === null) return [];
  const found: Reference[] = [];
  const add = (of: SyncType, key: unknown, path: string) => {
    if (typeof key === "string") found.push({ type: of, key, path });
  };
  add("shop", data.shopId, "/shopId");
  add("customer", data.customerId, "/customerId");
  const items = Array.isArray(data.items) ? data.items : [];
  items.forEach((item, place) =>
    add("product", (item as Members | null)?.productId, `/items/${place}/productId`),
  );
  return found;
}

/** The data with the server's ids in the place of the till's keys, as far as they are known. */
export function withIds(
  type: SyncType,
  data: Members,
  idOf: (type: SyncType, key: string) => string,
): Members {
  if (type !== "order") return data;
  const known = (of: SyncType, key: unknown) => (typeof key === "string" ? idOf(of, key) : key);
  const resolved = { ...data };
  if ("shopId" in data) resolved.shopId = known("shop", data.shopId);
  if ("customerId" in data) resolved.customerId = known("customer", data.customerId);
  if (Array.isArray(data.items)) {
    resolved.items = data.items.map((item) =>
      typeof item === "object" && item !== null && "productId" in item
        ? { ...item, productId: known("product", (item as Members).productId) }
        : item,
    );
  }
  return resolved;
}

/** What an item does to its resource. */
export type SyncVerb = "create" | "update" | "delete";

/** Null data deletes, and what is based on nothing is new. */
export function verbOf(baseVersion: number, data: Members | null): SyncVerb {
  if (data === null) return "delete";
  return baseVersion === 0 ? "create" : "update";
}

/** What the caller must hold for an item; the answer shows the resource, so reading is among it. */
export function permissionsFor(type: SyncType, verb: SyncVerb, data: Members | null): string[] {
  const event = type === "order" ? eventTo(data?.state) : null;
  const moves = event === null ? [] : [transitions[event].permission];
  const onlyMoves = event !== null && verb === "update" && Object.keys(data ?? {}).every(isMove);
  return [`${type}:read`, ...(onlyMoves ? [] : [`${type}:${verb}`]), ...moves];
}

/** What takes an order to a state; null for drafts, as which it begins, and for no state. */
export function eventTo(state: unknown): OrderEventName | null {
  return orderEventNames.find((event) => transitions[event].to === state) ?? null;
}

/** Throws `sync_bad_state` for a state of an order that there is not, or that none is made in. */
export function assertState(type: SyncType, verb: SyncVerb, data: Members | null): void {
  const state = data?.state;
  if (type !== "order" || state === undefined) return;
  const possible: readonly string[] = verb === "create" ? ["draft", "pending"] : orderStates;
  if (typeof state === "string" && possible.includes(state)) return;
  const said = JSON.stringify(state)?.slice(0, 100);
  throw ordersErrors.sync_bad_state({
    detail:
      verb === "create"
        ? `A new order is brought in as ${possible.join(" or ")}, not as ${said}.`
        : `${said} is no state of orders; there are ${possible.join(", ")}.`,
    errors: [{ path: "/state", message: `must be one of ${possible.join(", ")}` }],
  });
}

/** `illegal_transition` where an order is in no state to become what the data says; else null. */
export function whyNotMoved(
  order: { number: string; state: OrderState; allowedTransitions: readonly OrderEventName[] },
  data: Members,
): Problem | null {
  const { number, state, allowedTransitions: allowed } = order;
  const event = eventTo(data.state);
  if (data.state === undefined || isAt({ state }, data.state)) return null;
  if (event !== null && allowed.includes(event)) return null;
  const instead = allowed.length > 0 ? `what can be done is ${allowed.join(", ")}` : "it stays so";
  return ordersErrors.illegal_transition({
    detail: `Order ${number} is ${state}, and no "${data.state as string}" one; ${instead}.`,
    extensions: { state, allowed },
  });
}

/** Whether a resource already is as the data would have it. */
export function alreadySays(type: SyncType, resource: Members, data: Members): boolean {
  return Object.entries(data).every(([name, value]) => {
    if (type === "order" && isMove(name)) return name !== "state" || isAt(resource, value);
    if (type === "order" && name === "items") return sameItems(resource.items, value);
    return comparable(resource[name]) === comparable(value);
  });
}

const isMove = (name: string) => name === "state" || name === "acknowledgeAllergens";

/** Of what it has handed over, a till need not know how far the shop is with it. */
export function isAt({ state }: Members, wanted: unknown): boolean {
  return wanted === "pending" ? state !== "draft" && state !== "cancelled" : state === wanted;
}

function sameItems(stored: unknown, wanted: unknown): boolean {
  const plain = (items: unknown) =>
    Array.isArray(items) &&
    items.map(({ productId, quantity }) => `${String(productId).toLowerCase()} ${quantity}`);
  return JSON.stringify(plain(stored)) === JSON.stringify(plain(wanted));
}

/** Lists here are sets, of allergens; ids are the same in either case. */
function comparable(value: unknown): string {
  if (Array.isArray(value)) return JSON.stringify(value.map(String).sort());
  return JSON.stringify(
    typeof value === "string" && isId.test(value) ? value.toLowerCase() : value,
  );
}

const isId = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

interface TillItem {
  productId: string;
  unitPriceMinor?: number;
}

/** An order's data without what only tills say, and what they say. */
export function splitTillOrder<
  Data extends {
    state?: OrderState;
    acknowledgeAllergens?: boolean;
    items?: readonly TillItem[];
  },
>(data: Data) {
  const { state, acknowledgeAllergens, items, ...rest } = data;
  const plain = items?.map(({ unitPriceMinor: _, ...item }) => item);
  return {
    state,
    acknowledgeAllergens: acknowledgeAllergens === true,
    order: { ...rest, ...(plain && { items: plain }) },
  };
}

/** Where the till took another price than the order says. The server's price holds. */
export function priceDifferences(
  order: {
    currency: string;
    items: readonly { productId: string; unitPriceMinor: number }[];
  },
  items: readonly TillItem[],
) {
  return items.flatMap(({ productId, unitPriceMinor: tillUnitPriceMinor }) => {
    const line = order.items.find((each) => each.productId === productId.toLowerCase());
    if (!line || tillUnitPriceMinor === undefined) return [];
    const { unitPriceMinor } = line;
    if (unitPriceMinor === tillUnitPriceMinor) return [];
    const { currency } = order;
    return [{ productId: line.productId, currency, tillUnitPriceMinor, unitPriceMinor }];
  });
}
