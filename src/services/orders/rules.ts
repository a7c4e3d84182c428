import { ordersErrors } from "./errors.ts";

/** The fourteen allergens that UK food law names, in the order in which they are always shown. */
export const allergenNames = [
  "gluten",
  "crustaceans",
  "eggs",
  "fish",
  "peanuts",
  "soybeans",
  "milk",
  "nuts",
  "celery",
  "mustard",
  "sesame",
  "sulphites",
  "lupin",
  "molluscs",
] as const;
export type AllergenName = (typeof allergenNames)[number];

export const vatRates = ["zero", "reduced", "standard", "exempt"] as const;

/** A counted product at or below this many units is reported as `product.stock_low`. */
export const lowStockUnits = 5;

/** Codes of ISO 4217 that are money in circulation, by the number of digits of the minor unit. */
const currencyCodesByExponent: Readonly<Record<number, string>> = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
  2: `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
    CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD
    HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK
    MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
    RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS
    UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG`,
  3: "BHD IQD JOD KWD LYD OMR TND",
};

/** How many digits of an amount in minor units stand after the point, by currency code. */
export const currencyExponents: ReadonlyMap<string, number> = new Map(
  Object.entries(currencyCodesByExponent).flatMap(([exponent, codes]) =>
    codes.split(/\s+/).map((code) => [code, Number(exponent)] as const),
  ),
);

/** The code itself; throws `unknown_currency` for one that ISO 4217 does not know. */
export function knownCurrency(code: string): string {
  if (currencyExponents.has(code)) return code;
  throw ordersErrors.unknown_currency({
    detail: `"${code}" is not a currency code in use; GBP, EUR and USD are.`,
    errors: [{ path: "/currency", message: `${code} is not a currency code of ISO 4217` }],
  });
}

/** The same allergens in the order of the fourteen; throws `unknown_allergen` for any other. */
export function knownAllergens(names: readonly string[]): AllergenName[] {
  const errors = names.flatMap((name, index) =>
    isAllergen(name)
      ? []
      : [{ path: `/allergens/${index}`, message: `${name} is not an allergen` }],
  );
  if (errors.length > 0) {
    const unknown = names.filter((name) => !isAllergen(name));
    throw ordersErrors.unknown_allergen({
      detail: `${unknown.map((name) => `"${name}"`).join(", ")}: use ${allergenNames.join(", ")}.`,
      errors,
      extensions: { allowed: allergenNames },
    });
  }
  return allergenNames.filter((name) => names.includes(name));
}

function isAllergen(name: string): name is AllergenName {
  return (allergenNames as readonly string[]).includes(name);
}

/**
 * Whether a change took the stock to the low mark or below it. Null is "not counted"; a product
 * that was low already is not reported again.
 */
export function stockFellLow(before: number | null, after: number | null): boolean {
  const isLow = (stock: number | null) => stock !== null && stock <= lowStockUnits;
  return isLow(after) && !isLow(before);
}
