import { definePermissions } from "#kernel/access/permissions.ts";

/**
 * What may be done here. The role `user` has what says `user`: "all" for any row of its tenant,
 * "own" for the orders that it made; `ownable` ones may be given for own orders.
 */
export const ordersPermissions = definePermissions({
  "shop:read": { title: "See shops and their history", user: "all" },
  "shop:create": { title: "Open a shop" },
  "shop:update": { title: "Change or retire a shop" },
  "shop:delete": { title: "Delete a shop" },
  "product:read": { title: "See products and their history", user: "all" },
  "product:create": { title: "Add a product" },
  "product:update": { title: "Change a product, its price and its stock" },
  "product:delete": { title: "Delete a product" },
  "product:import": { title: "Make and change products from a file" },
  "customer:read": { title: "See customers and their history", user: "all" },
  "customer:create": { title: "Write a customer down", user: "all" },
  "customer:update": { title: "Change or retire a customer" },
  "customer:delete": { title: "Delete a customer" },
  "order:read": { title: "See orders, their history and their summary", user: "own" },
  "order:sync": {
    title: "Bring in what a till did offline, as far as other permissions go",
    user: "all",
  },
  "order:export": { title: "Download orders as a file", user: "own" },
  "order:create": { title: "Take an order", user: "all" },
  "order:update": { title: "Change an order that is a draft", user: "own" },
  "order:submit": { title: "Submit an order", user: "own" },
  "order:confirm": { title: "Confirm an order, which takes its stock", ownable: true },
  "order:fulfil": { title: "Start preparing an order, and say that it is ready", ownable: true },
  "order:complete": { title: "Hand an order over, which books its money", ownable: true },
  "order:cancel": { title: "Cancel an order; own ones until they are confirmed", user: "own" },
  "transaction:read": { title: "See the ledger" },
  "transaction:create": { title: "Book money that came in or went out" },
});
