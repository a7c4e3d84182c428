import type { Server } from "node:http";
import { Server as NetServer, type Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import type { Clock } from "../clock.ts";
import type { Health } from "../telemetry/health.ts";
import type { Logger } from "../telemetry/logger.ts";

export interface DrainOptions {
  clock: Clock;
  health: Health;
  log: Logger;
  /** How long to go on as before while load balancers notice that /ready says no. */
  delayMs: number;
  /** From the start of the drain until connections are cut. */
  deadlineMs: number;
}

/** How long a connection that was opened ahead of need may wait for its request. */
const IDLE_GRACE_MS = 500;

export interface Drain {
  /** True once answers should close their connections. */
  closing(): boolean;
  /** Runs when the server stops listening: long-lived answers end themselves here. */
  onClosing(end: () => void): () => void;
  /**
   * Stops without losing a request that was taken: readiness says no, `delayMs` pass, the listener
   * closes, every answer says `Connection: close`, what is under way finishes, and at the deadline
   * what is left is cut. False when something had to be cut.
   */
  drain(): Promise<boolean>;
}

/** Fastify's own close would answer everything but the finished with 503 at once. */
export function createDrain(app: FastifyInstance, options: DrainOptions): Drain {
  const { clock, health, log } = options;
  const enders = new Set<() => void>();
  const sockets = trackSockets(app.server);
  let isClosing = false;
  let running: Promise<boolean> | null = null;

  async function drain(): Promise<boolean> {
    const deadlineAtMs = clock.monotonicMs() + options.deadlineMs;
    health.setStopping();
    if (app.server.listening) await clock.sleep(options.delayMs);
    await quietTurn(app.server, clock);
    const closed = app.server.listening ? closeListener(app.server) : Promise.resolve();
    // Only now: a client whose connection ends comes back at once, and must find the door shut.
    isClosing = true;
    for (const end of enders) end();
    const leftMs = () => Math.max(0, deadlineAtMs - clock.monotonicMs());
    // Idle connections are left open for a moment: a request may be on its way on any of them.
    let ended = await within(clock, Math.min(IDLE_GRACE_MS, leftMs()), closed);
    app.server.closeIdleConnections();
    // Opened ahead of need, as browsers do; to Node they look like a request that is about to come.
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    ended ||= await within(clock, leftMs(), closed);
    if (!ended) log.warn("connections were cut at the shutdown deadline");
    app.server.closeAllConnections();
    await app.close();
    return ended;
  }

  return {
    closing: () => isClosing,
    onClosing(end) {
      enders.add(end);
      return () => enders.delete(end);
    },
    drain: () => {
      running ??= drain();
      return running;
    },
  };
}

function trackSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return sockets;
}

/**
 * For how long a quiet turn of the event loop is looked for, and how short it must be to be one.
 */
const QUIET_SEARCH_MS = 250;
const QUIET_TURN_MS = 0.2;

/**
 * Waits for a turn of the event loop that is short and brings no new connection: those that the
 * system has accepted for us and we haven't taken over would be reset when the listener closes.
 */
async function quietTurn(server: Server, clock: Clock): Promise<void> {
  let accepted = false;
  const note = () => {
    accepted = true;
  };
  server.on("connection", note);
  const giveUpAtMs = clock.monotonicMs() + QUIET_SEARCH_MS;
  for (let startedMs = 0; startedMs < giveUpAtMs; ) {
    accepted = false;
    startedMs = clock.monotonicMs();
    await new Promise((resolve) => setImmediate(resolve));
    if (!accepted && clock.monotonicMs() - startedMs < QUIET_TURN_MS) break;
  }
  server.off("connection", note);
}

/**
 * Closes the listener and nothing else; resolves when the last connection has ended. By the method
 * of net's server, since http's would end idle connections in the same breath.
 */
function closeListener(server: Server): Promise<void> {
  return new Promise((resolve) => NetServer.prototype.close.call(server, () => resolve()));
}

/** Whether `done` came within `ms`. */
async function within(clock: Clock, ms: number, done: Promise<void>): Promise<boolean> {
  const patience = new AbortController();
  const timeout = clock.sleep(ms, patience.signal).then(
    () => false,
    () => false,
  );
  const ended = await Promise.race([done.then(() => true), timeout]);
  patience.abort();
  return ended;
}
