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

/** The `KnownShop` that an order is of. */
export function selectShopOf(orderId: string): Statement {
  return {
    text: `select id, name, currency, active from shop
            where id = (select shop_id from sales_order where id = $1)`,
    values: [orderId],
  };
}

/** A `Standing` of the order in the outer statement, as JSON. */
export const standingOf = `json_build_object(
  'shop', (select json_build_object('name', name, 'currency', currency, 'active', active)
             from shop where id = sales_order.shop_id),
  'customer', (select json_build_object('id', id, 'name', name, 'email', email, 'phone', phone,
                        'allergenRestrictions', allergen_restrictions, 'active', active)
                 from customer where id = sales_order.customer_id),
  'retired', (select coalesce(json_agg(json_build_object('place', l.position, 'title', p.title)
                       order by l.position), '[]')
                from sales_order_line l join product p on p.id = l.product_id
               where l.order_id = sales_order.id and not p.active))`;

/** How what an order names stands now: `{ standing }`. */
export function selectStanding(orderId: string): Statement {
  return {
    text: `select ${standingOf} as standing from sales_order where id = $1`,
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
