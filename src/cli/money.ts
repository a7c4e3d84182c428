/** ISO 4217's currencies whose minor unit is not a hundredth, by its number of digits. */
const digitsOf: Readonly<Record<number, string>> = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
  3: "BHD IQD JOD KWD LYD OMR TND",
};

/** An amount as a person reads it: 123456 of GBP is "1,234.56 GBP". */
export function money(amountMinor: unknown, currency: unknown): string {
  const code = String(currency);
  const amount = Number(amountMinor);
  const [found] = Object.entries(digitsOf).find(([, codes]) => codes.includes(code)) ?? ["2"];
  const fractionDigits = Number(found);
  const digits = String(Math.abs(amount)).padStart(fractionDigits + 1, "0");
  const units = digits.slice(0, digits.length - fractionDigits).replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = fractionDigits === 0 ? "" : `.${digits.slice(-fractionDigits)}`;
  return `${amount < 0 ? "-" : ""}${units}${fraction} ${code}`;
}
