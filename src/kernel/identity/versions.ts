import { requestErrors } from "../errors.ts";

/**
 * The locked row if it is there and still at `version` (null for any). Throws
 * ERR_REQUEST_NOT_FOUND or ERR_REQUEST_VERSION_CONFLICT.
 */
export function atVersion<Row extends { version: number }>(
  row: Row | null,
  version: number | null,
): Row {
  if (!row) throw requestErrors.not_found();
  if (version !== null && row.version !== version) {
    throw requestErrors.version_conflict({
      detail: `It is at version ${row.version} by now, not ${version}; read it again.`,
      headers: { etag: `"${row.version}"` },
    });
  }
  return row;
}
