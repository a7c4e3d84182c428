import { streamRows } from "#kernel/db/stream.ts";
import type { Db } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { ExportedLine, ExportFilter } from "../schemas/export.ts";
import { conditionsOf } from "./common.ts";
import { orderConditions } from "./orders.ts";

/**
 * The lines of the orders that match, newest order first, in batches, as of one moment; with
 * `ownerId`, only that one's.
 */
export function exportOrders(
  db: Db,
  tenant: TenantRef,
  filter: ExportFilter,
  ownerId: string | null,
) {
  const { conditions, values } = conditionsOf(orderConditions(filter, ownerId), 1);
  // The lines are looked up order by order: joined as a whole, all of them would have to be sorted
  // before the first can be sent.
  const text = `select o.number, o.state, o.created_at as "createdAt", o.updated_at as "updatedAt",
       s.name as shop, o.customer_name as "customerName", o.customer_email as "customerEmail",
       o.customer_phone as "customerPhone", o.notes, o.currency, o.net_minor as "orderNetMinor",
       o.vat_minor as "orderVatMinor", o.total_minor as "orderTotalMinor", l.*, o.id as "orderId",
       o.shop_id as "shopId", o.customer_id as "customerId"
  from (select * from sales_order where ${["true", ...conditions].join(" and ")}
         order by id desc) o
  join shop s on s.id = o.shop_id
 cross join lateral (
   select l.position + 1 as line, p.sku, l.title, l.quantity,
          l.unit_price_minor as "unitPriceMinor", l.vat_rate as "vatRate",
          l.total_minor as "totalMinor", l.vat_minor as "vatMinor", l.allergens,
          l.product_id as "productId"
     from sales_order_line l join product p on p.id = l.product_id
    where l.order_id = o.id
    order by l.position) l
 order by o.id desc, l.line`;
  return streamRows<ExportedLine>(db, tenant, { text, values });
}
