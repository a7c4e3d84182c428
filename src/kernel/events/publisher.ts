import type { Db } from "../db/types.ts";
import type { Faults } from "../resilience/faults.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import * as store from "./store.ts";
import type { Broker, EventEnvelope, StoredEvent } from "./types.ts";

const batchEvents = 500;

export interface PublisherOptions {
  /** The platform's database. */
  db: Db;
  broker: Broker;
  metrics: Metrics;
  faults?: Pick<Faults, "at">;
}

/** Webhooks and the broker are not told who owns a resource: that is for readers' permissions. */
export function envelopeOf(stored: StoredEvent): EventEnvelope {
  const { ownerId: _owner, sizeBytes: _size, ...event } = stored;
  return event;
}

interface Item {
  seq: number;
  /** Whose order counts: one resource of one tenant. */
  key: string;
  event: StoredEvent | undefined;
}

/** In waves of one event per resource, so that none overtakes one that has to be tried again. */
function* wavesOf(items: readonly Item[]): Generator<Item[]> {
  let left = items;
  while (left.length > 0) {
    const wave = new Map<string, Item>();
    const later: Item[] = [];
    for (const item of left) {
      if (wave.has(item.key)) later.push(item);
      else wave.set(item.key, item);
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
  return pointers.map(({ seq, eventId }) => {
    const event = events.get(eventId);
    const key = event ? `${event.tenantId} ${event.resource.type} ${event.resource.id}` : `${seq}`;
    return { seq, key, event };
  });
}

/**
 * One round of publishing what the relay has handed out, in order per resource. A pointer goes only
 * after the broker's confirmation, so a crash in between makes a duplicate of the same id and never
 * a loss. Rejects when the broker refuses an event; later ones of its resource wait with it.
 */
export function createPublisher({
  db,
  broker,
  metrics,
  faults,
}: PublisherOptions): (signal: AbortSignal) => Promise<boolean> {
  const published = metrics.counter("events_published_total", "Events given to the broker", [
    "result",
  ]);
  return async (signal) => {
    const pointers = await db.inPlatform((tx) => store.pointersToPublish(tx, batchEvents));
    if (pointers.length === 0) return false;
    const refused = new Map<string, unknown>();
    for (const wholeWave of wavesOf(await load(db, pointers))) {
      if (signal.aborted) return false;
      const wave = wholeWave.filter(({ key }) => !refused.has(key));
      const results = await Promise.allSettled(
        wave.map(async ({ event }) => event && broker.publish(envelopeOf(event))),
      );
      const done = wave.filter(({ key }, at) => {
        const result = results[at] as PromiseSettledResult<unknown>;
        if (result.status === "rejected") refused.set(key, result.reason);
        return result.status === "fulfilled";
      });
      published.inc({ result: "confirmed" }, done.length);
      published.inc({ result: "failed" }, wave.length - done.length);
      await faults?.at("events.publish.confirmed");
      const seqs = done.map(({ seq }) => seq);
      if (seqs.length > 0) await db.inPlatform((tx) => store.deletePointers(tx, seqs));
    }
    const [error] = refused.values();
    if (error !== undefined) throw error;
    return pointers.length === batchEvents;
  };
}
