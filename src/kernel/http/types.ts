import type { IncomingHttpHeaders } from "node:http";
import type { ErrorEntry } from "../errors.ts";
import type { Principal } from "../identity/types.ts";
import type { Actor, TenantRef } from "../tenancy/types.ts";

/**
 * Finds out who makes a request; null when it carries no credentials, a thrown `Problem` when they
 * are not good. Answering without a promise (from a cache) saves a turn of the event loop.
 */
export type Authenticate = (
  headers: IncomingHttpHeaders,
) => Principal | null | Promise<Principal | null>;

/** An entry of an error catalogue, as documentation lists it. */
export interface DocumentedError {
  readonly code: string;
  readonly entry: ErrorEntry;
}

/** What a route says of itself, beside its schemas. `permission` or `public` must be there. */
export interface RouteConfig {
  /** The caller must hold it. */
  permission?: string;
  /** Anybody may call it; the address is rate limited. */
  public?: true;
  /** A POST that creates: takes an Idempotency-Key. */
  idempotent?: true;
  /** The answer holds a secret: sealed where it is kept for replay, and never compressed. */
  secretAnswer?: true;
  /** Refused with 428 unless If-Match says which version it changes. */
  ifMatch?: true;
  /** `auth`: signs people in, so nothing of its answer is compressed. `none`: probes. */
  rateLimit?: "auth" | "none";
  /** Instead of the server's limit. For streams too. */
  bodyLimitBytes?: number;
  /** Longest string in a JSON body, instead of 65,536 characters. */
  stringLimitChars?: number;
  /** Media types other than JSON; their bodies arrive as a stream, bounded by the body limit. */
  accepts?: readonly string[];
  /** Instead of the one made of method and path. */
  operationId?: string;
  /** Problems that are this operation's own, for the documentation. */
  errors?: readonly DocumentedError[];
  /** Not in the OpenAPI document: pages for people. */
  hidden?: true;
}

declare module "fastify" {
  interface FastifyContextConfig extends RouteConfig {}

  interface FastifySchema {
    /** One line for people. */
    summary?: string;
    description?: string;
    tags?: readonly string[];
  }

  interface FastifyInstance {
    /** The service whose routes are registered here; empty outside of services. */
    serviceName: string;
  }

  interface FastifyRequest {
    /** The caller's tenant; unset on public routes. */
    tenant: TenantRef;
    actor: Actor;
    /** Everything that authentication found out. */
    principal: Principal;
    /** How far the route's permission reaches for this caller. */
    scope: "all" | "own";
    /** The body as it arrived, for signatures over it; null unless it was JSON. */
    bodyBytes: Buffer | null;
  }
}
