import type { Db } from "../db/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import { eventsAfter, lastPosition } from "./store.ts";
import type { StoredEvent } from "./types.ts";

/** The last events of one tenant, shared by its readers in this process. */
export interface Tail {
  readers: number;
  /** Reads what is new; calls that come meanwhile make one more read. */
  refresh(): void;
  /** The events after a position, or null where the tail does not reach back that far. */
  after(position: number): StoredEvent[] | null;
  /** Resolves once there may be events after a position. */
  next(position: number): Promise<void>;
}

const keptEventsMax = 256;
const keptBytesMax = 2 * 1024 * 1024;
const readEvents = 200;

type Kept = StoredEvent & { sizeBytes: number };

/** Everything after `start` up to `end`; both are unknown before the first read. */
interface Ring {
  start: number;
  end: number;
  events: Kept[];
  sizeBytes: number;
}

function keep(ring: Ring, events: readonly Kept[]): void {
  for (const event of events) {
    ring.events.push(event);
    ring.sizeBytes += event.sizeBytes;
    ring.end = event.position;
  }
  let drop = 0;
  while (ring.events.length - drop > keptEventsMax || ring.sizeBytes > keptBytesMax) {
    const oldest = ring.events[drop];
    if (!oldest) break;
    ring.sizeBytes -= oldest.sizeBytes;
    ring.start = oldest.position;
    drop += 1;
  }
  if (drop > 0) ring.events = ring.events.slice(drop);
}

/** Starts reading at the tenant's last event; what came before is the database's to answer. */
export function createTail(options: { db: Db; tenantId: string; log: Pick<Logger, "warn"> }): Tail {
  const { db, tenantId, log } = options;
  const ring: Ring = { start: Infinity, end: -Infinity, events: [], sizeBytes: 0 };
  let reading = false;
  let again = false;
  let changed = Promise.withResolvers<void>();

  function announce(): void {
    const waiting = changed;
    changed = Promise.withResolvers<void>();
    waiting.resolve();
  }

  async function read(): Promise<void> {
    if (ring.end === -Infinity) {
      ring.start = ring.end = await lastPosition(db, tenantId);
      return announce();
    }
    for (;;) {
      const events = await eventsAfter(db, tenantId, ring.end, readEvents);
      keep(ring, events);
      if (events.length > 0) announce();
      if (events.length < readEvents) return;
    }
  }

  async function readAll(): Promise<void> {
    reading = true;
    try {
      do {
        again = false;
        await read();
      } while (again);
    } catch (error) {
      // Readers wait for the next notification or poll, which tries again.
      log.warn({ err: error, tenant: tenantId }, "new events could not be read");
    } finally {
      reading = false;
    }
  }

  const tail: Tail = {
    readers: 0,
    refresh() {
      if (reading) again = true;
      else void readAll();
    },
    after(position) {
      if (position < ring.start) return null;
      if (position >= ring.end) return [];
      return ring.events.filter((event) => event.position > position);
    },
    next: (position) => (ring.end > position ? Promise.resolve() : changed.promise),
  };
  tail.refresh();
  return tail;
}
