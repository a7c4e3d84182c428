import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { onRequestHookHandler, RouteOptions } from "fastify";
import { type WebSocket, WebSocketServer } from "ws";
import { accessErrors } from "../access/errors.ts";
import type { Clock } from "../clock.ts";
import { requestErrors } from "../errors.ts";
import { identityErrors } from "../identity/errors.ts";
import type { Tickets } from "../identity/tickets.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Limiter } from "./limiter.ts";
import { createSeats } from "./seats.ts";
import type { App, Authenticate, Ending, SocketRequest, Tunnel, WebSockets } from "./types.ts";
import {
  asksForWebSocket,
  faultOfHandshake,
  listenForUpgrades,
  offeredProtocols,
  offeredTicket,
  upgradeRequired,
} from "./upgrade.ts";
import { watchCaller } from "./watch-caller.ts";
import { connectionOf } from "./websocket-connection.ts";
import { createOriginCheck } from "./websocket-origin.ts";

const messageBytesMax = 65_536;
const socketsMax = 2_000;
const perTenantMax = 200;
const perUserMax = 50;
const retryAfterSeconds = 10;
const originCharsShown = 100;

/** How endings are told to a client; codes as the registry of WebSocket close codes has them. */
const endings: Readonly<Record<Ending, { code: number; reason: string }>> = {
  stopping: { code: 1001, reason: "the server stops" },
  unauthorized: { code: 3000, reason: "the credentials have ended" },
  forbidden: { code: 3003, reason: "the permission was taken away" },
  unverified: { code: 1013, reason: "the credentials can't be checked now" },
};

export interface WebSocketOptions {
  app: App;
  config: { publicUrl: string; corsOrigins: readonly string[] };
  clock: Clock;
  metrics: Metrics;
  limiter: Limiter;
  authenticate: Authenticate;
  /** Absent: browsers can't come in, since they can send no headers. */
  tickets?: Tickets;
  onClosing: (end: () => void) => () => void;
}

export interface WebSocketKernel extends WebSockets {
  /** Who asks to open one: by headers like everybody, or by a ticket. */
  callerOf(request: SocketRequest): ReturnType<Authenticate>;
  /** Puts what every route that becomes a WebSocket has to ask around its guard. */
  guard(route: RouteOptions): void;
}

/**
 * WebSockets and other connections both ways, under the laws of all routes: a request to open one
 * goes the way of every request, so that it is authenticated, limited, counted, logged and refused
 * with a problem document like any other. What is added: the page's origin is looked at, there are
 * 2,000 at most (200 of a tenant, 50 of a user), and each ends within 5 s of its caller's right to
 * it, or when the server stops (close code 1001).
 */
export function createWebSockets(options: WebSocketOptions): WebSocketKernel {
  const { app, authenticate, tickets, onClosing, clock } = options;
  const upgrades = listenForUpgrades(app.server, (raw, response) => app.routing(raw, response));
  app.addHook("preClose", (done) => {
    upgrades.cutAll();
    done();
  });
  /** What callers were known by who came with a ticket. */
  const known = new WeakMap<IncomingMessage, IncomingHttpHeaders>();
  const { enter, count } = createEntrance(options.metrics);
  const shake = createHandshake();

  /** Sees to it that a connection ends in time. */
  function watch(request: SocketRequest, signal: AbortSignal, end: (why: Ending) => void): void {
    const forget = onClosing(() => end("stopping"));
    signal.addEventListener("abort", forget, { once: true });
    void watchCaller(options, request, signal, end, known.get(request.raw));
  }

  return {
    isAsked: ({ raw }) => upgrades.has(raw),
    count,
    watch,
    callerOf: (request) => callerOf({ authenticate, tickets, known }, request),
    guard: (route) => guard(options, upgrades.has, route),
    accept: (request, reply) =>
      enter(request, (leave) => {
        const socket = shake(request, upgrades.take(request, reply));
        const { over, ...connection } = connectionOf(socket, clock);
        let why: string | null = null;
        watch(request, connection.signal, (ending) => {
          why = ending;
          connection.close(endings[ending].code, endings[ending].reason);
        });
        void over.then((reason) => leave(why ?? reason));
        answered(reply);
        return connection;
      }),
    tunnel: (request, reply) =>
      enter(request, (leave) => {
        const tunnel = upgrades.take(request, reply);
        const over = new AbortController();
        let why = "closed";
        tunnel.socket.once("close", () => {
          over.abort();
          leave(why);
        });
        watch(request, over.signal, (ending) => {
          why = ending;
          tunnel.socket.destroy();
        });
        answered(reply);
        return tunnel;
      }),
    ticket({ raw }, path) {
      if (!tickets) throw requestErrors.unavailable({ detail: "There are no tickets here." });
      return tickets.issue(raw.headers, path);
    },
  };
}

