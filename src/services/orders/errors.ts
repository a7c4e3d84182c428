import { Type } from "typebox";
import { defineErrors } from "#kernel/errors.ts";
import { Id, strict } from "#kernel/http/schemas.ts";

const names = (description: string, example: string) =>
  Type.Array(Type.String({ examples: [example] }), { description });
const count = (description: string, example: number) =>
  Type.Integer({ minimum: 0, description, examples: [example] });
const title = Type.String({ examples: ["Montgomery's Cheddar 200 g"] });
const state = Type.String({ description: "The order's, now.", examples: ["confirmed"] });

/** What this service refuses by a name of its own; errors common to all are the kernel's. */
export const ordersErrors = defineErrors("orders", {
  shop_name_taken: { status: 409, title: "The tenant has another shop of this name" },
  sku_taken: { status: 409, title: "The tenant has another product with this SKU" },
  customer_email_taken: { status: 409, title: "The tenant has another customer of this address" },
  unknown_currency: { status: 422, title: "The currency is not a code of ISO 4217" },
  unknown_allergen: {
    status: 422,
    title: "The allergen is not one of the fourteen",
    members: { allowed: names("The fourteen.", "milk") },
  },
  unknown_shop: { status: 422, title: "There is no such shop" },
  unknown_product: { status: 422, title: "There is no such product" },
  unknown_customer: { status: 422, title: "There is no such customer" },
  unknown_order: { status: 422, title: "There is no such order" },
  retired: { status: 422, title: "The shop, product or customer is retired" },
  totals_are_computed: { status: 422, title: "Prices and totals are the server's to compute" },
  bad_quantity: { status: 422, title: "The quantity is not a whole number from 1 to 10,000" },
  duplicate_line: { status: 422, title: "The order names a product twice" },
  mixed_currencies: { status: 422, title: "The currency is not the one of the shop or order" },
  vat_not_in_amount: { status: 422, title: "The amount does not hold this VAT at this rate" },
  total_too_large: { status: 422, title: "The total is beyond what can be counted exactly" },
  currency_changed: { status: 409, title: "The shop takes another currency than the order is in" },
  not_a_draft: { status: 409, title: "Only a draft can be changed", members: { state } },
  illegal_transition: {
    status: 409,
    title: "The order's state does not allow this",
    members: { state, allowed: names("What the caller may do with it instead.", "cancel") },
  },
  out_of_stock: {
    status: 409,
    title: "There is not enough stock",
    members: {
      products: Type.Array(
        strict({ productId: Id, title, wanted: count("Units.", 3), left: count("Units.", 1) }),
        { description: "Those of which there is too little." },
      ),
    },
  },
  allergen_conflict: {
    status: 409,
    title: "The customer must not eat what was ordered",
    members: {
      conflicts: Type.Array(
        strict({ productId: Id, title, allergens: names("Of those that it holds.", "milk") }),
        { description: "Items that hold what the customer must not eat." },
      ),
      allergenRestrictions: names("All that the customer must not eat.", "milk"),
    },
  },
  import_bad_header: {
    status: 422,
    title: "The file does not begin with the names of its columns",
  },
  import_too_long: { status: 422, title: "The file has more rows than one import takes" },
  import_sku_repeated: { status: 422, title: "An earlier line of the file has this SKU" },
  import_refused: {
    status: 422,
    title: "The file has rows that can't be imported",
    members: {
      rows: count("How many the file has.", 1_200),
      failed: count("How many of them can't be imported.", 2),
      errorsOmitted: count("Further faults, which `errors` has no room for.", 0),
    },
  },
  import_running: { status: 409, title: "Another import is under way" },
  label_without_ingredients: {
    status: 409,
    title: "The product has no ingredients, which its label must list",
  },
  label_undeclared_allergens: {
    status: 409,
    title: "The ingredients name allergens that the product does not declare",
    members: {
      undeclared: Type.Array(
        strict({
          word: Type.String({ examples: ["whey"] }),
          allergens: names("What it may stand for.", "milk"),
        }),
        { description: "Words of the ingredients." },
      ),
    },
  },
  unprintable: {
    status: 409,
    title: "The typeface of documents lacks characters",
    members: { characters: names("Those that it lacks; the first 20.", "茶") },
  },
  in_use: { status: 409, title: "Orders refer to it" },
  sync_unknown_key: { status: 422, title: "The item refers to what the till has not brought in" },
  sync_bad_state: { status: 422, title: "A till can't bring an order into this state" },
  whatsapp_unverified: { status: 401, title: "Nothing shows that WhatsApp has sent this" },
  whatsapp_wrong_token: { status: 403, title: "The verify token is another one" },
  whatsapp_number_taken: { status: 409, title: "Another tenant has this WhatsApp number" },
});
