import type { Statement } from "#kernel/db/types.ts";

// Statements rather than queries, so that everything an order refers to is read in one flight.

/** A `KnownShop`, or no row. */
export function selectShop(id: string): Statement {
  return { text: "select id, name, currency, active from shop where id = $1", values: [id] };
}

const customerColumns = `id, name, email, phone, allergen_restrictions as "allergenRestrictions",
  active`;

/** A `KnownCustomer`, or no row. */
export function selectCustomer(id: string): Statement {
  return { text: `select ${customerColumns} from customer where id = $1`, values: [id] };
}

/** The `KnownCustomer` that an order has, or no row. */
export function selectCustomerOf(orderId: string): Statement {
  return {
    text: `select ${customerColumns} from customer
            where id = (select customer_id from sales_order where id = $1)`,
    values: [orderId],
  };
}

/** `KnownProduct`s, in no order. */
export function selectProducts(ids: readonly string[]): Statement {
  return {
    text: `select id, title, price_minor as "priceMinor", vat_rate as "vatRate", allergens, active
             from product where id = any($1::uuid[])`,
    values: [ids],
  };
}
