import { decimalOf, decimalText, isExactNumber } from "./decimals.ts";

/** What a column holds. `unknown`: nothing but null has been seen so far. */
export const columnTypes = [
  "unknown",
  "boolean",
  "integer",
  "decimal",
  "timestamp",
  "text",
  "json",
] as const;
export type ColumnType = (typeof columnTypes)[number];

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  /** In how many of the stream's records it was there, of how many. */
  readonly seen: number;
  readonly of: number;
  /** The source sends it no more. */
  readonly isAbsent?: true;
}

/** A stream's table at one version. Columns are never taken away, only no longer filled. */
export interface StreamSchema {
  readonly version: number;
  readonly columns: readonly Column[];
  readonly key: readonly string[];
  /** Names that the source has used for a column since: new name to column. */
  readonly aliases: Readonly<Record<string, string>>;
}

/** The schema of a stream that nothing has been read from. */
export const emptySchema = (key: readonly string[]): StreamSchema => ({
  version: 0,
  columns: [],
  key,
  aliases: {},
});

/** More columns than a table of records has; what exceeds it is a dead letter. */
export const columnsMax = 500;

const day = String.raw`\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])`;
const timeOfDay = String.raw`(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?`;
const isoMoment = new RegExp(String.raw`^${day}T${timeOfDay}(?:Z|[+-]\d\d:?\d\d)$`);

/** Whether a text is a moment of ISO 8601 with its offset, and of a day that there is. */
export function isMoment(text: string): boolean {
  if (text.length > 40 || text[10] !== "T" || !isoMoment.test(text)) return false;
  // Every month has 28 days.
  if (Number(text.slice(8, 10)) <= 28) return true;
  const date = text.slice(0, 10);
  const midnight = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(date);
}

/** The type of a JSON value. */
export function typeOf(value: unknown): ColumnType {
  if (value === null || value === undefined) return "unknown";
  if (typeof value === "boolean") return "boolean";
  if (typeof value === "string") return isMoment(value) ? "timestamp" : "text";
  if (typeof value === "number" && Math.abs(value) < plainWholeMax) {
    return Number.isInteger(value) ? "integer" : "decimal";
  }
  if (typeof value === "number" || isExactNumber(value)) return numberType(decimalOf(value));
  return "json";
}

/** Beyond this a whole number may have an exponent, and is looked at as text. */
const plainWholeMax = 1e15;

const numberType = (text: string | null): ColumnType =>
  text !== null && /^-?\d{1,18}$/.test(text) ? "integer" : "decimal";

/** The type of a cell of a file in which everything is text; an empty cell is null. */
export function typeOfText(text: string): ColumnType {
  if (text === "") return "unknown";
  if (text === "true" || text === "false") return "boolean";
  const number = decimalText(text);
  if (number === null) return isMoment(text) ? "timestamp" : "text";
  // A number that does not read back as it was written is a code or a number of a telephone.
  return /^-?0\d/.test(text) ? "text" : numberType(number);
}

/** How the values of a source are typed: those of JSON, or cells that are all text. */
export interface TypeReader {
  typeOf(value: unknown): ColumnType;
  /**
   * The type of a column of type `column` that also takes a value of type `value`, without changing
   * any value; null where there is none. Numbers are one kind: a source that says `1` today and
   * `1.5` tomorrow has not changed its type.
   */
  widen(column: ColumnType, value: ColumnType): ColumnType | null;
}

function widen(column: ColumnType, value: ColumnType): ColumnType | null {
  if (column === value || value === "unknown") return column;
  if (column === "unknown") return value;
  if (column === "text" && value === "timestamp") return "text";
  const pair = new Set([column, value]);
  return pair.has("integer") && pair.has("decimal") ? "decimal" : null;
}

export const jsonTypes: TypeReader = { typeOf, widen };

export const textTypes: TypeReader = {
  typeOf: (value) => (typeof value === "string" ? typeOfText(value) : typeOf(value)),
  widen: (column, value) => (column === "text" && value !== "json" ? "text" : widen(column, value)),
};

/** What one column of a page holds: how often it is there, and its types by how often each is. */
export interface ObservedColumn {
  present: number;
  types: Map<ColumnType, number>;
}

/** The columns of a page's records. */
export function observe(
  records: readonly ReadonlyMap<string, unknown>[],
  types: TypeReader,
): Map<string, ObservedColumn> {
  const observed = new Map<string, ObservedColumn>();
  for (const record of records) {
    for (const [name, value] of record) {
      const column = observed.get(name) ?? { present: 0, types: new Map() };
      observed.set(name, column);
      column.present += 1;
      const type = types.typeOf(value);
      column.types.set(type, (column.types.get(type) ?? 0) + 1);
    }
  }
  return observed;
}

/**
 * The type of a new column: the one that most of its values can have. Ties go to the one seen
 * first. What does not fit it is treated as a change of type.
 */
export function inferType({ types }: ObservedColumn, reader: TypeReader): ColumnType {
  let best: ColumnType = "unknown";
  let bestCount = 0;
  for (const candidate of types.keys()) {
    let type: ColumnType = candidate;
    let count = 0;
    for (const [other, times] of types) {
      const wider = reader.widen(type, other);
      if (wider === null || other === "unknown") continue;
      type = wider;
      count += times;
    }
    if (count > bestCount) [best, bestCount] = [type, count];
  }
  return best;
}

/** A text of the shape, not of how often columns were seen: equal texts are the same table. */
export function shapeOf({ columns, key, aliases }: StreamSchema): string {
  const shape = columns
    .map(({ name, type, isAbsent = false }) => [name, type, isAbsent] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const names = Object.entries(aliases).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([shape, key, names]);
}
