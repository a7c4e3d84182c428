/** A number of JSON whose digits a double would not keep; `JSON.stringify` writes it as it came. */
export interface ExactNumber {
  readonly rawJSON: string;
}

type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;

/** What the language has and the compiler's library does not know yet. */
const exactJson = JSON as unknown as {
  parse(text: string, reviver: Reviver): unknown;
  rawJSON(text: string): ExactNumber;
  isRawJSON(value: unknown): value is ExactNumber;
};

/** Whether a value is a number whose digits are kept as text. */
export const isExactNumber = (value: unknown): value is ExactNumber => exactJson.isRawJSON(value);

/** Up to 15 digits survive a double; more, or a large exponent, may not. */
const mayLoseDigits = /[\d.]{16}|\d[eE][+-]?\d{3}/;

/**
 * JSON whose numbers lose no digit: one that a double does not hold is kept as `ExactNumber`.
 * Throws the `SyntaxError` of `JSON.parse`.
 */
export function parseExactJson(text: string): unknown {
  if (!mayLoseDigits.test(text)) return JSON.parse(text);
  return exactJson.parse(text, (_key, value, { source }) => {
    if (typeof value !== "number" || source === undefined) return value;
    const exact = decimalText(source);
    const isHeld = exact !== null && exact === decimalText(String(value));
    return isHeld ? value : exactJson.rawJSON(source);
  });
}

/** Beyond these a number is a fault of its source: no price or supply has so many digits. */
export const digitsBeforePointMax = 40;
export const digitsAfterPointMax = 40;

const decimalPattern = /^(-?)(\d{1,400})(?:\.(\d{1,400}))?(?:[eE]([+-]?\d{1,4}))?$/;

/**
 * A decimal number without exponent, leading or trailing zeros, as `numeric` takes it, so that
 * equal numbers are equal texts. Null for what is no such number or has more digits than allowed.
 */
export function decimalText(text: string): string | null {
  const [, sign, whole, fraction = "", exponent = "0"] = decimalPattern.exec(text) ?? [];
  if (whole === undefined) return null;
  const digits = (whole + fraction).replace(/^0+/, "");
  if (digits === "") return "0";
  // How many of the digits stand before the point; negative where zeros follow it.
  const before = digits.length - fraction.length + Number(exponent);
  if (Math.abs(before) > 400) return null;
  const padded = "0".repeat(Math.max(0, -before)) + digits;
  const at = Math.max(0, before);
  const integer = padded.slice(0, at).padEnd(at, "0");
  const decimals = padded.slice(at).replace(/0+$/, "");
  if (integer.length > digitsBeforePointMax || decimals.length > digitsAfterPointMax) return null;
  return `${sign}${integer || "0"}${decimals && `.${decimals}`}`;
}

/** The decimal text of a JSON number, or null for anything else. */
export function decimalOf(value: unknown): string | null {
  if (typeof value === "number") {
    const text = String(value);
    // What a number prints without exponent is its decimal text already, and most do.
    return Number.isFinite(value) && !text.includes("e") ? text : decimalText(text);
  }
  return isExactNumber(value) ? decimalText(value.rawJSON) : null;
}
