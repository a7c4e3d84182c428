import pg from "pg";
import type { Clock } from "../clock.ts";
import type { Db } from "../db/types.ts";
import { type Loop, startLoop } from "../jobs/loop.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import * as store from "./store.ts";
import { createTail, type Tail } from "./tail.ts";
import type { StoredEvent } from "./types.ts";

export interface StreamOptions {
  /** The platform's database. */
  db: Db;
  /** The app role's URL: the process keeps one connection that listens. */
  appUrl: string;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  /** How often to look for events when no notification came. Default 5000. */
  pollMs?: number;
}

export interface Subscription {
  /** The position after which to go on; default: only what happens from now on. */
  lastEventId?: number;
  /** Types, "order.*" or "*"; default all. */
  types?: readonly string[];
  /** Whether the reader may see an event. */
  may(event: StoredEvent): boolean;
  signal: AbortSignal;
}

/** The feed of events that open readers follow. */
export interface EventFeed {
  /**
   * The position after which a reader begins: that of the last event it had, else the newest. One
   * that no event has yet comes from another database, and is as good as none.
   */
  begin(tenantId: string, lastEventId?: number): Promise<number>;
  /**
   * A tenant's events in order of position, from the past on into the future, until the signal is
   * aborted. It reads only when asked for the next one, so a slow reader costs no memory.
   */
  subscribe(tenantId: string, subscription: Subscription): AsyncGenerator<StoredEvent, void>;
  stop(): Promise<void>;
}

const pageEvents = 200;
const connectEveryMs = 1_000;

/** Whether an event's type is among those wanted. */
export function wants(types: readonly string[], type: string): boolean {
  return types.some(
    (one) =>
      one === "*" || one === type || (one.endsWith(".*") && type.startsWith(one.slice(0, -1))),
  );
}

/** Keeps a connection that hears of new events; `onEvents` gets the tenant, or null for any. */
function listen(
  { appUrl, clock, log }: StreamOptions,
  onEvents: (tenantId: string | null) => void,
): Loop {
  return startLoop({
    name: "event listener",
    everyMs: connectEveryMs,
    clock,
    log,
    async run(stopping) {
      const client = new pg.Client({
        connectionString: appUrl,
        application_name: "plimsoll events",
        connectionTimeoutMillis: 5_000,
        keepAlive: true,
      });
      const ended = Promise.withResolvers<void>();
      client.on("error", () => ended.resolve());
      client.on("end", () => ended.resolve());
      client.on("notification", ({ payload }) => onEvents(payload ?? null));
      const stop = () => ended.resolve();
      stopping.addEventListener("abort", stop, { once: true });
      try {
        await client.connect();
        await client.query("listen plimsoll_events");
        onEvents(null);
        if (!stopping.aborted) await ended.promise;
      } finally {
        stopping.removeEventListener("abort", stop);
        // A connection that is broken already needs no closing.
        await client.end().catch(() => {});
      }
      return false;
    },
  });
}

/**
 * The feed of this process: one listening connection, and per tenant with readers one tail of
 * recent events that all of them read from. A notification that was missed is made up for by
 * looking every few seconds. Nothing is connected before the first reader.
 */
export function createEventFeed(options: StreamOptions): EventFeed {
  const { db, clock, log, metrics } = options;
  const tails = new Map<string, Tail>();
  const readers = metrics.gauge("event_readers", "Readers of the event feed");
  const refresh = (tenantId: string | null) => {
    if (tenantId !== null) tails.get(tenantId)?.refresh();
    else for (const tail of tails.values()) tail.refresh();
  };
  let listener: Loop | null = null;
  let poller: Loop | null = null;

  function start(): void {
    listener ??= listen(options, refresh);
    poller ??= startLoop({
      name: "event poll",
      everyMs: options.pollMs ?? 5_000,
      clock,
      log,
      async run() {
        refresh(null);
        return false;
      },
    });
  }

  function enter(tenantId: string): Tail {
    start();
    const tail = tails.get(tenantId) ?? createTail({ db, tenantId, log });
    tails.set(tenantId, tail);
    tail.readers += 1;
    readers.inc();
    return tail;
  }

  function leave(tenantId: string, tail: Tail): void {
    tail.readers -= 1;
    readers.dec();
    if (tail.readers === 0 && tails.get(tenantId) === tail) tails.delete(tenantId);
  }

  return {
    async begin(tenantId, lastEventId = Number.POSITIVE_INFINITY) {
      return Math.min(lastEventId, await store.lastPosition(db, tenantId));
    },
    async *subscribe(tenantId, { lastEventId, types = ["*"], may, signal }) {
      const tail = enter(tenantId);
      try {
        let position = lastEventId ?? (await store.lastPosition(db, tenantId));
        while (!signal.aborted) {
          const news = tail.next(position);
          const known = tail.after(position);
          const events = known ?? (await store.eventsAfter(db, tenantId, position, pageEvents));
          for (const event of events) {
            position = event.position;
            if (wants(types, event.type) && may(event)) yield event;
            if (signal.aborted) return;
          }
          if (events.length === 0) await untilAborted(news, signal);
        }
      } finally {
        leave(tenantId, tail);
      }
    },
    async stop() {
      await Promise.all([listener?.stop(), poller?.stop()]);
    },
  };
}

function untilAborted(news: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = () => resolve();
  signal.addEventListener("abort", wake, { once: true });
  void news.then(wake);
  return promise.finally(() => signal.removeEventListener("abort", wake));
}
