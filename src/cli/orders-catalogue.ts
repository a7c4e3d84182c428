import { UsageError } from "./errors.ts";
import { integer, list, yesOrNo } from "./options.ts";
import { idOf } from "./orders-names.ts";
import { type Resource, resourceCommands } from "./resource.ts";
import type { CommandSpec } from "./types.ts";

const filters: Resource["filters"] = [
  { flags: "--q <text>", member: "q", summary: "part of the name, title or SKU" },
  { flags: "--active <yes/no>", member: "active", summary: "only active ones", parse: yesOrNo },
];

const active = {
  flags: "--active <yes/no>",
  member: "active",
  summary: "no retires it",
  parse: yesOrNo,
};

const shops: Resource = {
  one: "shop",
  idOf: (client, text) => idOf(client, "shop", text, { whole: true }),
  path: "/shops",
  filters,
  columns: [
    { title: "Id", value: "id" },
    { title: "Name", value: "name" },
    { title: "Currency", value: "currency" },
    { title: "Active", value: "active" },
    { title: "Address", value: "address" },
  ],
  fields: [
    { flags: "--name <name>", member: "name", summary: "unique in the tenant", isNeeded: true },
    { flags: "--address <address>", member: "address", summary: "as printed on labels" },
    { flags: "--currency <code>", member: "currency", summary: "GBP unless given" },
    active,
  ],
};

const products: Resource = {
  one: "product",
  idOf: (client, text) => idOf(client, "product", text),
  path: "/products",
  filters,
  columns: [
    { title: "Id", value: "id" },
    { title: "SKU", value: "sku" },
    { title: "Title", value: "title" },
    { title: "Price minor", value: "priceMinor" },
    { title: "VAT", value: "vatRate" },
    { title: "Stock", value: "stock" },
    { title: "Active", value: "active" },
    { title: "Allergens", value: "allergens" },
  ],
  fields: [
    { flags: "--sku <sku>", member: "sku", summary: "the seller's own code", isNeeded: true },
    {
      flags: "--title <title>",
      member: "title",
      summary: "as printed on the label",
      isNeeded: true,
    },
    {
      flags: "--price-minor <amount>",
      member: "priceMinor",
      summary: "price with VAT in the currency's smallest unit",
      isNeeded: true,
      parse: integer,
    },
    {
      flags: "--vat-rate <rate>",
      member: "vatRate",
      summary: "as the tax office has it",
      isNeeded: true,
      choices: ["zero", "reduced", "standard", "exempt"],
    },
    { flags: "--ingredients <text>", member: "ingredients", summary: "all of them" },
    {
      flags: "--allergens <names>",
      member: "allergens",
      summary: "by commas; an empty text for none",
      parse: list,
    },
    {
      flags: "--stock <count>",
      member: "stock",
      summary: "units left, or none if they are not counted",
      parse: stockCount,
    },
    active,
  ],
};

function stockCount(text: string): number | null {
  if (text === "none") return null;
  const count = integer(text);
  if (count < 0) throw new UsageError("It must be 0 or more, or none.");
  return count;
}

const orNone = (text: string) => (text === "" ? null : text);

const customers: Resource = {
  one: "customer",
  idOf: (client, text) => idOf(client, "customer", text),
  path: "/customers",
  filters: [
    { flags: "--q <text>", member: "q", summary: "part of the name, e-mail address or phone" },
    { flags: "--active <yes/no>", member: "active", summary: "only active ones", parse: yesOrNo },
  ],
  columns: [
    { title: "Id", value: "id" },
    { title: "Name", value: "name" },
    { title: "E-mail", value: "email" },
    { title: "Phone", value: "phone" },
    { title: "Must not eat", value: "allergenRestrictions" },
    { title: "Active", value: "active" },
  ],
  fields: [
    { flags: "--name <name>", member: "name", summary: "as on the order", isNeeded: true },
    {
      flags: "--email <address>",
      member: "email",
      summary: "unique in the tenant; an empty text for none",
      parse: orNone,
    },
    {
      flags: "--phone <number>",
      member: "phone",
      summary: "an empty text for none",
      parse: orNone,
    },
    {
      flags: "--allergen-restrictions <names>",
      member: "allergenRestrictions",
      summary: "what they must not eat, by commas; an empty text for nothing",
      parse: list,
    },
    { flags: "--notes <text>", member: "notes", summary: "for whoever serves them" },
    active,
  ],
};

/** Where orders are taken, what is sold, and to whom. */
export const catalogueCommands: readonly CommandSpec[] = [
  { name: "shops", summary: "where orders are taken", commands: resourceCommands(shops) },
  { name: "products", summary: "what is sold", commands: resourceCommands(products) },
  { name: "customers", summary: "who orders", commands: resourceCommands(customers) },
];
