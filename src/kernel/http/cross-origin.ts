import type { FastifyReply, FastifyRequest } from "fastify";

/** Answers' headers that a page of another origin may read. */
const exposed = [
  "ETag",
  "Location",
  "Retry-After",
  "RateLimit",
  "RateLimit-Policy",
  "X-Request-Id",
  "Idempotent-Replayed",
].join(", ");

/** Requests' headers that a page of another origin may send. */
const accepted = [
  "Authorization",
  "Content-Type",
  "If-Match",
  "If-None-Match",
  "Idempotency-Key",
  "Last-Event-ID",
  "X-API-Key",
  "X-Request-Id",
  "traceparent",
].join(", ");

const PREFLIGHT_KEPT_SECONDS = 600;

export interface CrossOrigin {
  /** Marks an answer for the origin that asked, if that is on the list. */
  mark(request: FastifyRequest, reply: FastifyReply): void;
  /** Answers a preflight's question on top of that. */
  preflight(request: FastifyRequest, reply: FastifyReply, methods: readonly string[]): void;
}

/**
 * CORS by an exact list: no patterns, hence no `evil-example.com` that ends like ours, no `null`
 * (any sandboxed page sends that) and no reflection. Credentials are never allowed across origins:
 * callers send tokens in headers, and cookies stay with the console's own origin.
 */
export function createCrossOrigin(origins: readonly string[]): CrossOrigin {
  const allowed = new Set(origins.filter((origin) => origin !== "null" && origin !== "*"));
  const isAllowed = (origin: string | undefined): origin is string =>
    origin !== undefined && allowed.has(origin);
  return {
    mark(request, reply) {
      if (allowed.size === 0) return;
      reply.header("vary", "Origin");
      const { origin } = request.raw.headers;
      if (!isAllowed(origin)) return;
      reply.header("access-control-allow-origin", origin);
      reply.header("access-control-expose-headers", exposed);
      reply.header("cross-origin-resource-policy", "cross-origin");
    },
    preflight(request, reply, methods) {
      const { origin, "access-control-request-method": wanted } = request.raw.headers;
      if (!isAllowed(origin) || wanted === undefined) return;
      reply.header("access-control-allow-methods", methods.join(", "));
      reply.header("access-control-allow-headers", accepted);
      reply.header("access-control-max-age", String(PREFLIGHT_KEPT_SECONDS));
    },
  };
}
