import { requestErrors } from "../errors.ts";

/** What a cursor remembers of the last row: the values that the list is sorted by. */
export type CursorValue = string | number | null;

export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

/**
 * A cursor as stores make it: plain base64url. The server seals it on its way out and opens it on
 * its way in (`cursor-seal.ts`), so a store never meets one that it has not made itself.
 */
export function encodeCursor(values: readonly CursorValue[]): string {
  return Buffer.from(JSON.stringify(values)).toString("base64url");
}

/** The values of a cursor of `arity` values. Throws `bad_cursor` (400) for anything else. */
export function decodeCursor(text: string, arity: number): CursorValue[] {
  let values: unknown;
  try {
    values = JSON.parse(Buffer.from(text, "base64url").toString());
  } catch (cause) {
    throw requestErrors.bad_cursor({ cause });
  }
  if (!Array.isArray(values) || values.length !== arity || !values.every(isCursorValue)) {
    throw requestErrors.bad_cursor();
  }
  return values;
}

/** Sorts after every other id: the Max UUID of RFC 9562. */
const LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/**
 * For lists by `id desc`, newest first since ids are UUIDs of version 7: the id before which the
 * page begins, `where id < $1`. Their cursor is `({ id }) => [id]`.
 */
export function beforeId(cursor: string | undefined): string {
  return cursor === undefined ? LAST_ID : String(decodeCursor(cursor, 1)[0]);
}

function isCursorValue(value: unknown): value is CursorValue {
  return value === null || typeof value === "string" || typeof value === "number";
}

/**
 * A page of `limit` rows out of `limit + 1` that were read: the row too many says that there is
 * another page, which begins after what `cursorOf` says of the last row shown.
 */
export function page<Row>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => readonly CursorValue[],
): Page<Row> {
  if (rows.length <= limit) return { items: rows as Row[], nextCursor: null };
  const items = rows.slice(0, limit);
  return { items, nextCursor: encodeCursor(cursorOf(items[limit - 1] as Row)) };
}

/**
 * A page of items that are all at hand, by a key that tells them apart: in its order, or, newest
 * first, against it.
 */
export function pageOfAll<Item>(
  items: readonly Item[],
  { limit, cursor }: { limit: number; cursor?: string },
  { key, descending = false }: { key: (item: Item) => string; descending?: boolean },
): Page<Item> {
  const after = cursor === undefined ? null : String(decodeCursor(cursor, 1)[0]);
  const sign = descending ? -1 : 1;
  const compare = (a: string, b: string) => (a === b ? 0 : a < b ? -sign : sign);
  const rest = items.filter((item) => after === null || compare(key(item), after) > 0);
  const rows = rest.toSorted((a, b) => compare(key(a), key(b)));
  return page(rows, limit, (row) => [key(row)]);
}
