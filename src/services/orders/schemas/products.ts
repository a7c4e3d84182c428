import { type Static, Type } from "typebox";
import { changesOf, Id, line, newOf, pageOf, stamps, strict, text } from "#kernel/http/schemas.ts";
import { allergenNames } from "../rules/allergens.ts";
import { vatRates } from "../rules/money.ts";
import { lowStockUnits } from "../rules/stock.ts";
import { allergenList, knownAllergenList } from "./common.ts";

const productMembers = {
  sku: line(100, "The seller's own code, unique in the tenant.", "CHS-MONT-200"),
  title: line(255, "As printed on the label.", "Montgomery's Cheddar 200 g"),
  ingredients: text(
    2000,
    "All of them, as the label must list them. Empty unless given.",
    "Unpasteurised cow's MILK, salt, rennet, starter culture",
  ),
  allergens: allergenList(`Any of ${allergenNames.join(", ")}. None unless given.`),
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
    allergens: knownAllergenList("In the order of the law's list."),
    ...stamps,
  },
  { title: "Product" },
);
export type Product = Static<typeof Product>;

export const ProductPage = pageOf(Product, { title: "ProductPage" });

export const NewProduct = newOf(productMembers, ["sku", "title", "priceMinor", "vatRate"], {
  title: "NewProduct",
});
export type NewProduct = Static<typeof NewProduct>;

export const ProductChanges = changesOf(productMembers, {
  title: "ProductChanges",
  examples: [{ priceMinor: 825, stock: 20 }],
});
export type ProductChanges = Static<typeof ProductChanges>;
