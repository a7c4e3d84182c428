import type { FieldError } from "#kernel/errors.ts";
import { ordersErrors } from "../errors.ts";
import type { AllergenName } from "./allergens.ts";
import { lineOf, type OrderLine, type SoldProduct, type WantedItem } from "./orders.ts";

/** What an order needs to know of its shop. */
export interface KnownShop {
  readonly id: string;
  readonly name: string;
  readonly currency: string;
  readonly active: boolean;
}

/** What an order needs to know of its customer. */
export interface KnownCustomer {
  readonly id: string;
  readonly name: string;
  readonly email: string | null;
  readonly phone: string | null;
  readonly allergenRestrictions: readonly AllergenName[];
  readonly active: boolean;
}

/** What an order needs to know of a product. */
export interface KnownProduct extends SoldProduct {
  readonly active: boolean;
}

/** The shop if it sells. Throws `unknown_shop` or `retired`. */
export function openShop(shop: KnownShop | undefined, id: string): KnownShop {
  if (!shop) throw ordersErrors.unknown_shop(unknown("/shopId", `There is no shop ${id}.`));
  if (shop.active) return shop;
  throw ordersErrors.retired(retired([{ path: "/shopId", message: "is retired" }], shop.name));
}

/** The customer if it may still order. Throws `unknown_customer` or `retired`. */
export function activeCustomer(customer: KnownCustomer | undefined, id: string): KnownCustomer {
  if (!customer) {
    throw ordersErrors.unknown_customer(unknown("/customerId", `There is no customer ${id}.`));
  }
  if (customer.active) return customer;
  const errors = [{ path: "/customerId", message: "is retired" }];
  throw ordersErrors.retired(retired(errors, customer.name));
}

/**
 * The lines that the items make of the products, at today's prices. Throws `unknown_product`,
 * `retired` or `total_too_large`.
 */
export function linesOf(
  items: readonly WantedItem[],
  products: readonly KnownProduct[],
): OrderLine[] {
  const byId = new Map(products.map((product) => [product.id, product]));
  const found = items.map((item) => byId.get(item.productId.toLowerCase()));
  const missing = placesWhere(found, (product) => !product, "is not a product");
  if (missing.length > 0) {
    const [first] = items.filter((_, index) => !found[index]);
    throw ordersErrors.unknown_product({
      detail: `There is no product ${first?.productId}.`,
      errors: missing,
    });
  }
  const off = placesWhere(found, (product) => product?.active === false, "is off sale");
  if (off.length > 0) {
    const titles = found.filter((product) => product?.active === false).map((one) => one?.title);
    throw ordersErrors.retired(retired(off, titles.join(", ")));
  }
  return items.map(({ quantity }, index) => lineOf(found[index] as KnownProduct, quantity));
}

function placesWhere(
  found: readonly (KnownProduct | undefined)[],
  isWrong: (product: KnownProduct | undefined) => boolean,
  message: string,
): FieldError[] {
  return found.flatMap((product, index) =>
    isWrong(product) ? [{ path: `/items/${index}/productId`, message }] : [],
  );
}

const unknown = (path: string, detail: string) => ({
  detail,
  errors: [{ path, message: "is not known" }],
});

const retired = (errors: FieldError[], names: string) => ({
  detail: `${names}: retired, so nothing new can be ordered with it.`,
  errors,
});

export interface Contact {
  customerName: string | null;
  customerEmail: string | null;
  customerPhone: string | null;
}

/** How the customer is reached about this order: as it was said, else as the customer is. */
export function contactOf(
  said: Partial<Contact>,
  customer: Pick<KnownCustomer, "name" | "email" | "phone"> | null,
): Contact {
  const { customerName, customerEmail, customerPhone } = said;
  return {
    customerName: customerName === undefined ? (customer?.name ?? null) : customerName,
    customerEmail: customerEmail === undefined ? (customer?.email ?? null) : customerEmail,
    customerPhone: customerPhone === undefined ? (customer?.phone ?? null) : customerPhone,
  };
}
