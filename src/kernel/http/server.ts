import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import compress from "@fastify/compress";
import {
  type FastifyInstance,
  type FastifyServerOptions,
  fastify,
  LogController,
  type RouteOptions,
} from "fastify";
import type { PermissionCatalogue } from "../access/permissions.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { ErrorCatalogue } from "../errors.ts";
import type { EventCatalogue } from "../events/catalogue.ts";
import type { Random } from "../random.ts";
import type { Tickets } from "../identity/tickets.ts";
import type { Health } from "../telemetry/health.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { type AccessOptions, faultOfRoute, guardRoute } from "./access.ts";
import { type Arrivals, createArrivals } from "./arrival.ts";
import { expectBody, readBodies } from "./body.ts";
import { createCrossOrigin } from "./cross-origin.ts";
import { createCursorSeal, sealCursors } from "./cursor-seal.ts";
import { docsRoutes } from "./docs.ts";
import { createDownloads } from "./download.ts";
import { createDrain, type Drain } from "./drain.ts";
import { standardHeaders } from "./headers.ts";
import { healthRoutes } from "./health-routes.ts";
import { createLimiter, type Limiter } from "./limiter.ts";
import { createRequestMeter, type RequestMeter } from "./measure.ts";
import { type DocumentedRoute, openApiDocument } from "./openapi.ts";
import { lowerPathIds } from "./path-ids.ts";
import { sendProblem } from "./problem.ts";
import type { RedisBuckets } from "./ratelimit-redis.ts";
import { type Buckets, localBuckets } from "./ratelimit.ts";
import { type RequestBindings, RequestLog } from "./request-log.ts";
import { beginRequest, finishRequest } from "./request.ts";
import { strict } from "./schemas.ts";
import { createSerializerCompiler } from "./serializer.ts";
import { answerBrokenRequest, isTooLate, tooLate } from "./socket-errors.ts";
import { createEventStreams, type EventStreams } from "./sse.ts";
import { parseTraceParent } from "./trace.ts";
import type { App, Authenticate, Mountable } from "./types.ts";
import { createValidatorCompiler } from "./validation.ts";
import { asksForWebSocket } from "./upgrade.ts";
import { createWebSockets, type WebSocketKernel } from "./websocket.ts";

export interface HttpOptions {
  config: Pick<
    Config,
    | "env"
    | "publicUrl"
    | "masterKey"
    | "masterKeyPrevious"
    | "corsOrigins"
    | "trustProxy"
    | "tls"
    | "metricsToken"
    | "limits"
  > & { db: Pick<Config["db"], "poolMax"> };
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  health: Health;
  authenticate: Authenticate;
  /** What opens WebSockets for browsers. */
  tickets?: Tickets;
  /** Every service's permissions, in one. */
  permissions: PermissionCatalogue;
  /** Every catalogue whose errors may be answered, the kernel's own too. */
  errors: readonly ErrorCatalogue[];
  /** What webhooks are told of, for the OpenAPI document. */
  events?: EventCatalogue;
  /** The release, for the OpenAPI document. */
  version: string;
  /** A tenant's own limit per minute, from memory; null for the default. */
  tenantLimit?: (tenant: TenantRef) => number | null;
  /** Makes the buckets that all processes share, where there is a Redis. */
  sharedBuckets?: (around: { local: Buckets; clock: Clock; log: Logger }) => RedisBuckets;
  /** An API key's limit per minute, where it is to be lower than its tenant's. */
  keyPerMinute?: number;
}

export interface Http {
  readonly app: App;
  /** Registers a service's routes below /api/v1. Before `app.ready` or `app.listen`. */
  mount<Deps>(service: Mountable<Deps>, deps: Deps): void;
  readonly streams: EventStreams;
  /** Stops serving without losing a request; false when some had to be cut at the deadline. */
  drain(): Promise<boolean>;
  /** Registers what ends a long-lived answer when the server stops; answers how to forget it. */
  onClosing(end: () => void): () => void;
}

const HEADER_BYTES_MAX = 16_384;
const HEADERS_MAX = 200;
const CONNECTIONS_MAX = 10_000;
const PATH_PARAMETER_CHARS_MAX = 512;
const KEEP_ALIVE_MS = 72_000;
/** Without a byte in either direction; longer than any answer of ours takes to begin. */
const SILENCE_MS = 330_000;
const COMPRESS_FROM_BYTES = 1_024;

/**
 * The HTTP server without its services: limits, headers, access, errors, documentation and health.
 * A route that doesn't say who may call it, or that nobody could read about, stops the boot.
 */
