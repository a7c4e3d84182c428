import { type History, op } from "./history.ts";
import { isUpdate, mayApply, type Prepared, trait } from "./prepared.ts";

/** An order of the updates of one key that is given, or forced, and only needs to be validated. */
export interface GivenOrder {
  readonly key: number;
  /** Updates in their order. */
  readonly updates: readonly number[];
  /** Of a read how many of the updates came before it; -1 for a read that has no place. */
  placeOf(read: number): number;
}

/** Two operations in an order that real time forbids: `late` was called after `early` had ended. */
export interface OutOfOrder {
  readonly early: number;
  readonly late: number;
}

/**
 * Holds an order to real time, O(n) for operations that are sorted. Each must come after all that
 * had ended when it was called. A cas that found another value takes the earliest place that it can
 * have: that leaves the most to the others.
 */
export function validateOrder(
  prepared: Prepared,
  isRead: Uint8Array,
  order: GivenOrder,
): OutOfOrder | null {
  const { history, byKey } = prepared;
  const { call, end } = history;
  const ends = prepared.byKeyEnd();
  const [from, to] = [byKey.starts[order.key]!, byKey.starts[order.key + 1]!];
  const places = placesOf(prepared, isRead, order, from, to);
  let [ended, latest, latestAt] = [from, -1, -1];
  for (let next = from; next < to; next += 1) {
    const at = byKey.order[next]!;
    for (; ended < to && end[ends.order[ended]!]! < call[at]!; ended += 1) {
      const before = ends.order[ended]!;
      const place = places.get(before) ?? -1;
      if (place <= latest) continue;
      latest = place;
      latestAt = before;
    }
    if (history.isMismatch[at]) {
      const place = placeOfMismatch(history, order, at, Math.max(latest, 1));
      if (place < 0) return { early: latestAt, late: at };
      places.set(at, place);
    } else if ((places.get(at) ?? latest) < latest) return { early: latestAt, late: at };
  }
  return null;
}

/** Update number n, from 1, has place 2 n; what reads it, 2 n + 1; what came first is number 0. */
function placesOf(
  { history, byKey }: Prepared,
  isRead: Uint8Array,
  order: GivenOrder,
  from: number,
  to: number,
): Map<number, number> {
  const places = new Map<number, number>();
  order.updates.forEach((at, number) => places.set(at, (number + 1) * 2));
  for (let next = from; next < to; next += 1) {
    const at = byKey.order[next]!;
    if (isRead[at] && !isUpdate(history, at)) places.set(at, order.placeOf(at) * 2 + 1);
  }
  return places;
}

function placeOfMismatch(history: History, order: GivenOrder, at: number, least: number): number {
  const valueAfter = (number: number) =>
    number === 0 ? history.initial : history.value[order.updates[number - 1]!]!;
  for (let number = least >> 1; number <= order.updates.length; number += 1) {
    if (valueAfter(number) !== history.expected[at]) return number * 2 + 1;
  }
  return -1;
}

/**
 * Whether the versions of a key prove that it is linearizable: they give the order, each answer
 * fits it, and real time does. Where they don't, nothing is proven.
 */
export function isCertified(prepared: Prepared, key: number, isRead: Uint8Array): boolean {
  const { history, byKey, rank, traits } = prepared;
  const composedOfMisses = trait.append | trait.mismatch;
  if ((traits[key]! & composedOfMisses) === composedOfMisses) return false;
  const operations = byKey.order.subarray(byKey.starts[key], byKey.starts[key + 1]);
  const updates: number[] = [];
  for (const at of operations) {
    if (isRead[at] && rank[at]! < 0) return false;
    if (!mayApply(history, at)) continue;
    if (rank[at]! > 0) updates.push(at);
    else if (history.end[at]! < Number.POSITIVE_INFINITY) return false;
  }
  updates.sort((a, b) => rank[a]! - rank[b]!);
  const numberOf = new Map<number, number>([[0, 0]]);
  for (const at of updates) {
    if (numberOf.has(rank[at]!)) return false;
    numberOf.set(rank[at]!, numberOf.size);
  }
  const first = updates.length === 0 ? Number.POSITIVE_INFINITY : rank[updates[0]!]!;
  // What is older than every update of the key, as 0.0 is, is what the key held at first.
  const placeOf = (read: number) => numberOf.get(rank[read]!) ?? (rank[read]! < first ? 0 : -1);
  const reads = operations.filter((at) => isRead[at]);
  if (!fitsValues(history, updates, reads, placeOf)) return false;
  return validateOrder(prepared, isRead, { key, updates, placeOf }) === null;
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** Whether each update finds what it expects, and each read returns what stands at its place. */
function fitsValues(
  history: History,
  updates: readonly number[],
  reads: Int32Array,
  placeOf: (read: number) => number,
): boolean {
  const { values, value, expected, initial } = history;
  const sorted = [...reads].sort((a, b) => placeOf(a) - placeOf(b));
  let next = 0;
  let now = values[initial];
  for (let number = 0; number <= updates.length; number += 1) {
    const at = updates[number - 1];
    if (at !== undefined) {
      if (history.op[at] === op.cas && now !== values[expected[at]!]) return false;
      const added = values[value[at]!];
      now = history.op[at] === op.append ? textOf(now) + textOf(added) : added;
    }
    for (; next < sorted.length && placeOf(sorted[next]!) <= number; next += 1) {
      if (placeOf(sorted[next]!) < 0 || values[value[sorted[next]!]!] !== now) return false;
    }
  }
  return next === sorted.length;
}
