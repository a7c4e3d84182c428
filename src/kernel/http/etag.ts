import type { FastifyRequest } from "fastify";
import { requestErrors } from "../errors.ts";
import type { MutatingReply, MutatingRequest, RouteConfig } from "./types.ts";

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

/** Whether an operation looks at the version that If-Match names, as its reference says. */
export function looksAtIfMatch(method: unknown, config: RouteConfig): boolean {
  return config.ifMatch === true || config.acceptsIfMatch === true || method === "DELETE";
}

/** The same for DELETE and actions, where If-Match may be absent or `*`: null then. */
export function optionalVersion(request: FastifyRequest): number | null {
  const { method, config } = request.routeOptions;
  if (!looksAtIfMatch(method, config)) {
    throw new Error("A route that looks at If-Match says `ifMatch` or `acceptsIfMatch`");
  }
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
 * For a PUT that makes as well as changes: the version from If-Match, or null where
 * `If-None-Match: *` says that there must be none yet. Throws `version_required` (428) for neither.
 */
export function expectedVersionOrNone(request: FastifyRequest): number | null {
  if (request.headers["if-match"] !== undefined) return expectedVersion(request);
  if (request.headers["if-none-match"] === "*") return null;
  throw requestErrors.version_required({
    detail: "Send the ETag as If-Match to change it, or If-None-Match: * to make it.",
  });
}

/**
 * Throws `version_conflict` (412) unless the row is at the version that was expected, or absent as
 * was expected with null. What isn't there has no version to match (RFC 9110, 13.1.1).
 */
export function assertExpected(row: { version: number } | null, expected: number | null): void {
  if (row !== null && expected !== null) return void current(row, expected);
  if (row === null && expected === null) return;
  throw requestErrors.version_conflict({
    detail: row ? "There is one by now; read it first." : "There is none by now.",
    ...(row && { headers: { etag: etag(row.version) } }),
  });
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
 * 404 for null: what is hidden and what does not exist are told apart nowhere. For the handler to
 * return, so that the resource's type is held against the route's schema.
 */
export function sendFound<Resource extends { version: number }>(
  request: MutatingRequest,
  reply: MutatingReply,
  resource: Resource | null | undefined,
): Resource {
  if (!resource) throw requestErrors.not_found();
  if (!isKnown(request, reply, etag(resource.version))) return resource;
  // Fastify takes a reply for an answer that is given already; it has no other body.
  return reply.code(304).send() as unknown as Resource;
}

/** Puts the entity tag on the reply; true where If-None-Match has it, so that 304 is the answer. */
export function isKnown(request: MutatingRequest, reply: MutatingReply, tag: string): boolean {
  reply.header("etag", tag);
  return matchesAny(request.headers["if-none-match"], tag);
}

function matchesAny(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header === "*") return true;
  return header.split(",").some((candidate) => candidate.trim().replace(/^W\//, "") === tag);
}
