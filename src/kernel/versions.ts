import { isoOf } from "./clock.ts";
import { requestErrors } from "./errors.ts";
import { timeOfId } from "./random.ts";

/** The version, or one of those, that a change is made on; null: whichever there is. */
export type Expected = number | readonly number[] | null;

/**
 * The row if it is there and at a version that was expected: throws `not_found` (404) or
 * `version_conflict` (412). Read the row with a lock, so that it stays what it is.
 */
export function current<Row extends { version: number }>(
  row: Row | null | undefined,
  expected: Expected = null,
): Row {
  if (!row) throw requestErrors.not_found();
  const versions = expected === null ? null : [expected].flat();
  if (versions === null || versions.includes(row.version)) return row;
  throw requestErrors.version_conflict({
    detail: `It is at version ${row.version} by now, not ${versions.join(" or ")}; read it again.`,
    headers: { etag: `"${row.version}"` },
  });
}

/** What a row begins with besides what its caller wants: it is as old as its id, of version 7. */
export function firstStamps(id: string): { version: 1; createdAt: string; updatedAt: string } {
  const at = isoOf(timeOfId(id));
  return { version: 1, createdAt: at, updatedAt: at };
}
