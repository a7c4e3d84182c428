import type { Server } from "node:http";
import { Server as NetServer } from "node:net";
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
   * closes, every answer says `Connection: close`, what is under way finishes, and at the deadline what
   * is left is cut. False when something had to be cut.
   */
  drain(): Promise<boolean>;
}

/** Fastify's own close would answer everything but the finished with 503 at once. */
export function createDrain(app: FastifyInstance, options: DrainOptions): Drain {
  const { clock, health, log } = options;
  const enders = new Set<() => void>();
  let isClosing = false;
  let running: Promise<boolean> | null = null;

  async function drain(): Promise<boolean> {
    const deadlineAtMs = clock.monotonicMs() + options.deadlineMs;
    health.setStopping();
    await clock.sleep(options.delayMs);
    isClosing = true;
    const closed = app.server.listening ? stopListening(app.server) : Promise.resolve();
    for (const end of enders) end();
    const leftMs = () => Math.max(0, deadlineAtMs - clock.monotonicMs());
    // Idle connections are left open for a moment: a request may be on its way on any of them.
    let ended = await within(clock, Math.min(IDLE_GRACE_MS, leftMs()), closed);
    app.server.closeIdleConnections();
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

/** Turns of the event loop in which the system's queue of new connections may run empty. */
const ACCEPT_TURNS_MAX = 500;

/**
 * Closes the listener and nothing else; resolves when the last connection has ended. First it waits
 * for a turn of the event loop that brings no new connection: those that the system has accepted for
 * us and we haven't taken over yet would be reset. Then by the method of net's server, since http's
 * would end idle connections in the same breath.
 */
async function stopListening(server: Server): Promise<void> {
  let accepted = true;
  const note = () => {
    accepted = true;
  };
  server.on("connection", note);
  for (let turn = 0; accepted && turn < ACCEPT_TURNS_MAX; turn += 1) {
    accepted = false;
    await new Promise((resolve) => setImmediate(resolve));
  }
  server.off("connection", note);
  await new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
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
