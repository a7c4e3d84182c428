import type { AllergenName } from "./allergens.ts";

/** A customer whose telephone number is, or may be, the one that was looked for. */
export interface PhoneMatch {
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
  /** False where the number stands among others, or among words. */
  readonly isPlain: boolean;
  readonly allergenRestrictions: readonly AllergenName[];
}

/** What is dialled at home before a number, where it is not 0. */
const trunkPrefixes: Readonly<Record<string, string>> = { "7": "8", "36": "06" };
/** Abroad is 00 almost everywhere, which the database takes for a +. */
const northAmerica = "1";

/** The number without its country, if that is `country`; else null. */
function nationalOf(phone: string, country: string): string | null {
  const digits = phone.slice(1);
  return digits.startsWith(country) ? digits.slice(country.length) : null;
}

/**
 * All that `phone`, an E.164 number with its plus sign, may have become in the column
 * `phone_digits`: with and without its country, and with what is dialled before it at home. What
 * was typed without a country is a number of `country`, a calling code such as "44".
 */
export function phoneForms(phone: string, country: string): string[] {
  const forms = [phone, phone.slice(1)];
  if (country === northAmerica) forms.push(`011${phone.slice(1)}`);
  const national = nationalOf(phone, country);
  if (national === null) return forms;
  const trunk = trunkPrefixes[country] ?? "0";
  return [...forms, national, `${trunk}${national}`, `+${country}${trunk}${national}`];
}

/** What a text of several numbers, or of a number and words, has among its digits. */
export function phoneCore(phone: string, country: string): string {
  return nationalOf(phone, country) ?? phone.slice(1);
}

/** Who writes from a number. */
export type Writer =
  | { readonly kind: "known"; readonly customerId: string }
  | { readonly kind: "new" }
  /** Somebody has to say who it is; `note` tells who it may be, and what they must not eat. */
  | { readonly kind: "unclear"; readonly note: string };

const namedMost = 5;

/**
 * Who of the customers with the number it is. Only one who alone has it, plainly, and is not
 * retired is taken for the writer: another one's allergens would be looked at.
 */
export function writerAmong(matches: readonly PhoneMatch[]): Writer {
  const [first] = matches;
  if (!first) return { kind: "new" };
  if (matches.length === 1 && first.isPlain && first.active) {
    return { kind: "known", customerId: first.id };
  }
  const named = matches.slice(0, namedMost).map(described);
  const others = matches.length > namedMost ? ", and others" : "";
  const note = `No customer was chosen: the sender's number is written down for ${named.join(", ")}\
${others}. Choose whose order it is before submitting it.`;
  return { kind: "unclear", note };
}

function described({ name, active, isPlain, allergenRestrictions }: PhoneMatch): string {
  const facts = [
    ...(isPlain ? [] : ["among others"]),
    ...(active ? [] : ["retired"]),
    ...(allergenRestrictions.length > 0 ? [`must not eat ${allergenRestrictions.join(", ")}`] : []),
  ];
  return facts.length > 0 ? `${name} (${facts.join("; ")})` : name;
}
