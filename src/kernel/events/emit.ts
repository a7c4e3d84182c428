import type { Tx } from "../db/types.ts";
import { appendEvent } from "./store.ts";
import type { EventInput } from "./types.ts";

const maxDataBytes = 64 * 1024;
const typePattern = /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$/;

/**
 * Tells that something has happened. The event is written with the change or not at all, and the
 * relay hands it out afterwards, at least once. Events of one resource keep their order as long as
 * whoever emits has changed or locked the resource's row in the same transaction.
 */
export function emit(tx: Tx, { type, resource, data, ownerId }: EventInput): void {
  if (!typePattern.test(type) || type.length > 100) {
    throw new RangeError(`Event type "${type}" must be like "order.created"`);
  }
  const text = JSON.stringify(data);
  if (Buffer.byteLength(text) > maxDataBytes) {
    throw new RangeError(`The data of event "${type}" is larger than ${maxDataBytes} bytes`);
  }
  tx.defer(appendEvent(tx.tenant.id, { type, resource, data: text, ownerId: ownerId ?? null }));
}