export function createHttp(options: HttpOptions): Http {
  const { config, clock, health, log, random } = options;
  const { requestTimeoutMs } = config.limits;
  const giveUp = (socket: Socket) => answerBrokenRequest(tooLate(), socket, random);
  const arrivals = createArrivals({ clock, requestTimeoutMs, giveUp });
  const app = fastify(serverOptions(options, arrivals)) as unknown as App;
  app.server.maxConnections = CONNECTIONS_MAX;
  app.server.maxHeadersCount = HEADERS_MAX;
  // Node would answer what a client expects and can't have by itself, without a problem document.
  app.server.on("checkExpectation", (request, response) => {
    app.server.emit("request", request, response);
  });
  const drain = createDrain(app, {
    clock,
    health,
    log,
    delayMs: config.limits.shutdownDelayMs,
    deadlineMs: config.limits.shutdownDeadlineMs,
  });
  const limiter = createLimiter({
    ...config.limits,
    buckets: bucketsOf(app, options),
    ...(options.keyPerMinute !== undefined && { keyPerMinute: options.keyPerMinute }),
    ...(options.tenantLimit && { tenantLimit: options.tenantLimit }),
  });
  const meter = createRequestMeter(options.metrics);
  const { onClosing } = drain;
  const webSockets = createWebSockets({ ...options, app, limiter, onClosing });
  app.decorate("webSockets", webSockets);
  const callerOf: AccessOptions["callerOf"] = ({ raw }) => options.authenticate(raw.headers);
  const parts = { drain, limiter, meter, arrivals, webSockets, callerOf };
  prepareRequests(app, options, parts);
  const routes = watchRoutes(app, options, parts);
  const areas: Record<string, Readonly<Record<string, string>>> = {};
  registerOwnRoutes(app, options, () =>
    openApiDocument(routes, options.version, options.events, areas),
  );

  return {
    app,
    mount(service, deps) {
      areas[service.name] = service.areas ?? {};
      // Asynchronous, so that what a route's declaration throws rejects `app.ready`.
      const scoped =
        (register: Mountable<typeof deps>["routes"]) => async (scope: FastifyInstance) => {
          scope.serviceName = service.name;
          register(scope, deps);
        };
      app.register(scoped(service.routes), { prefix: "/api/v1" });
      if (service.rootRoutes) app.register(scoped(service.rootRoutes));
    },
    streams: createEventStreams({ ...options, onClosing }),
    drain: drain.drain,
    onClosing,
  };
}

interface Parts {
  drain: Drain;
  limiter: Limiter;
  meter: RequestMeter;
  arrivals: Arrivals;
  webSockets: WebSocketKernel;
  callerOf: AccessOptions["callerOf"];
}

/** What happens to every request, whatever its route. */
function prepareRequests(app: App, options: HttpOptions, parts: Parts): void {
  const { config, random } = options;
  const { drain } = parts;
  app.decorate("serviceName", "");
  const connectionsMax = config.db.poolMax;
  app.decorate("downloads", createDownloads({ clock: options.clock, connectionsMax }));
  for (const name of ["tenant", "actor", "principal", "scope"]) app.decorateRequest(name, null);
  app.setValidatorCompiler(createValidatorCompiler());
  app.setSerializerCompiler(createSerializerCompiler());
  app.setErrorHandler(sendProblem);
  readBodies(app, config.limits);
  const headers = standardHeaders(isSecure(config));
  const crossOrigin = createCrossOrigin(config.corsOrigins);
  app.addHook("onRequest", beginRequest({ ...parts, app, headers, crossOrigin, random }));
  app.addHook("onSend", (_request, reply, payload, done) => {
    if (drain.closing()) reply.header("connection", "close");
    done(null, payload);
  });
}

/**
 * Sees to it that every route is guarded, checked, counted and documented; answers which there are.
 */
function watchRoutes(app: App, options: HttpOptions, parts: Parts): DocumentedRoute[] {
  const { limiter, meter, arrivals, webSockets, callerOf } = parts;
  const { permissions, config } = options;
  const routes: DocumentedRoute[] = [];
  const cursors = createCursorSeal([config.masterKey, ...config.masterKeyPrevious]);
  app.addHook("onRoute", function (route) {
    const { serviceName } = this;
    prepareRoute(route, serviceName);
    const fault = faultOfRoute(route, permissions);
    if (fault) {
      const of = serviceName === "" ? "" : ` of service "${serviceName}"`;
      throw new Error(`The route ${String(route.method)} ${route.url}${of} ${fault}`);
    }
    const isSocket = route.config?.websocket !== undefined;
    guardRoute(route, { callerOf: isSocket ? webSockets.callerOf : callerOf, limiter });
    if (isSocket) webSockets.guard(route);
    arrivals.prepare(route);
    expectBody(route);
    sealCursors(route, cursors);
    lowerPathIds(route);
    const stats = meter.route(String(route.method), route.url);
    const level = route.config?.rateLimit === "none" ? "debug" : "info";
    route.onResponse = [...[route.onResponse ?? []].flat(), finishRequest(meter, stats, level)];
    routes.push(documented(route, serviceName));
  });
  return routes;
}

