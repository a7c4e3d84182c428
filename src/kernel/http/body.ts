import { isUtf8 } from "node:buffer";
import { Readable, Transform, type TransformCallback } from "node:stream";
import type { FastifyInstance, FastifyRequest, RouteOptions } from "fastify";
import { requestErrors } from "../errors.ts";
import { parseJson } from "./json.ts";
import type { RouteConfig } from "./types.ts";

/** How deep a JSON body may be nested; the deepest one of ours has six levels. */
const JSON_DEPTH_MAX = 32;
const STRING_CHARS_MAX = 65_536;

/**
 * Reads request bodies: JSON for every route, and the media types that a route `accepts` as a
 * stream. Everything else is 415. Compressed bodies too: a small one could unpack to anything.
 */
export function readBodies(app: FastifyInstance, limits: { bodyBytes: number }): void {
  app.decorateRequest("bodyBytes", null);
  app.decorateRequest("bodyDigest", null);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    "application/json",
    { parseAs: "buffer" },
    (request, body, done) => {
      try {
        done(null, readJson(request, body));
      } catch (error) {
        done(error as Error);
      }
    },
  );
  app.addContentTypeParser("*", (request, payload, done) => {
    const { accepts = [], bodyLimitBytes } = request.routeOptions.config;
    if (!accepts.includes(request.mediaType ?? "")) {
      return done(unsupported(["application/json", ...accepts]));
    }
    const fault = faultOfEncoding(request);
    if (fault) return done(fault);
    const limitBytes = bodyLimitBytes ?? limits.bodyBytes;
    if (Number(request.headers["content-length"]) > limitBytes) return done(tooLarge(limitBytes));
    const bounded = boundedStream(limitBytes);
    payload.on("error", (error) => bounded.destroy(error));
    // A client may go before anybody reads; whoever reads then is told.
    bounded.on("error", () => {});
    done(null, payload.pipe(bounded));
  });
}

const plainJson = /^application\/json(?:; ?charset="?utf-8"?)?$/i;

function readJson(request: FastifyRequest, body: Buffer): unknown {
  const type = request.headers["content-type"] ?? "";
  if (type !== "application/json" && !plainJson.test(type)) throw unsupported(["application/json"]);
  const fault = faultOfEncoding(request);
  if (fault) throw fault;
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw requestErrors.malformed({ detail: "The body is not valid UTF-8." });
  request.bodyBytes = body;
  return parseJson(body.toString("utf8"), {
    depthMax: JSON_DEPTH_MAX,
    stringCharsMax: request.routeOptions.config.stringLimitChars ?? STRING_CHARS_MAX,
  });
}

const otherCharset = /;\s*charset\s*=\s*(?!"?(?:utf-8|us-ascii)"?\s*(?:;|$))/i;

function faultOfEncoding({ headers }: FastifyRequest): Error | null {
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    return requestErrors.unsupported_media_type({ detail: "The body must not be compressed." });
  }
  if (otherCharset.test(headers["content-type"] ?? "")) {
    return requestErrors.unsupported_media_type({ detail: "The body must be in UTF-8." });
  }
  return null;
}

function unsupported(accepted: readonly string[]): Error {
  return requestErrors.unsupported_media_type({
    detail: `Send ${accepted.join(" or ")} and say so in Content-Type.`,
    headers: { accept: accepted.join(", ") },
  });
}

/** The problem of a body beyond its limit. */
export function tooLarge(limitBytes: number): Error {
  return requestErrors.too_large({ detail: `The body may have ${limitBytes} bytes at most.` });
}

function boundedStream(limitBytes: number): Transform {
  let receivedBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, callback: TransformCallback) {
      receivedBytes += chunk.length;
      if (receivedBytes > limitBytes) callback(tooLarge(limitBytes));
      else callback(null, chunk);
    },
  });
}

/**
 * Says what a missing or unexpected body means: an object without required members may be left out,
 * and a route that takes no body refuses one, as it refuses any member that it does not know.
 */
export function expectBody(route: RouteOptions): void {
  if (route.method === "GET" || route.method === "HEAD") return;
  const { accepts, raw } = (route.config ?? {}) as RouteConfig;
  if (raw) return;
  const body = route.schema?.body as { type?: string; required?: unknown[] } | undefined;
  if (accepts && body) throw new Error(`${route.url}: a streamed body can't have a schema`);
  const mayBeLeftOut = body?.type === "object" && !body.required?.length;
  if (body && !mayBeLeftOut) return;
  route.preValidation = [
    (request, _reply, done) => {
      if (body) request.body ??= {};
      else if (accepts) {
        if (!accepts.includes(request.mediaType ?? "")) return done(unsupported(accepts));
        // Fastify makes nothing of a body without bytes, which is a file all the same.
        request.body ??= Readable.from([]);
      } else if (!isEmpty(request.body)) return done(takesNoBody());
      done();
    },
    ...[route.preValidation ?? []].flat(),
  ];
}

function isEmpty(body: unknown): boolean {
  if (body === undefined || body === null) return true;
  return typeof body === "object" && !Array.isArray(body) && Object.keys(body).length === 0;
}

function takesNoBody(): Error {
  const errors = [{ path: "", message: "must be empty" }];
  return requestErrors.invalid({ detail: "This operation takes no body.", errors });
}
