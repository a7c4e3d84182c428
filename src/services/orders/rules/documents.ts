import { type Problem, requestErrors } from "#kernel/errors.ts";
import { ordersErrors } from "../errors.ts";
import { type AllergenWord, findAllergenWords } from "./allergen-words.ts";
import type { AllergenName } from "./allergens.ts";
import { amountText, moneyText, type VatRate, vatPercents, vatRates } from "./money.ts";
import { amountsByVatRate, type OrderLine, type OrderState } from "./orders.ts";

/** A stretch of text in one weight. */
export interface Run {
  readonly text: string;
  readonly bold: boolean;
}

/** Labels of these printers, in millimetres; the smallest "x" on small packs is lower by law. */
export const labelSizes = {
  "100x62": { widthMm: 100, heightMm: 62 },
  "89x36": { widthMm: 89, heightMm: 36 },
} as const;
export const labelXHeightMm = { usual: 1.2, smallPack: 0.9 } as const;

/** What a label must say of a food: its ingredients, and what they leave unsaid. */
export interface LabelContent {
  readonly ingredients: readonly Run[];
  /** Declared allergens that no ingredient names plainly. */
  readonly contains: readonly AllergenName[];
  /** Words of allergens that are not declared, which somebody has acknowledged. */
  readonly undeclared: readonly Undeclared[];
}

interface Undeclared {
  readonly word: string;
  readonly allergens: readonly AllergenName[];
}

/**
 * The ingredients with each allergen emphasised wherever it appears. Throws
 * `label_without_ingredients`, and `label_undeclared_allergens` where they name an allergen that
 * the product does not declare, unless a person has `acknowledged` it: the word is emphasised then.
 */
export function labelContent(
  product: { ingredients: string; allergens: readonly AllergenName[] },
  acknowledged: boolean,
): LabelContent {
  const ingredients = tidyText(product.ingredients);
  if (ingredients === "") {
    throw ordersErrors.label_without_ingredients({
      detail: "A label must list the ingredients, even a single one: add them to the product.",
    });
  }
  const words = findAllergenWords(ingredients);
  const undeclared = undeclaredOf(words, product.allergens);
  if (undeclared.length > 0 && !acknowledged) throw contradiction(undeclared);
  const isNamed = (allergen: AllergenName) =>
    words.some(
      ({ allergens, plainness, precautionary }) =>
        plainness === "named" && !precautionary && allergens.includes(allergen),
    );
  return {
    ingredients: emphasise(ingredients, words),
    contains: product.allergens.filter((allergen) => !isNamed(allergen)),
    undeclared,
  };
}

interface LabelledProduct {
  readonly title: string;
  readonly ingredients: string;
  readonly allergens: readonly AllergenName[];
  readonly priceMinor: number;
  readonly updatedAt: string;
}

interface LabelWishes {
  readonly shopId?: string;
  readonly price: boolean;
  readonly acknowledgeAllergens: boolean;
}

/** All that stands on a product's label. Also throws `unknown_shop`, and `invalid` for a price. */
export function labelOf(
  product: LabelledProduct,
  shop: { name: string; address: string; currency: string; updatedAt: string } | null,
  { shopId, price, acknowledgeAllergens }: LabelWishes,
) {
  if (shopId !== undefined && shop === null) {
    throw ordersErrors.unknown_shop({
      detail: `There is no shop ${shopId}.`,
      errors: [{ path: "query/shopId", message: "names no shop" }],
    });
  }
  if (price && shop === null) {
    throw requestErrors.invalid({
      detail: "A price is printed in the currency of a shop: name it as shopId.",
      errors: [{ path: "query/price", message: "needs shopId" }],
    });
  }
  const name = tidyText(product.title);
  const address = shop ? tidyText(shop.address).split(/,*\n/) : [];
  return {
    ...labelContent(product, acknowledgeAllergens),
    title: `Label: ${name}`,
    name,
    price: price && shop ? moneyText(product.priceMinor, shop.currency) : null,
    seller: shop ? [tidyText(shop.name), ...address].filter(Boolean).join(", ") : "",
    at: shop && shop.updatedAt > product.updatedAt ? shop.updatedAt : product.updatedAt,
  };
}

/** Each word once. What may be in the food by accident need not be declared. */
function undeclaredOf(
  words: readonly AllergenWord[],
  declared: readonly AllergenName[],
): Undeclared[] {
  const allergensByWord = new Map<string, readonly AllergenName[]>();
  for (const { word, allergens, precautionary } of words) {
    if (precautionary || allergens.some((allergen) => declared.includes(allergen))) continue;
    allergensByWord.set(word.toLowerCase(), allergens);
  }
  return [...allergensByWord].map(([word, allergens]) => ({ word, allergens }));
}

function contradiction(undeclared: readonly Undeclared[]) {
  const said = undeclared.map(({ word, allergens }) => `"${word}" (${allergens.join(" or ")})`);
  return ordersErrors.label_undeclared_allergens({
    detail: `The ingredients name ${said.join(", ")}, which the product does not declare. Correct \
its allergens or its ingredients; where a word means something else, acknowledgeAllergens=true.`,
    extensions: { undeclared },
  });
}

function emphasise(text: string, words: readonly AllergenWord[]): Run[] {
  const runs: Run[] = [];
  let done = 0;
  for (const { start, end, plainness } of words) {
    if (plainness === "implied") continue;
    runs.push({ text: text.slice(done, start), bold: false });
    runs.push({ text: text.slice(start, end), bold: true });
    done = end;
  }
  runs.push({ text: text.slice(done), bold: false });
  return runs.filter((run) => run.text !== "");
}

