import type { Tx } from "../db/types.ts";
import type { EventCatalogue } from "./catalogue.ts";
import { newEvents } from "./store.ts";
import type { EventInput } from "./types.ts";

const maxDataBytes = 64 * 1024;
const typePattern = /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$/;

/** What may be emitted in this process; null where nobody minds. */
let declared: Set<string> | null = null;

/**
 * From now on `emit` throws for a type that no catalogue given here has. For development and tests:
 * in production a forgotten declaration must not undo the change that tells of it.
 */
export function refuseUndeclaredEvents(catalogue: EventCatalogue): void {
  declared ??= new Set();
  for (const type of Object.keys(catalogue)) declared.add(type);
}

/**
 * Tells that something has happened. The event is written with the change or not at all, and the
 * relay hands it out afterwards, at least once. Events of one resource keep their order as long as
 * whoever emits has changed or locked the resource's row in the same transaction.
 */
export function emit(tx: Tx, { type, resource, data, ownerId }: EventInput): void {
  if (!typePattern.test(type) || type.length > 100) {
    throw new RangeError(`Event type "${type}" must be like "order.created"`);
  }
  if (declared?.has(type) === false) {
    throw new RangeError(`No service declares the event "${type}": add it to its events.ts`);
  }
  const text = JSON.stringify(data);
  if (Buffer.byteLength(text) > maxDataBytes) {
    throw new RangeError(`The data of event "${type}" is larger than ${maxDataBytes} bytes`);
  }
  const event = { tenantId: tx.tenant.id, type, resource, ownerId: ownerId ?? null, data: text };
  tx.gather(newEvents, event, text.length);
}