/** Whether answers reach the client over TLS, here or at a proxy in front. */
function isSecure({ tls, publicUrl }: HttpOptions["config"]): boolean {
  return tls !== undefined || publicUrl.startsWith("https:");
}

function serverOptions(options: HttpOptions, arrivals: Arrivals): FastifyServerOptions {
  const { config, log, random } = options;
  const { bodyBytes, requestTimeoutMs } = config.limits;
  const socket = {
    maxHeaderSize: HEADER_BYTES_MAX,
    shouldUpgradeCallback: asksForWebSocket,
    headersTimeout: requestTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.max(20, Math.min(1_000, requestTimeoutMs / 4)),
    // Checked by us, so that a request without Host gets a problem document too.
    requireHostHeader: false,
  };
  const tls = config.tls && {
    ...socket,
    cert: readFileSync(config.tls.certFile),
    key: readFileSync(config.tls.keyFile),
  };
  return {
    ...(tls ? { https: tls } : { http: socket }),
    loggerInstance: log,
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: "requestId",
    }),
    childLoggerFactory: (_logger, bindings, _options, raw) =>
      requestLog(log, bindings as unknown as RequestBindings, raw),
    genReqId: (raw: IncomingMessage) => requestId(raw, random),
    bodyLimit: bodyBytes,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionTimeout: SILENCE_MS,
    return503OnClosing: false,
    forceCloseConnections: "idle",
    trustProxy: trustOf(config.trustProxy),
    routerOptions: { maxParamLength: PATH_PARAMETER_CHARS_MAX },
    frameworkErrors: (error, request, reply) => {
      reply.headers(standardHeaders(isSecure(config)));
      reply.header("x-request-id", request.id);
      sendProblem(error, request, reply);
    },
    clientErrorHandler: (error, socketOf) => {
      if (isTooLate(error) && arrivals.mayTakeLonger(socketOf)) return;
      answerBrokenRequest(error, socketOf, random);
    },
  };
}

const safeRequestId = /^[\w.:+/=@-]{1,128}$/;

function requestId(raw: IncomingMessage, random: Random): string {
  const given = raw.headers["x-request-id"];
  return typeof given === "string" && safeRequestId.test(given) ? given : random.id();
}

function requestLog(log: Logger, bindings: RequestBindings, raw: IncomingMessage): RequestLog {
  const trace = parseTraceParent(raw.headers.traceparent as string | undefined);
  if (trace) bindings.trace = trace.traceId;
  return new RequestLog(log, bindings);
}

/**
 * Fastify takes a number of hops for "none", since version 5.12; here it means the nearest ones.
 */
function trustOf(trust: Config["trustProxy"]): FastifyServerOptions["trustProxy"] {
  if (typeof trust === "number") return (_address: string, hop: number) => hop < trust;
  return typeof trust === "boolean" ? trust : [...trust];
}

function bucketsOf(app: App, { sharedBuckets, clock, log, health }: HttpOptions) {
  const local = localBuckets(clock);
  if (!sharedBuckets) return local;
  const shared = sharedBuckets({ local, clock, log });
  health.register("redis", {
    required: false,
    timeoutMs: 1_000,
    check: async () => {
      if (!shared.shared()) throw Object.assign(new Error("Redis is down"), { code: "DOWN" });
    },
  });
  app.addHook("onClose", async () => shared.close());
  return shared;
}

/** What follows from a route's config and service. */
function prepareRoute(route: RouteOptions, serviceName: string): void {
  const { bodyLimitBytes, secretAnswer, rateLimit, hidden, raw } = route.config ?? {};
  if (bodyLimitBytes !== undefined) route.bodyLimit = bodyLimitBytes;
  // Compression would let who can add text to an answer guess the secret beside it (BREACH).
  if (secretAnswer || raw || rateLimit === "auth") route.compress = false;
  if (hidden) return;
  const tags = serviceName === "" ? [] : [serviceName];
  route.schema = { tags, ...(!raw && { querystring: strict({}) }), ...route.schema };
}

function documented(route: RouteOptions, service: string): DocumentedRoute {
  const { schema = {}, config = {}, url } = route;
  return { method: String(route.method), url, service, schema, config };
}

function registerOwnRoutes(app: App, options: HttpOptions, document: () => object): void {
  const { config, health, metrics } = options;
  app.register(compress, {
    encodings: ["zstd", "gzip", "br"],
    threshold: COMPRESS_FROM_BYTES,
    globalDecompression: false,
  });
  let openapi: string | null = null;
  app.register(async (scope) => {
    healthRoutes(scope, {
      health,
      metrics,
      production: config.env === "production",
      ...(config.metricsToken !== undefined && { metricsToken: config.metricsToken }),
    });
    docsRoutes(scope, {
      errors: options.errors,
      openapi: () => {
        openapi ??= JSON.stringify(document());
        return openapi;
      },
    });
  });
}
