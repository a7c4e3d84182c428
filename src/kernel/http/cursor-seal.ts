import { hash, hkdfSync, timingSafeEqual } from "node:crypto";
import type { FastifyRequest, RouteOptions } from "fastify";
import { requestErrors } from "../errors.ts";

/** 96 bits. */
const MAC_CHARS = 16;

export interface CursorSeal {
  /** Appends a code that only this list, with these filters, for this tenant, accepts again. */
  seal(request: FastifyRequest, cursor: string): string;
  /** The cursor inside. Throws `bad_cursor` (400) when it was changed or made for another list. */
  open(request: FastifyRequest, sealed: string): string;
}

/**
 * Binds cursors to the list that issued them, so that nobody can forge one or carry it elsewhere.
 * `masterKeys`: the first one seals, the retired ones may still open.
 */
export function createCursorSeal(masterKeys: readonly Buffer[]): CursorSeal {
  const keys = masterKeys.map((key) =>
    Buffer.from(hkdfSync("sha256", key, "", "plimsoll/http/cursor", 32)).toString("base64url"),
  );
  const newest = keys[0];
  if (!newest) throw new Error("Cursors need a key");
  return {
    seal: (request, cursor) => `${cursor}.${macOf(newest, binding(request), cursor)}`,
    open: (request, sealed) => {
      const dot = sealed.lastIndexOf(".");
      const cursor = sealed.slice(0, Math.max(dot, 0));
      const given = Buffer.from(sealed.slice(dot + 1));
      const bound = binding(request);
      const genuine =
        given.length === MAC_CHARS &&
        keys.some((key) => timingSafeEqual(Buffer.from(macOf(key, bound, cursor)), given));
      if (genuine) return cursor;
      throw requestErrors.bad_cursor({
        detail: "Use nextCursor of the page before, unchanged and with the same filters.",
      });
    },
  };
}

/**
 * SHA-256 over key and message, cut to less than half: what is left out is what an attacker would
 * need to extend the message. HMAC would do the same with objects that cost ten times as much on
 * every list.
 */
function macOf(key: string, bound: string, cursor: string): string {
  return hash("sha256", `${key}\n${bound}\n${cursor}`, "base64url").slice(0, MAC_CHARS);
}

/** Tenant, path and filters; not `limit`, which may change from page to page. */
function binding(request: FastifyRequest): string {
  const path = request.raw.url?.split("?", 1)[0];
  const query = request.query as Record<string, unknown>;
  const filters = Object.keys(query)
    .filter((name) => name !== "limit" && name !== "cursor")
    .sort()
    .map((name) => [name, query[name]]);
  return JSON.stringify([request.tenant?.id ?? null, path, filters]);
}

type Members = { properties?: Record<string, unknown> } | undefined;

/**
 * Makes a list route seal what it issues and open what it is given: every route whose query has
 * `cursor` and whose answer has `nextCursor`. Routes need not do, and so can't forget, anything.
 */
export function sealCursors(route: RouteOptions, cursors: CursorSeal): void {
  const query = route.schema?.querystring as Members;
  const answer = (route.schema?.response as Record<string, Members> | undefined)?.["200"];
  if (!query?.properties?.cursor || !answer?.properties?.nextCursor) return;
  route.preHandler = [
    (request, _reply, done) => {
      const given = request.query as { cursor?: string };
      if (given.cursor !== undefined) given.cursor = cursors.open(request, given.cursor);
      done();
    },
    ...[route.preHandler ?? []].flat(),
  ];
  route.preSerialization = [
    ...[route.preSerialization ?? []].flat(),
    (request, _reply, payload, done) => {
      const issued = (payload as { nextCursor?: unknown } | null)?.nextCursor;
      if (typeof issued !== "string") return done(null, payload);
      done(null, { ...(payload as object), nextCursor: cursors.seal(request, issued) });
    },
  ];
}
