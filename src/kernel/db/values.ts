import { parseArray } from "./arrays.ts";

/** Turns one column's text, as PostgreSQL writes it, into what JSON holds. Never given null. */
export type ValueParser = (text: string) => unknown;

/** What a column's name and type are, from PostgreSQL's row description. */
export interface Column {
  readonly name: string;
  readonly dataTypeID: number;
}

export type RowReader = (fields: readonly (string | null)[]) => Record<string, unknown>;

/** A reader is compiled once per list of columns; beyond this many, the oldest is forgotten. */
const READERS_MAX = 2_000;

function parseInt8(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw new RangeError(
    `A bigint column holds ${text}, which a JavaScript number cannot; select it as text`,
  );
}

const SPACE = 32;
const ZERO = 48;
const PLUS = 43;
const NO_MICROS = "000000";

/**
 * "2026-11-20 12:00:00.123456+00" to "2026-11-20T12:00:00.123456Z" without making a Date, which
 * would be a third of a list query's cost and lose the microseconds. PostgreSQL leaves out zeros at
 * the end, which come back, so that texts compare as the moments do. Infinity stays as it is; years
 * beyond 9999 or before Christ get ISO 8601's signed six-digit year.
 */
function parseTimestampTz(text: string): string {
  const end = text.length - 3;
  if (
    text.charCodeAt(10) === SPACE &&
    text.charCodeAt(end) === PLUS &&
    text.charCodeAt(end + 1) === ZERO &&
    text.charCodeAt(end + 2) === ZERO
  ) {
    // Nine times of ten there is nothing to fill up.
    if (end === 26) return `${text.slice(0, 10)}T${text.slice(11, 26)}Z`;
    return `${text.slice(0, 10)}T${text.slice(11, 19)}${microsOf(text.slice(19, end))}Z`;
  }
  return parseRareTimestamp(text);
}

/** ".5" and "" as ".500000" and ".000000". */
function microsOf(fraction: string): string {
  const digits = fraction.slice(1);
  return `.${digits}${NO_MICROS.slice(digits.length)}`;
}

function parseTimestamp(text: string): string {
  if (text.charCodeAt(10) === SPACE && !text.endsWith("BC")) {
    return `${text.slice(0, 10)}T${text.slice(11, 19)}${microsOf(text.slice(19))}Z`;
  }
  return parseRareTimestamp(text);
}

