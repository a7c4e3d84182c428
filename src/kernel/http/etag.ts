import type { FastifyRequest } from "fastify";
import { requestErrors } from "../errors.ts";
import { current, type Expected } from "../versions.ts";
import type { MutatingReply, MutatingRequest, RouteConfig } from "./types.ts";

/** The strong entity tag of a version: `"3"`. RFC 9110, section 8.8.3. */
export function etag(version: number): string {
  return `"${version}"`;
}

const listedTag = /[\t ,]*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[\t ]*(?:,[\t ,]*|$)/g;
const ourTag = /^[1-9]\d{0,15}$/;
const tagsMost = 100;

/**
 * What a PATCH or PUT may change, from If-Match: null for `*`, which any version meets. Throws
 * `version_required` (428) without the header, and what `optionalVersion` throws.
 */
export function expectedVersion(request: FastifyRequest): Expected {
  if (request.headers["if-match"] !== undefined) return optionalVersion(request);
  throw requestErrors.version_required({
    detail: "Send the resource's ETag as If-Match, so that nobody's change is overwritten unseen.",
  });
}

/** Whether an operation looks at the version that If-Match names, as its reference says. */
export function looksAtIfMatch(method: unknown, config: RouteConfig): boolean {
  return config.ifMatch === true || config.acceptsIfMatch === true || method === "DELETE";
}

/**
 * The same for DELETE and actions, where If-Match may be absent: null then. Throws `malformed`
 * (400) for what is no list of entity tags, and `version_conflict` (412) where none of them was
 * ever ours or all are weak: If-Match compares strongly (RFC 9110, 13.1.1).
 */
export function optionalVersion(request: FastifyRequest): Expected {
  const { method, config } = request.routeOptions;
  if (!looksAtIfMatch(method, config)) {
    throw new Error("A route that looks at If-Match says `ifMatch` or `acceptsIfMatch`");
  }
  const header = request.headers["if-match"]?.trim();
  if (header === undefined || header === "*") return null;
  const tags = tagsIn(header);
  if (!tags) {
    throw requestErrors.malformed({
      detail: 'If-Match must be an entity tag, such as "3", several with commas between, or *.',
    });
  }
  const versions = tags.filter((tag) => ourTag.test(tag)).map(Number);
  if (versions.length === 0) throw requestErrors.version_conflict();
  return versions.length === 1 ? (versions[0] as number) : versions;
}

/** The strong tags of a list of entity tags; null where it is none, or longer than any need be. */
function tagsIn(header: string): string[] | null {
  const strong: string[] = [];
  let [end, count] = [0, 0];
  for (const { 0: text, 1: weak, 2: tag = "", index } of header.matchAll(listedTag)) {
    if (index !== end) return null;
    end += text.length;
    count += 1;
    if (!weak) strong.push(tag);
  }
  const isList = count > 0 && count <= tagsMost && end === header.length;
  return isList ? strong : null;
}

/**
 * For a PUT that makes as well as changes: the version from If-Match, or `"none"` where
 * `If-None-Match: *` says that there must be none yet. Throws `version_required` (428) for neither.
 */
export function expectedVersionOrNone(request: FastifyRequest): Expected | "none" {
  if (request.headers["if-match"] !== undefined) return expectedVersion(request);
  if (request.headers["if-none-match"] === "*") return "none";
  throw requestErrors.version_required({
    detail: "Send the ETag as If-Match to change it, or If-None-Match: * to make it.",
  });
}

/**
 * Throws `version_conflict` (412) unless the row is at a version that was expected, or absent as
 * was expected. What isn't there has no version to match (RFC 9110, 13.1.1).
 */
export function assertExpected(row: { version: number } | null, expected: Expected | "none"): void {
  if (row !== null && expected !== "none") return void current(row, expected);
  if (row === null && expected === "none") return;
  throw requestErrors.version_conflict({
    detail: row ? "There is one by now; read it first." : "There is none by now.",
    ...(row && { headers: { etag: etag(row.version) } }),
  });
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
