import type { FieldError, Problem } from "#kernel/errors.ts";
import { ordersErrors } from "../errors.ts";
import type { KnownCustomer, KnownShop } from "./references.ts";

/** How what an order names stands now; it was as the order says when that was taken down. */
export interface Standing {
  readonly shop: Pick<KnownShop, "name" | "currency" | "active">;
  readonly customer: KnownCustomer | null;
  /** Products of its lines that are off sale by now. */
  readonly retired: readonly { readonly place: number; readonly title: string }[];
}

/** What keeps a draft from being submitted. */
export interface Obstacle extends FieldError {
  readonly code: string;
}

/** All that keeps a draft in this currency from being submitted, but for allergens. */
export function obstaclesOf(
  { currency }: { currency: string },
  { shop, customer, retired }: Standing,
): Obstacle[] {
  const [{ code: gone }, { code: changed }] = [ordersErrors.retired, ordersErrors.currency_changed];
  const found: Obstacle[] = [];
  const add = (code: string, path: string, message: string) => found.push({ code, path, message });
  if (!shop.active) add(gone, "/shopId", `${shop.name} is retired`);
  if (customer && !customer.active) add(gone, "/customerId", `${customer.name} is retired`);
  for (const { place, title } of retired) {
    add(gone, `/items/${place}/productId`, `${title} is off sale`);
  }
  if (shop.currency !== currency) {
    add(changed, "/currency", `is ${currency}, while ${shop.name} takes ${shop.currency} by now`);
  }
  return found;
}

/** The refusal of a draft that has obstacles: `retired` or `currency_changed`; else null. */
export function refusalOf(obstacles: readonly Obstacle[]): Problem | null {
  const [first] = obstacles;
  if (!first) return null;
  const errors = obstacles
    .filter(({ code }) => code === first.code)
    .map(({ path, message }) => ({ path, message }));
  if (first.code === ordersErrors.currency_changed.code) {
    const detail = `The order ${first.message}; change its items or its shop, for today's prices.`;
    return ordersErrors.currency_changed({ detail, errors });
  }
  const said = errors.map(({ message }) => message).join("; ");
  return ordersErrors.retired({ detail: `${said}: change the order first.`, errors });
}

/** The order with what keeps it from being submitted, if anything does and it is a draft. */
export function withObstacles<Draft extends { state: string; currency: string }>(
  order: Draft,
  standing: Standing | null | undefined,
): Draft & { obstacles?: Obstacle[] } {
  const found = standing && order.state === "draft" ? obstaclesOf(order, standing) : [];
  return found.length > 0 ? { ...order, obstacles: found } : order;
}
