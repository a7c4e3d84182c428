import { defineErrors } from "#kernel/errors.ts";

/** What this service refuses by a name of its own; errors common to all are the kernel's. */
export const ordersErrors = defineErrors("orders", {
  shop_name_taken: { status: 409, title: "The tenant has another shop of this name" },
  sku_taken: { status: 409, title: "The tenant has another product with this SKU" },
  unknown_currency: { status: 422, title: "The currency is not a code of ISO 4217" },
  unknown_allergen: { status: 422, title: "The allergen is not one of the fourteen" },
});
