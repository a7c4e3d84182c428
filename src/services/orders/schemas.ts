import { type Static, type TProperties, Type } from "typebox";
import {
  Currency,
  Id,
  ListQuery,
  pageOf,
  strict,
  Timestamp,
  Version,
} from "#kernel/http/schemas.ts";
import { allergenNames, lowStockUnits, vatRates } from "./rules.ts";

// Members stand once, below; what is stored, made and changed is put together from them. They
// have no `default`: that would fill in what a PATCH left out. Defaults are in changes.ts.

const oneLine = (maxLength: number, description: string, example: string) =>
  Type.String({
    minLength: 1,
    maxLength,
    pattern: "^\\S(.*\\S)?$",
    description: `${description} One line without blanks around it.`,
    examples: [example],
  });

const optional = <Members extends TProperties>(members: Members) =>
  Type.Partial(Type.Object(members)).properties;

const stamps = { version: Version, createdAt: Timestamp, updatedAt: Timestamp };

/** Newest first; `q` and `active` narrow it down. */
export const ListFilter = strict({
  ...ListQuery.properties,
  q: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description: "Part of the name, title or SKU, in upper or lower case.",
      examples: ["deli"],
    }),
  ),
  active: Type.Optional(Type.Boolean({ description: "Only active ones, or only retired ones." })),
});
export type ListFilter = Static<typeof ListFilter>;

const shopMembers = {
  name: oneLine(200, "Unique in the tenant.", "Bermondsey Street Deli"),
  address: Type.String({
    maxLength: 500,
    description: "As printed on labels and invoices, with its line breaks. Empty unless given.",
    examples: ["41 Bermondsey Street\nLondon SE1 3XF"],
  }),
  currency: { ...Currency, description: "ISO 4217 code of the money taken. GBP unless given." },
  active: Type.Boolean({
    description: "False retires the shop, which keeps its past. True unless given.",
    examples: [true],
  }),
};

export const Shop = strict({ id: Id, ...shopMembers, ...stamps }, { title: "Shop" });
export type Shop = Static<typeof Shop>;

export const ShopPage = pageOf(Shop, { title: "ShopPage" });

export const NewShop = strict(
  { ...optional(shopMembers), name: shopMembers.name },
  { title: "NewShop" },
);
export type NewShop = Static<typeof NewShop>;

export const ShopChanges = strict(optional(shopMembers), {
  title: "ShopChanges",
  minProperties: 1,
  examples: [{ active: false }],
});
export type ShopChanges = Static<typeof ShopChanges>;

const productMembers = {
  sku: oneLine(100, "The seller's own code, unique in the tenant.", "CHS-MONT-200"),
  title: oneLine(255, "As printed on the label.", "Montgomery's Cheddar 200 g"),
  ingredients: Type.String({
    maxLength: 2000,
    description: "All of them, as the label must list them. Empty unless given.",
    examples: ["Unpasteurised cow's MILK, salt, rennet, starter culture"],
  }),
  allergens: Type.Array(Type.String({ maxLength: 40, examples: ["milk"] }), {
    maxItems: allergenNames.length,
    uniqueItems: true,
    description: `Any of ${allergenNames.join(", ")}. None unless given.`,
    examples: [["milk"]],
  }),
  priceMinor: Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: "Price of one, VAT included, in the minor unit of the shop's currency: pence.",
    examples: [795],
  }),
  vatRate: Type.Enum([...vatRates], {
    description: "zero 0 %, reduced 5 %, standard 20 %, exempt.",
    examples: ["zero"],
  }),
  stock: Type.Unsafe<number | null>({
    type: ["integer", "null"],
    minimum: 0,
    maximum: 2 ** 31 - 1,
    description: `Units left; null, as it is unless given, is not counted. Falling to \
${lowStockUnits} or below emits product.stock_low.`,
    examples: [24],
  }),
  active: Type.Boolean({
    description: "False takes the product off sale. True unless given.",
    examples: [true],
  }),
};

export const Product = strict(
  {
    id: Id,
    ...productMembers,
    allergens: Type.Array(Type.Enum([...allergenNames]), {
      description: "In the order of the law's list.",
      examples: [["milk"]],
    }),
    ...stamps,
  },
  { title: "Product" },
);
export type Product = Static<typeof Product>;

export const ProductPage = pageOf(Product, { title: "ProductPage" });

export const NewProduct = strict(
  {
    ...optional(productMembers),
    sku: productMembers.sku,
    title: productMembers.title,
    priceMinor: productMembers.priceMinor,
    vatRate: productMembers.vatRate,
  },
  { title: "NewProduct" },
);
export type NewProduct = Static<typeof NewProduct>;

export const ProductChanges = strict(optional(productMembers), {
  title: "ProductChanges",
  minProperties: 1,
  examples: [{ priceMinor: 825, stock: 20 }],
});
export type ProductChanges = Static<typeof ProductChanges>;