/** How many there are at once. `enter` takes a seat for what `open` opens, until it `leave`s. */
function createEntrance(metrics: Metrics) {
  const seats = createSeats({ max: socketsMax, perTenantMax });
  const userSeats = createSeats({ max: socketsMax, perTenantMax: perUserMax });
  const ended = metrics.counter("websockets_total", "Connections both ways that ended", ["why"]);
  metrics.gauge("websockets_open", "Connections both ways", [], (gauge) =>
    gauge.set(seats.taken()),
  );
  return {
    count: seats.taken,
    enter<Opened>(
      { tenant, actor }: SocketRequest,
      open: (leave: (why: string) => void) => Opened,
    ): Opened {
      const leaveTenant = seats.take(tenant.id);
      const leaveUser = leaveTenant && userSeats.take(`${tenant.id} ${actor.userId ?? actor.id}`);
      if (!leaveUser) {
        leaveTenant?.();
        throw tooMany();
      }
      const leave = (why: string) => {
        leaveTenant();
        leaveUser();
        ended.inc({ why });
      };
      try {
        return open(leave);
      } catch (error) {
        leave("refused");
        throw error;
      }
    },
  };
}

/** Answers 101. What a handshake can lack was looked at before; see `guard`. */
function createHandshake() {
  const asked = new WeakMap<IncomingMessage, { id: string; protocols: readonly string[] }>();
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
    handleProtocols: (offered, raw) =>
      asked.get(raw)?.protocols.find((name) => offered.has(name)) ?? false,
  });
  server.on("headers", (headers, raw) => headers.push(`x-request-id: ${asked.get(raw)?.id}`));
  return ({ raw, id, routeOptions }: SocketRequest, { socket, head }: Tunnel): WebSocket => {
    const { protocols = offeredProtocols(raw) } = routeOptions.config.websocket ?? {};
    asked.set(raw, { id, protocols });
    let accepted: WebSocket | null = null;
    server.handleUpgrade(raw, socket, head, (made) => {
      accepted = made;
    });
    if (!accepted) throw requestErrors.malformed({ detail: "The client has gone." });
    return accepted;
  };
}

/** Tells Fastify, and so the log and the metrics, that the request has got its answer: a 101. */
function answered({ raw }: Parameters<WebSockets["accept"]>[1]): void {
  raw.statusCode = 101;
  raw.emit("finish");
}

interface Callers {
  authenticate: Authenticate;
  tickets: Tickets | undefined;
  known: WeakMap<IncomingMessage, IncomingHttpHeaders>;
}

function callerOf({ authenticate, tickets, known }: Callers, { raw }: SocketRequest) {
  const ticket = asksForWebSocket(raw) ? offeredTicket(raw) : null;
  if (ticket === null || !tickets) return authenticate(raw.headers);
  const { authorization, "x-api-key": key } = raw.headers;
  if (authorization !== undefined || key !== undefined)
    throw identityErrors.ambiguous_credentials();
  const path = (raw.url ?? "").split("?", 1)[0] as string;
  return tickets.redeem(ticket, path).then((credentials) => {
    known.set(raw, credentials);
    return authenticate(credentials);
  });
}

function guard(
  { config, limiter }: Pick<WebSocketOptions, "config" | "limiter">,
  isUpgrade: (raw: IncomingMessage) => boolean,
  route: RouteOptions,
): void {
  const { protocols, optional } = route.config?.websocket ?? {};
  const mayCome = createOriginCheck(config);
  const refuseForeign: onRequestHookHandler = (request, reply, done) => {
    const { origin } = request.raw.headers;
    if (!isUpgrade(request.raw) || mayCome(origin)) return done();
    const named = String(origin).slice(0, originCharsShown);
    const detail = `"${named}" is neither ours nor one of PLIMSOLL_CORS_ORIGINS.`;
    const problem = accessErrors.foreign_origin({ detail });
    limiter.anonymous(request, reply, (refusal) => done(refusal ?? problem));
  };
  const requireHandshake: onRequestHookHandler = (request, _reply, done) => {
    if (isUpgrade(request.raw)) done(faultOfHandshake(request.raw, protocols) ?? undefined);
    else done(optional ? undefined : upgradeRequired());
  };
  route.onRequest = [refuseForeign, ...[route.onRequest ?? []].flat(), requireHandshake];
}

function tooMany(): Error {
  return requestErrors.rate_limited({
    detail:
      `As many connections are open as may be, ${perUserMax} of a user and ${perTenantMax} of a ` +
      "tenant at once; close one of them.",
    headers: { "retry-after": String(retryAfterSeconds) },
  });
}
