import { decimalOf, decimalText, isExactNumber } from "./decimals.ts";

/** A record as its source sent it: any JSON object. */
export type RawRecord = Readonly<Record<string, unknown>>;

/** Deeper members stay one column of JSON. */
const flattenDepthMax = 4;
const recordDepthMax = 64;

/** Whether a value can be a record at all. */
export const isRecord = (value: unknown): value is RawRecord =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isExactNumber(value);

/**
 * The same text for the same content (as RFC 8785 sorts members): however members were ordered and
 * numbers were written, `1.0`, `1` and `10e-1` are one. Throws a `RangeError` for what is nested
 * deeper than 64 levels.
 */
export function canonicalJson(value: unknown, depth = 0): string {
  if (depth > recordDepthMax) throw new RangeError(`nested deeper than ${recordDepthMax} levels`);
  if (isExactNumber(value)) return decimalText(value.rawJSON) ?? value.rawJSON;
  if (typeof value === "number") return decimalOf(value) ?? JSON.stringify(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  if (Array.isArray(value)) {
    return `[${value.map((item) => canonicalJson(item, depth + 1)).join(",")}]`;
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member, depth + 1)}`);
  return `{${members.join(",")}}`;
}

const segment = (name: string) => name.replaceAll("\\", "\\\\").replaceAll(".", "\\.");

/**
 * A record as columns: nested objects as dotted paths (`quotes.USD.price`), lists as one JSON
 * column. A dot in a member's own name is written `\.`, so that two paths never meet.
 */
export function flatten(record: RawRecord): Map<string, unknown> {
  const columns = new Map<string, unknown>();
  const add = (members: RawRecord, prefix: string, depth: number) => {
    for (const [name, value] of Object.entries(members)) {
      if (value === undefined) continue;
      const path = prefix + segment(name);
      const isOpen = isRecord(value) && depth < flattenDepthMax && Object.keys(value).length > 0;
      if (isOpen) add(value, `${path}.`, depth + 1);
      else columns.set(path, value);
    }
  };
  add(record, "", 1);
  return columns;
}

/** The column paths that a column lies in, the nearest last: `a` and `a.b` for `a.b.c`. */
export function ancestorsOf(path: string): string[] {
  const found: string[] = [];
  for (let at = 0; at < path.length; at += 1) {
    if (path[at] === "\\") at += 1;
    else if (path[at] === ".") found.push(path.slice(0, at));
  }
  return found;
}

/** The longest key that is stored. */
export const keyCharsMax = 500;

/**
 * A record's key as text: its only part as it is, several as a JSON list. Null where a part is
 * absent, null, empty, no scalar, or where the key is too long: such a record can't be told from
 * others.
 */
export function keyOf(
  columns: ReadonlyMap<string, unknown>,
  key: readonly string[],
): string | null {
  const parts = key.map((path) => keyPart(columns.get(path)));
  if (parts.length === 0 || parts.includes(null)) return null;
  const text = parts.length === 1 ? (parts[0] as string) : JSON.stringify(parts);
  return text.length > keyCharsMax ? null : text;
}

function keyPart(value: unknown): string | null {
  if (typeof value === "string") return value === "" ? null : value;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" || isExactNumber(value)) return canonicalJson(value);
  return null;
}

/**
 * Which of a page's records count: of those with one key the last one, since it came later. The
 * others are deduplicated; none of them is lost, since what differs is kept as raw record.
 */
export function deduplicate<Keyed extends { key: string }>(
  records: readonly Keyed[],
): { kept: Keyed[]; duplicates: Keyed[] } {
  const lastAt = new Map(records.map(({ key }, at) => [key, at]));
  const kept: Keyed[] = [];
  const duplicates: Keyed[] = [];
  records.forEach((record, at) => (lastAt.get(record.key) === at ? kept : duplicates).push(record));
  return { kept, duplicates };
}