const rareTimestamp = /^(\d{4,6})(-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?(?:\+00)?( BC)?$/;

function parseRareTimestamp(text: string): string {
  const parts = rareTimestamp.exec(text);
  if (!parts) return text;
  const [, year, monthAndDay, time, fraction = "", beforeChrist] = parts;
  const isoDay = `${isoYear(Number(year), beforeChrist !== undefined)}${monthAndDay}`;
  return `${isoDay}T${time}${microsOf(fraction)}Z`;
}

function parseDate(text: string): string {
  if (text.length === 10 && text.charCodeAt(0) !== 45) return text;
  const parts = /^(\d{4,7})(-\d\d-\d\d)( BC)?$/.exec(text);
  return parts ? `${isoYear(Number(parts[1]), parts[3] !== undefined)}${parts[2]}` : text;
}

function isoYear(year: number, beforeChrist: boolean): string {
  const astronomical = beforeChrist ? 1 - year : year;
  if (astronomical >= 0 && astronomical <= 9999) return String(astronomical).padStart(4, "0");
  const digits = String(Math.abs(astronomical)).padStart(6, "0");
  return astronomical < 0 ? `-${digits}` : `+${digits}`;
}

const parseBoolean = (text: string) => text === "t";
const parseBytes = (text: string) => Buffer.from(text.slice(2), "hex");
const parseJson = (text: string) => JSON.parse(text) as unknown;
const keepText: ValueParser = (text) => text;

function arrayOf(parse: ValueParser): ValueParser {
  return (text) => parseArray(text, parse);
}

/** By type OID, each with the OID of its array type. Types that are not here stay text. */
const parsers = new Map<number, ValueParser>(
  (
    [
      ["bool", 16, 1000, parseBoolean],
      ["bytea", 17, 1001, parseBytes],
      ["name", 19, 1003, keepText],
      ["int8", 20, 1016, parseInt8],
      ["int2", 21, 1005, Number],
      ["int4", 23, 1007, Number],
      ["text", 25, 1009, keepText],
      ["oid", 26, 1028, Number],
      ["json", 114, 199, parseJson],
      ["inet", 869, 1041, keepText],
      ["float4", 700, 1021, Number],
      ["float8", 701, 1022, Number],
      ["bpchar", 1042, 1014, keepText],
      ["varchar", 1043, 1015, keepText],
      ["date", 1082, 1182, parseDate],
      ["time", 1083, 1183, keepText],
      ["timestamp", 1114, 1115, parseTimestamp],
      ["timestamptz", 1184, 1185, parseTimestampTz],
      ["interval", 1186, 1187, keepText],
      ["numeric", 1700, 1231, keepText],
      ["uuid", 2950, 2951, keepText],
      ["jsonb", 3802, 3807, parseJson],
    ] as const
  ).flatMap(([, oid, arrayOid, parse]) => [
    [oid, parse],
    [arrayOid, arrayOf(parse)],
  ]),
);

/** The parser for a type, or null where the text is the value. */
export function parserFor(dataTypeID: number): ValueParser | null {
  const parse = parsers.get(dataTypeID);
  return parse === undefined || parse === keepText ? null : parse;
}

const readers = new Map<string, RowReader>();

/**
 * The function that turns a row's texts into an object. It is compiled, so that every row of every
 * connection has the same hidden class and a list costs no loop over its columns; of two columns
 * with one name, the later wins.
 */
export function readerFor(columns: readonly Column[]): RowReader {
  const key = columns.map((column) => `${column.dataTypeID} ${column.name}`).join("\0");
  let reader = readers.get(key);
  if (!reader) {
    if (readers.size >= READERS_MAX) readers.delete(readers.keys().next().value as string);
    reader = compileReader(columns);
    readers.set(key, reader);
  }
  return reader;
}

function compileReader(columns: readonly Column[]): RowReader {
  const parse = columns.map((column) => parserFor(column.dataTypeID));
  // Computed keys, since a plain "__proto__" key would set the prototype instead of a member.
  const members = columns.map(({ name }, index) => {
    const raw = `fields[${index}]`;
    const value = parse[index] ? `${raw} === null ? null : parse${index}(${raw})` : raw;
    return `${name === "__proto__" ? '["__proto__"]' : JSON.stringify(name)}: ${value}`;
  });
  const bound = parse.map((_, index) => `const parse${index} = parse[${index}];`).join("\n");
  const source = `${bound}\nreturn (fields) => ({ ${members.join(", ")} });`;
  // oxlint-disable-next-line typescript/no-implied-eval -- names are quoted; no text of a user's
  return new Function("parse", source)(parse) as RowReader;
}

/**
 * A JavaScript value as a parameter: text, bytes, or null. An array becomes a PostgreSQL array, any
 * other object JSON (so a JSON array must be stringified by the caller), a Date its ISO text.
 */
export function encodeValue(value: unknown): string | Buffer | null {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return null;
  if (typeof value !== "object") return encodePrimitive(value);
  if (Buffer.isBuffer(value)) return value;
  if (ArrayBuffer.isView(value)) return viewToBuffer(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return encodeArray(value);
  // Undefined is what a toJSON may return.
  return JSON.stringify(value) ?? null;
}

function encodePrimitive(value: unknown): string {
  if (typeof value === "function" || typeof value === "symbol") {
    throw new TypeError(`A ${typeof value} cannot be a parameter of a statement`);
  }
  return String(value);
}

function viewToBuffer(view: ArrayBufferView): Buffer {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

function encodeArray(values: readonly unknown[]): string {
  const items = values.map((item) => {
    if (Array.isArray(item)) return encodeArray(item);
    const encoded = encodeValue(item);
    if (encoded === null) return "NULL";
    if (typeof encoded !== "string") return `"\\\\x${encoded.toString("hex")}"`;
    return `"${encoded.replace(/[\\"]/g, "\\$&")}"`;
  });
  return `{${items.join(",")}}`;
}
