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

export function createTail(options: { db: Db; tenantId: string; log: Pick<Logger, "warn"> }): Tail {
  const { db, tenantId, log } = options;
  let kept: Kept[] = [];
  let keptBytes = 0;
  /** Everything after this position, and up to `end`, is kept; unknown before the first read. */
  let start = Number.POSITIVE_INFINITY;
  let end = Number.NEGATIVE_INFINITY;
  let reading = false;
  let again = false;
  let changed = Promise.withResolvers<void>();

  function keep(events: readonly Kept[]): void {
    for (const event of events) {
      kept.push(event);
      keptBytes += event.sizeBytes;
      end = event.position;
    }
    let drop = 0;
    while (kept.length - drop > keptEventsMax || (keptBytes > keptBytesMax && drop < kept.length)) {
      const oldest = kept[drop] as Kept;
      keptBytes -= oldest.sizeBytes;
      start = oldest.position;
      drop += 1;
    }
    if (drop > 0) kept = kept.slice(drop);
  }

  function announce(): void {
    const waiting = changed;
    changed = Promise.withResolvers<void>();
    waiting.resolve();
  }

  async function read(): Promise<void> {
    if (end === Number.NEGATIVE_INFINITY) {
      start = end = await lastPosition(db, tenantId);
      return announce();
    }
    for (;;) {
      const events = await eventsAfter(db, tenantId, end, readEvents);
      keep(events);
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
      if (position < start) return null;
      if (position >= end) return [];
      return kept.filter((event) => event.position > position);
    },
    next: (position) => (end > position ? Promise.resolve() : changed.promise),
  };
  tail.refresh();
  return tail;
}
