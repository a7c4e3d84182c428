import { defineEvents } from "#kernel/events/catalogue.ts";
import { Customer } from "./schemas/customers.ts";
import { Transaction } from "./schemas/ledger.ts";
import { ToldOrder } from "./schemas/orders.ts";
import { Product } from "./schemas/products.ts";
import { Shop } from "./schemas/shops.ts";

/**
 * Everything that `emit` may tell here. A change's event carries the thing as it is afterwards, a
 * deletion's as it was; only types that stand here can be emitted and subscribed to.
 */
export const ordersEvents = defineEvents({
  "shop.created": { title: "A shop was added", data: Shop },
  "shop.updated": { title: "A shop was changed", data: Shop },
  "shop.deleted": { title: "A shop was deleted", data: Shop },
  "product.created": { title: "A product was added", data: Product },
  "product.updated": { title: "A product was changed", data: Product },
  "product.deleted": { title: "A product was deleted", data: Product },
  "product.stock_low": { title: "A product's counted stock fell to 5 or below", data: Product },
  "customer.created": { title: "A customer was added", data: Customer },
  "customer.updated": { title: "A customer was changed", data: Customer },
  "customer.deleted": { title: "A customer was deleted", data: Customer },
  "order.created": { title: "An order was taken, as a draft", data: ToldOrder },
  "order.updated": { title: "A draft was changed", data: ToldOrder },
  "order.submitted": { title: "An order was submitted", data: ToldOrder },
  "order.confirmed": { title: "An order was confirmed and its stock taken", data: ToldOrder },
  "order.preparation_started": { title: "Somebody began to prepare an order", data: ToldOrder },
  "order.ready": { title: "An order is ready to be handed over", data: ToldOrder },
  "order.completed": { title: "An order was completed and its money booked", data: ToldOrder },
  "order.cancelled": { title: "An order was cancelled and its stock given back", data: ToldOrder },
  "transaction.created": { title: "An entry was added to the ledger", data: Transaction },
});