/**
 * The text as it can be printed and searched: composed characters, no invisible ones (a soft
 * hyphen would hide a word), single blanks, and at most one line break in a row.
 */
export function tidyText(text: string): string {
  return text
    .normalize("NFC")
    .replace(/\r\n?|[\u2028\u2029]/g, "\n")
    .replace(/\p{Cf}|\p{Variation_Selector}/gu, "")
    .replace(/[^\S\n]+|(?!\n)\p{Cc}/gu, " ")
    .replace(/ *\n[ \n]*/g, "\n")
    .replace(/ {2,}/g, " ")
    .trim();
}

const unprintableNamedMost = 20;

/** The refusal of a document for characters that its typeface lacks, each of them once. */
export function unprintable(characters: readonly string[]): Problem {
  const named = characters.slice(0, unprintableNamedMost);
  const list = named.map((character) => `"${character}"`).join(", ");
  const more = characters.length > named.length ? " and more" : "";
  return ordersErrors.unprintable({
    detail: `The typeface lacks ${list}${more}: it has Latin, Greek and Cyrillic letters. Write the \
words that hold them in those.`,
    extensions: { characters: named },
  });
}

/** What an invoice says, in the order in which it says it; amounts are texts already. */
export interface InvoiceContent {
  /** Of the document, as readers of PDF show it. */
  readonly title: string;
  /** What it is; only an order that the shop has confirmed is called an invoice. */
  readonly heading: string;
  /** What that means; null for an invoice. */
  readonly note: string | null;
  readonly seller: { readonly name: string; readonly address: string };
  /** A line each; none where nobody was named. */
  readonly buyer: readonly string[];
  readonly number: string;
  readonly facts: readonly { readonly name: string; readonly value: string }[];
  readonly currency: string;
  readonly lines: readonly {
    readonly title: string;
    readonly quantity: string;
    readonly unitPrice: string;
    readonly vat: string;
    readonly total: string;
  }[];
  readonly rates: readonly {
    readonly name: string;
    readonly net: string;
    readonly vat: string;
    readonly total: string;
  }[];
  readonly net: string;
  readonly vat: string;
  readonly total: string;
}

interface InvoicedOrder {
  readonly number: string;
  readonly state: OrderState;
  readonly customerName: string | null;
  readonly customerEmail: string | null;
  readonly customerPhone: string | null;
  readonly currency: string;
  readonly items: readonly OrderLine[];
  readonly netMinor: number;
  readonly vatMinor: number;
  readonly totalMinor: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

const invoice = { heading: "INVOICE", note: null };
const headings = {
  draft: { heading: "PROFORMA", note: "A draft: nothing has been ordered yet, nothing is owed." },
  pending: { heading: "PROFORMA", note: "The shop has not confirmed this order; nothing is owed." },
  confirmed: invoice,
  preparing: invoice,
  ready: invoice,
  completed: invoice,
  cancelled: { heading: "CANCELLED", note: "This order was cancelled; nothing is owed." },
} as const satisfies Record<OrderState, Pick<InvoiceContent, "heading" | "note">>;

const rateNames: Readonly<Record<VatRate, string>> = {
  standard: "Standard",
  reduced: "Reduced",
  zero: "Zero",
  exempt: "Exempt",
};
const rateText = (rate: VatRate) => (rate === "exempt" ? "exempt" : `${vatPercents[rate]}%`);

/** What the order's invoice, or what stands in for one, says. */
export function invoiceContent(
  order: InvoicedOrder,
  shop: { name: string; address: string },
): InvoiceContent {
  const { currency, state } = order;
  const { heading, note } = headings[state];
  const amount = (amountMinor: number) => amountText(amountMinor, currency);
  const buyer = [order.customerName, order.customerEmail, order.customerPhone];
  const byRate = new Map(amountsByVatRate(order.items).map((sums) => [sums.vatRate, sums]));
  return {
    title: `${heading} ${order.number}`,
    heading,
    note,
    seller: { name: tidyText(shop.name), address: tidyText(shop.address) },
    buyer: buyer.flatMap((line) => (line ? [tidyText(line)] : [])),
    number: order.number,
    facts: [
      { name: "Order", value: order.number },
      { name: "Ordered", value: dayText(order.createdAt) },
      { name: note === null ? "Invoice date" : "As of", value: dayText(order.updatedAt) },
      { name: "State", value: `${state.charAt(0).toUpperCase()}${state.slice(1)}` },
    ],
    currency,
    lines: order.items.map(({ title, quantity, unitPriceMinor, vatRate, totalMinor }) => ({
      title: tidyText(title),
      quantity: quantity.toLocaleString("en-GB"),
      unitPrice: amount(unitPriceMinor),
      vat: rateText(vatRate),
      total: amount(totalMinor),
    })),
    rates: vatRates.flatMap((rate) => {
      const sums = byRate.get(rate);
      if (!sums) return [];
      const { amountMinor, vatMinor } = sums;
      const name = rate === "exempt" ? rateNames[rate] : `${rateNames[rate]} ${rateText(rate)}`;
      const net = amount(amountMinor - vatMinor);
      return [{ name, net, vat: amount(vatMinor), total: amount(amountMinor) }];
    }),
    net: moneyText(order.netMinor, currency),
    vat: moneyText(order.vatMinor, currency),
    total: moneyText(order.totalMinor, currency),
  };
}

const months = `January February March April May June July August September October November
  December`.split(/\s+/);

/** The day of a moment in ISO-8601, in UTC: "20 November 2026". */
function dayText(at: string): string {
  const [year, month, day] = at.slice(0, 10).split("-");
  return `${Number(day)} ${months[Number(month) - 1]} ${year}`;
}
