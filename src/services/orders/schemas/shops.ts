import { type Static, Type } from "typebox";
import {
  changesOf,
  Currency,
  Id,
  line,
  newOf,
  pageOf,
  stamps,
  strict,
  text,
} from "#kernel/http/schemas.ts";

// No member has a `default`: that would fill in what a PATCH left out. Defaults are in changes/.
const shopMembers = {
  name: line(200, "Unique in the tenant.", "Bermondsey Street Deli"),
  address: text(
    500,
    "As printed on labels and invoices, with its line breaks. Empty unless given.",
    "41 Bermondsey Street\nLondon SE1 3XF",
  ),
  currency: { ...Currency, description: "ISO 4217 code of the money taken. GBP unless given." },
  active: Type.Boolean({
    description: "False retires the shop, which keeps its past. True unless given.",
    examples: [true],
  }),
};

export const Shop = strict({ id: Id, ...shopMembers, ...stamps }, { title: "Shop" });
export type Shop = Static<typeof Shop>;

export const ShopPage = pageOf(Shop, { title: "ShopPage" });

export const NewShop = newOf(shopMembers, ["name"], { title: "NewShop" });
export type NewShop = Static<typeof NewShop>;

export const ShopChanges = changesOf(shopMembers, {
  title: "ShopChanges",
  examples: [{ active: false }],
});
export type ShopChanges = Static<typeof ShopChanges>;
