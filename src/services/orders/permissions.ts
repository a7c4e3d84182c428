import { definePermissions } from "#kernel/access/permissions.ts";

/** What may be done here; `user: "all"`: the role `user` may, with any row of its tenant. */
export const ordersPermissions = definePermissions({
  "shop:read": { title: "See shops and their history", user: "all" },
  "shop:create": { title: "Open a shop" },
  "shop:update": { title: "Change or retire a shop" },
  "shop:delete": { title: "Delete a shop" },
  "product:read": { title: "See products and their history", user: "all" },
  "product:create": { title: "Add a product" },
  "product:update": { title: "Change a product, its price and its stock" },
  "product:delete": { title: "Delete a product" },
});
