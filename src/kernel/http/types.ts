import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Static, TSchema } from "typebox";
import type { Tx } from "../db/types.ts";
import type { ErrorEntry } from "../errors.ts";
import type { Ticket } from "../identity/tickets.ts";
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
  /**
   * With `accepts` or `raw`: how long the body may take to arrive, where that is longer than
   * PLIMSOLL_REQUEST_TIMEOUT_MS.
   */
  arrivalTimeoutMs?: number;
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
  /** A GET that becomes a connection both ways. */
  websocket?: WebSocketRoute;
  /** Its query and its body are somebody else's to read; only in `rawRoutes` (http/raw.ts). */
  raw?: true;
}

/** What a route that becomes a WebSocket says of it. */
export interface WebSocketRoute {
  /** Those that it speaks; who offers only others is refused. Absent: whatever is offered. */
  readonly protocols?: readonly string[];
  /** Requests that ask for no WebSocket are served as well. */
  readonly optional?: true;
}

/** A WebSocket that was accepted. It ends by itself when its caller may no longer use it. */
export interface WebSocketConnection {
  /** Bytes go as a binary message, text as a text message; nothing once it is over. */
  send(message: Buffer | string): void;
  /** What the client has not taken yet; one that leaves more than 4 MiB is cut off. */
  unreadBytes(): number;
  /** Resolves when no more than `bytes` are unread, or the connection is over. */
  drained(bytes: number): Promise<void>;
  /** To be called in the turn in which it was accepted. */
  onMessage(listen: (message: Buffer, isBinary: boolean) => void): void;
  /** No further messages are read until `resume`: the client has to wait. */
  pause(): void;
  resume(): void;
  close(code: number, reason: string): void;
  /** Once it is over: whether both sides said so, or it broke off. */
  closedBy(): "both" | "accident";
  /** Aborted when it is over, whoever ended it. */
  readonly signal: AbortSignal;
}

/** A connection as it is, after the client's request to upgrade it. */
export interface Tunnel {
  readonly socket: Socket;
  /** What the client had sent already. */
  readonly head: Buffer;
}

/** Connections both ways; every route of a service may make them (http/websocket.ts). */
export interface WebSockets {
  /** Whether the request asks for one. */
  isAsked(request: SocketRequest): boolean;
  /** Answers 101. Throws `rate_limited` where the tenant or user has as many as it may. */
  accept(request: SocketRequest, reply: MutatingReply): WebSocketConnection;
  /**
   * Hands over the connection, on which nothing has been answered yet. It is destroyed when its
   * caller may no longer use it. Throws `rate_limited` like `accept`.
   */
  tunnel(request: SocketRequest, reply: MutatingReply): Tunnel;
  /** What opens `path` once in place of the credentials of whoever makes the request. */
  ticket(request: SocketRequest, path: string): Ticket;
  /**
   * Calls `end` when somebody's right to what a route answers is over, or the server stops; until
   * the signal. For other answers that last.
   */
  watch(request: SocketRequest, signal: AbortSignal, end: (why: Ending) => void): void;
  /** Open ones. */
  count(): number;
}

/** Why something ends that nobody has ended: see `watchCaller`, or the server stops. */
export type Ending = "unauthorized" | "forbidden" | "unverified" | "stopping";

export type SocketRequest = MutatingRequest;

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
    webSockets: WebSockets;
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
