import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from "node:http";
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Static, TSchema } from "typebox";
import type { Tx } from "../db/types.ts";
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
  /** With `ifMatch`, on a PUT that makes as well: `If-None-Match: *` says there is none yet. */
  ifNoneMatch?: true;
  /** An action on what has versions: refused with 412 where If-Match names an older one. */
  acceptsIfMatch?: true;
  /** The way to clear injected faults: those of changes don't strike here. */
  spared?: true;
  /**
   * Of a public route. `auth`: signs people in, so nothing of its answer is compressed. `refusals`:
   * knows its caller by a signature, so only what it refuses counts against the address. `none`:
   * probes.
   */
  rateLimit?: "auth" | "refusals" | "none";
  /** Instead of the server's limit. For streams too. */
  bodyLimitBytes?: number;
  /** Longest string in a JSON body, instead of 65,536 characters. */
  stringLimitChars?: number;
  /** Media types other than JSON; their bodies arrive as a stream, bounded by the body limit. */
  accepts?: readonly string[];
  /** With `accepts`, what such a body looks like, by its media type: for the documentation. */
  bodyExamples?: Readonly<Record<string, string>>;
  /** Instead of the one made of method and path. */
  operationId?: string;
  /** Problems that are this operation's own, for the documentation. */
  errors?: readonly DocumentedError[];
  /** Not in the OpenAPI document: pages for people. */
  hidden?: true;
}

/** Request and response types that follow from a route's TypeBox schemas. */
export interface TypeBoxProvider {
  readonly schema: unknown;
  readonly validator: this["schema"] extends TSchema ? Static<this["schema"]> : unknown;
  readonly serializer: this["schema"] extends TSchema ? Static<this["schema"]> : unknown;
}

export type App = FastifyInstance<
  Server,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxProvider
>;

/** How many answers stream rows at once; for `sendRows`. */
export interface Downloads {
  /** Throws where too many run. Answers how to tell that it is over. */
  begin(tenantId: string): () => void;
  /** A check that throws for a download that goes on for too long. */
  watch(): () => void;
}

/** What this layer needs to know of a service. */
export interface Mountable<Deps> {
  readonly name: string;
  readonly areas?: Readonly<Record<string, string>>;
  readonly routes: (app: App, deps: Deps) => void;
  /** Those whose whole address a standard fixes: without the prefix. */
  readonly rootRoutes?: (app: App, deps: Deps) => void;
}

/**
 * Runs a change for a request: one tenant transaction that claims the Idempotency-Key, does `work`,
 * keeps the answer's bytes for replay and commits. Resolves to what `work` returned, for the
 * handler to return in turn, so that its type is held against the route's schema; the reply already
 * carries `status`, the ETag of its `version` and the bytes that were kept. Null from `work` is
 * answered 404. `http/mutation.ts` has the steps.
 */
export type Mutate = <T>(
  request: MutatingRequest,
  reply: MutatingReply,
  status: number,
  work: (tx: Tx) => Promise<T | null>,
) => Promise<T>;

/** Requests and replies of any route, whatever its schemas. */
// biome-ignore lint/suspicious/noExplicitAny: existential types
export type MutatingRequest = FastifyRequest<any, any, any, any, any, any, any, any>;
// biome-ignore lint/suspicious/noExplicitAny: existential types
export type MutatingReply = FastifyReply<any, any, any, any, any, any, any, any>;

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
    /** How many downloads run, for `sendRows`. */
    downloads: Downloads;
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
    /** SHA-256 of a streamed body, once it has been spooled; else null. */
    bodyDigest: Buffer | null;
  }
}
