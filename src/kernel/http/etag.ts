import type { FastifyReply, FastifyRequest } from "fastify";
import { requestErrors } from "../errors.ts";

/** The strong entity tag of a version: `"3"`. RFC 9110, section 8.8.3. */
export function etag(version: number): string {
  return `"${version}"`;
}

const entityTag = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/;
const ourTag = /^[1-9]\d{0,15}$/;

/**
 * The version that a PATCH or PUT means to change, from If-Match. Throws `version_required` (428)
 * without the header and for `*`, `malformed` (400) for what is no entity tag, and
 * `version_conflict` (412) for a tag that was never ours or is weak: RFC 9110 compares strongly.
 */
export function expectedVersion(request: FastifyRequest): number {
  const version = optionalVersion(request);
  if (version !== null) return version;
  throw requestErrors.version_required({
    detail: "Send the resource's ETag as If-Match, so that nobody's change is overwritten unseen.",
  });
}

/** The same for DELETE and actions, where If-Match may be absent or `*`: null then. */
export function optionalVersion(request: FastifyRequest): number | null {
  const header = request.headers["if-match"];
  if (header === undefined || header === "*") return null;
  const match = entityTag.exec(header);
  if (!match) {
    throw requestErrors.malformed({ detail: 'If-Match must be one entity tag, such as "3".' });
  }
  const [, weak, tag = ""] = match;
  if (weak || !ourTag.test(tag)) throw requestErrors.version_conflict();
  return Number(tag);
}

/**
 * The row if it is there and still at `version` (null for any): throws `not_found` (404) or
 * `version_conflict` (412). Read the row with a lock, so that it stays what it is.
 */
export function current<Row extends { version: number }>(
  row: Row | null | undefined,
  version: number | null = null,
): Row {
  if (!row) throw requestErrors.not_found();
  if (version !== null && row.version !== version) {
    throw requestErrors.version_conflict({
      detail: `It is at version ${row.version} by now, not ${version}; read it again.`,
      headers: { etag: etag(row.version) },
    });
  }
  return row;
}

/**
 * Answers with a resource and its ETag, with 304 where If-None-Match has that tag already, and with
 * 404 for null: what is hidden and what does not exist are told apart nowhere.
 */
export function sendFound<Resource extends { version: number }>(
  request: FastifyRequest,
  reply: FastifyReply,
  resource: Resource | null | undefined,
): FastifyReply {
  if (!resource) throw requestErrors.not_found();
  const tag = etag(resource.version);
  reply.header("etag", tag);
  if (matchesAny(request.headers["if-none-match"], tag)) return reply.code(304).send();
  return reply.send(resource);
}

function matchesAny(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header === "*") return true;
  return header.split(",").some((candidate) => candidate.trim().replace(/^W\//, "") === tag);
}
