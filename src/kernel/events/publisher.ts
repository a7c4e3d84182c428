import type { Db } from "../db/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import * as store from "./store.ts";
import type { Broker, EventEnvelope, StoredEvent } from "./types.ts";

const batchEvents = 500;

export interface PublisherOptions {
  /** The platform's database. */
  db: Db;
  broker: Broker;
  log: Logger;
  metrics: Metrics;
}

/** Webhooks and the broker are not told who owns a resource: that is for readers' permissions. */
export function envelopeOf({ ownerId: _, ...event }: StoredEvent): EventEnvelope {
  return event;
}

interface Item {
  seq: number;
  event: StoredEvent | undefined;
}

/** In waves of one event per resource, so that none overtakes another that has to be tried again. */
function* wavesOf(items: readonly Item[]): Generator<Item[]> {
  let left = items;
  while (left.length > 0) {
    const wave = new Map<string, Item>();
    const later: Item[] = [];
    for (const item of left) {
      const { event } = item;
      const key = event ? `${event.tenantId} ${event.resource.type} ${event.resource.id}` : `${item.seq}`;
      if (wave.has(key)) later.push(item);
      else wave.set(key, item);
    }
    yield [...wave.values()];
    left = later;
  }
}

async function load(db: Db, pointers: readonly store.Pointer[]): Promise<Item[]> {
  const byTenant = Map.groupBy(pointers, (pointer) => pointer.tenantId);
  const events = new Map<string, StoredEvent>();
  for (const [tenantId, own] of byTenant) {
    const ids = own.map(({ eventId }) => eventId);
    for (const event of await store.eventsByIds(db, tenantId, ids)) events.set(event.id, event);
  }
  return pointers.map(({ seq, eventId }) => ({ seq, event: events.get(eventId) }));
}

/**
 * One round of publishing what the relay has handed out, in order per resource. A pointer goes only
 * after the broker's confirmation, so a crash in between makes a duplicate of the same id and never
 * a loss. Rejects when the broker refuses; what was confirmed until then is done.
 */
export function createPublisher({
  db,
  broker,
  log,
  metrics,
}: PublisherOptions): (signal: AbortSignal) => Promise<boolean> {
  const published = metrics.counter("events_published_total", "Events given to the broker", [
    "result",
  ]);
  return async (signal) => {
    const pointers = await db.inPlatform((tx) => store.pointersToPublish(tx, batchEvents));
    if (pointers.length === 0) return false;
    for (const wave of wavesOf(await load(db, pointers))) {
      if (signal.aborted) return false;
      const results = await Promise.allSettled(
        wave.map(async ({ event }) => event && broker.publish(envelopeOf(event))),
      );
      const done = wave.filter((_, at) => results[at]?.status === "fulfilled");
      if (done.length > 0) {
        await db.inPlatform((tx) =>
          store.deletePointers(
            tx,
            done.map(({ seq }) => seq),
          ),
        );
        published.inc({ result: "confirmed" }, done.length);
      }
      const refused = results.find((result) => result.status === "rejected");
      if (refused) {
        published.inc({ result: "failed" }, wave.length - done.length);
        log.debug({ err: refused.reason }, "the broker did not confirm an event");
        throw refused.reason;
      }
    }
    return pointers.length === batchEvents;
  };
}
