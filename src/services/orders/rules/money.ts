import { ordersErrors } from "../errors.ts";

/** How a price is taxed; `exempt` differs from `zero` on a tax return only. */
export const vatRates = ["zero", "reduced", "standard", "exempt"] as const;
export type VatRate = (typeof vatRates)[number];

/** What is added to a net price, in hundredths of it. */
export const vatPercents: Readonly<Record<VatRate, bigint>> = {
  zero: 0n,
  reduced: 5n,
  standard: 20n,
  exempt: 0n,
};

/**
 * The VAT that is in an amount: amount × rate / (100 + rate), rounded to the nearest minor unit and
 * half-way cases to the even one. A correction of -x holds -1 times the VAT of x.
 */
export function vatWithin(amountMinor: number, vatRate: VatRate): number {
  const percent = vatPercents[vatRate];
  return Number(divideHalfEven(BigInt(amountMinor) * percent, 100n + percent));
}

/** The lines of an order are 100 at most, each rounded by half a unit at most. */
const roundedApartMost = 50;

/**
 * The VAT of a ledger entry, which is computed unless it is given: what an order has booked is a
 * sum of lines, each rounded by itself, and so is what takes it back. Throws `vat_not_in_amount`.
 */
export function bookedVat({
  amountMinor,
  vatRate,
  vatMinor,
}: {
  amountMinor: number;
  vatRate: VatRate;
  vatMinor?: number;
}): number {
  const computed = vatWithin(amountMinor, vatRate);
  if (vatMinor === undefined) return computed;
  const isPart = vatMinor >= Math.min(amountMinor, 0) && vatMinor <= Math.max(amountMinor, 0);
  const apartMost = vatPercents[vatRate] === 0n ? 0 : roundedApartMost;
  if (isPart && Math.abs(vatMinor - computed) <= apartMost) return vatMinor;
  throw ordersErrors.vat_not_in_amount({
    detail: `${amountMinor} at the rate "${vatRate}" holds ${computed}; left out, it is computed.`,
    errors: [{ path: "/vatMinor", message: `is ${vatMinor}, while ${computed} is in the amount` }],
  });
}

function divideHalfEven(dividend: bigint, divisor: bigint): bigint {
  const isNegative = dividend < 0n;
  const size = isNegative ? -dividend : dividend;
  const [quotient, rest] = [size / divisor, size % divisor];
  const isUp = rest * 2n > divisor || (rest * 2n === divisor && quotient % 2n === 1n);
  const rounded = isUp ? quotient + 1n : quotient;
  return isNegative ? -rounded : rounded;
}

/** A line's total and the VAT in it. Throws `total_too_large`. */
export function lineAmounts(
  unitPriceMinor: number,
  quantity: number,
  vatRate: VatRate,
): { totalMinor: number; vatMinor: number } {
  const totalMinor = exact(BigInt(unitPriceMinor) * BigInt(quantity));
  return { totalMinor, vatMinor: vatWithin(totalMinor, vatRate) };
}

/** The sum of amounts. Throws `total_too_large` beyond 2^53 - 1. */
export function sumAmounts(amountsMinor: readonly number[]): number {
  return exact(amountsMinor.reduce((sum, amount) => sum + BigInt(amount), 0n));
}

/** An amount as a number of JSON. Throws `total_too_large` where that would not be exact. */
export function exact(amountMinor: bigint): number {
  const amount = Number(amountMinor);
  if (Number.isSafeInteger(amount)) return amount;
  throw ordersErrors.total_too_large({
    detail: `${amountMinor} is more than ${Number.MAX_SAFE_INTEGER} of the minor unit.`,
  });
}

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

const currencySigns: Readonly<Record<string, string>> = { GBP: "£", EUR: "€" };

/** An amount as people read it, without its currency: 123456 of GBP is "1,234.56". */
export function amountText(amountMinor: number, currency: string): string {
  const exponent = currencyExponents.get(currency) ?? 2;
  const digits = String(Math.abs(amountMinor)).padStart(exponent + 1, "0");
  const units = digits.slice(0, digits.length - exponent).replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = exponent === 0 ? "" : `.${digits.slice(-exponent)}`;
  return `${minusOf(amountMinor)}${units}${fraction}`;
}

/** An amount with its currency: "£1,234.56", or "PLN 1,234.56". */
export function moneyText(amountMinor: number, currency: string): string {
  const sign = currencySigns[currency] ?? `${currency} `;
  return `${minusOf(amountMinor)}${sign}${amountText(Math.abs(amountMinor), currency)}`;
}

const minusOf = (amountMinor: number) => (amountMinor < 0 ? "\u2212" : "");
