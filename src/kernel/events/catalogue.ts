import type { TSchema } from "typebox";
import { defineErrors, type FieldError } from "../errors.ts";
import { nearest } from "../nearest.ts";

/** What is said of one type of event. */
export interface EventEntry {
  /** What has happened, as one sentence for people. */
  readonly title: string;
  /** Of the event's `data`, for documentation; any object without it. */
  readonly data?: TSchema;
}

/** Event types by name: "order.created". */
export type EventCatalogue = Readonly<Record<string, EventEntry>>;

export const eventErrors = defineErrors("events", {
  unknown_type: { status: 422, title: "There is no event of this type" },
});

const typePattern = /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$/;
const typeCharsMost = 100;
const errorsMost = 5;

/**
 * Declares the events that a service emits: `"order.created": { title: "An order was made" }`.
 * Whoever may read a type's first word (`order:read`) may see its events. Throws for a name that
 * is not like that.
 */
export function defineEvents<const Catalogue extends EventCatalogue>(
  catalogue: Catalogue,
): Catalogue {
  for (const type of Object.keys(catalogue)) {
    if (!typePattern.test(type) || type.length > typeCharsMost) {
      throw new Error(`Event type "${type}" must be like "order.created"`);
    }
  }
  return catalogue;
}

/** What the kernel itself tells. */
export const kernelEvents = defineEvents({
  "job.progress": { title: "A long job has got on; only for webhooks that name it" },
  "webhook.disabled": { title: "A webhook was switched off because its receiver kept failing" },
  "webhook.ping": { title: "A test, for the one webhook that it was asked for" },
});

/** The kernel's events and every service's in one. Throws where two declare the same type. */
export function mergeEvents(
  services: readonly { name: string; events?: EventCatalogue | undefined }[],
): EventCatalogue {
  const merged: Record<string, EventEntry> = { ...kernelEvents };
  for (const { name, events = {} } of services) {
    for (const [type, entry] of Object.entries(defineEvents(events))) {
      if (Object.hasOwn(merged, type)) {
        throw new Error(`Event type "${type}" of ${name} is declared twice`);
      }
      merged[type] = entry;
    }
  }
  return merged;
}

/** "*", a type that is declared, or "order.*" where one begins like that. */
function isKnown(catalogue: EventCatalogue, wanted: string): boolean {
  if (wanted === "*") return true;
  if (!wanted.endsWith(".*")) return Object.hasOwn(catalogue, wanted);
  const start = wanted.slice(0, -1);
  return Object.keys(catalogue).some((type) => type.startsWith(start));
}

/**
 * Throws `ERR_EVENTS_UNKNOWN_TYPE`, with the types that are most like it, for a wanted type that
 * nothing will ever have. `pathOf` says where the nth of them stands in the request.
 */
export function assertKnownTypes(
  catalogue: EventCatalogue,
  wanted: readonly string[],
  pathOf: (index: number) => string,
): void {
  const unknown = [...wanted.entries()].filter(([, type]) => !isKnown(catalogue, type));
  const [first] = unknown;
  if (!first) return;
  const kinds = Object.keys(catalogue).map((type) => `${type.slice(0, type.indexOf("."))}.*`);
  const names = new Set([...Object.keys(catalogue), ...kinds]);
  const errors: FieldError[] = unknown.slice(0, errorsMost).map(([index, type]) => ({
    path: pathOf(index),
    message: `is no event type; near it are ${nearest(type, names).join(", ")}`,
  }));
  const detail = `"${first[1].slice(0, typeCharsMost)}" ${errors[0]?.message}.`;
  throw eventErrors.unknown_type({ detail, errors });
}
