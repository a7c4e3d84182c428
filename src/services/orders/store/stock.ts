import type { Statement } from "#kernel/db/types.ts";

/** A counted product of an order that is being confirmed. */
export interface StockTaken {
  productId: string;
  title: string;
  wanted: number;
  /** What was there before. */
  left: number;
  /** False: there was not enough, and nothing was taken of this one. */
  taken: boolean;
}

/**
 * Takes what a confirmed order holds out of the stock of each product that is counted, and notes in
 * its lines what was taken; one row for each counted product. The products are locked in the order
 * of their ids, so that two orders never wait for each other. It does nothing unless the order was
 * confirmed before it in the same transaction.
 */
export function takeStock(orderId: string): Statement {
  return {
    text: `
with wanted as (
  select l.product_id, l.title, l.quantity
    from sales_order_line l join sales_order o on o.id = l.order_id
   where l.order_id = $1 and l.reserved is null and o.state = 'confirmed'
), counted as (
  select p.id, p.stock from product p join wanted w on w.product_id = p.id
   where p.stock is not null order by p.id for no key update of p
), taken as (
  update product p set stock = p.stock - w.quantity, version = p.version + 1, updated_at = now()
    from wanted w, counted c
   where c.id = w.product_id and p.id = c.id and p.stock >= w.quantity
  returning p.id
), noted as (
  update sales_order_line l set reserved = l.quantity from taken t
   where l.order_id = $1 and l.product_id = t.id
)
select c.id as "productId", w.title, w.quantity as wanted, c.stock as left,
       t.id is not null as taken
  from counted c join wanted w on w.product_id = c.id left join taken t on t.id = c.id`,
    values: [orderId],
  };
}

/**
 * Gives back exactly what confirming took, to those products that are still counted. It does
 * nothing unless the order was cancelled before it in the same transaction.
 */
export function returnStock(orderId: string): Statement {
  return {
    text: `
with held as (
  select l.product_id, l.reserved
    from sales_order_line l join sales_order o on o.id = l.order_id
   where l.order_id = $1 and l.reserved > 0 and o.state = 'cancelled'
), counted as (
  select p.id from product p join held h on h.product_id = p.id
   where p.stock is not null order by p.id for no key update of p
), returned as (
  update product p
     set stock = least(p.stock::bigint + h.reserved, 2147483647)::integer,
         version = p.version + 1, updated_at = now()
    from held h, counted c
   where c.id = h.product_id and p.id = c.id
)
update sales_order_line l set reserved = 0 from held h
 where l.order_id = $1 and l.product_id = h.product_id`,
    values: [orderId],
  };
}
