import type { Socket } from "node:net";
import type { onRequestHookHandler, RouteOptions } from "fastify";
import type { Clock } from "../clock.ts";
import type { RouteConfig } from "./types.ts";

/** For how long the rest of a body is thrown away whose answer is given already. */
const LINGER_MS = 5_000;

const bodyless = new Set(["GET", "HEAD"]);

/** Which connections have a request under way that may take longer than others to arrive. */
export interface Arrivals {
  /** Whether the server's own timeout is not for what comes over this connection now. */
  mayTakeLonger(socket: Socket): boolean;
  /** Gives a route whose bodies are streams the time that its config allows them. */
  prepare(route: RouteOptions): void;
}

/**
 * Long bodies: a route with `arrivalTimeoutMs` counts its own time for them, from the moment at
 * which its caller is known. Where a streamed body is answered before all of it has come, the rest
 * is read for a moment and thrown away: a connection that is cut at once can lose the answer.
 */
export function createArrivals(options: {
  clock: Clock;
  /** What every request has. */
  requestTimeoutMs: number;
  /** Answers that a request took too long, and ends its connection. */
  giveUp: (socket: Socket) => void;
}): Arrivals {
  const { clock, requestTimeoutMs, giveUp } = options;
  const patient = new Map<Socket, object>();
  const later = (ms: number, signal: AbortSignal, then: () => void) =>
    clock.sleep(ms, signal).then(then, () => {
      // It has arrived, or its client has gone.
    });

  const watch =
    ({ arrivalTimeoutMs }: RouteConfig): onRequestHookHandler =>
    (request, reply, done) => {
      const { raw } = request;
      const { socket } = raw;
      const [arrived, over] = [new AbortController(), new AbortController()];
      if (arrivalTimeoutMs !== undefined) {
        patient.set(socket, raw);
        const timeoutMs = Math.max(arrivalTimeoutMs, requestTimeoutMs);
        void later(timeoutMs, arrived.signal, () => raw.complete || giveUp(socket));
      }
      const finish = () => {
        arrived.abort();
        over.abort();
        if (patient.get(socket) === raw) patient.delete(socket);
      };
      raw.once("close", finish);
      socket.once("close", finish);
      reply.raw.once("finish", () => {
        arrived.abort();
        socket.off("close", finish);
        if (raw.complete) return finish();
        raw.unpipe();
        raw.resume();
        void later(LINGER_MS, over.signal, () => raw.complete || raw.destroy());
      });
      done();
    };

  return {
    mayTakeLonger: (socket) => patient.has(socket),
    prepare(route) {
      const config = (route.config ?? {}) as RouteConfig;
      const isRaw = config.raw && !bodyless.has(String(route.method));
      if (config.arrivalTimeoutMs !== undefined && !config.accepts && !isRaw) {
        throw new Error(`${route.url}: only a body that is a stream may take longer to arrive`);
      }
      if (!config.accepts && !isRaw) return;
      route.onRequest = [...[route.onRequest ?? []].flat(), watch(config)];
    },
  };
}
