import { type GivenOrder, type OutOfOrder, validateOrder } from "./certificate.ts";
import { op, outcome } from "./history.ts";
import { mayApply, type Prepared, trait } from "./prepared.ts";

/** What a chain of cas tells: an order exists, or these operations show that there is none. */
export type ChainFinding =
  | { readonly isLinearizable: true }
  | { readonly isLinearizable: false; readonly rivals: readonly [number, number] }
  | {
      readonly isLinearizable: false;
      readonly outOfOrder: OutOfOrder;
      /** The cas that lead from what the late one found to what the early one found. */
      readonly between: readonly number[];
    }
  | null;

/**
 * A key that only cas changes, each to a value of its own: every value has one successor, so that
 * the order is forced and only real time remains to be looked at. O(n). Null where that is not so,
 * or where a value of the chain came from nowhere.
 */
export function checkChain(prepared: Prepared, key: number, isRead: Uint8Array): ChainFinding {
  const { history, byKey, traits } = prepared;
  if ((traits[key]! & ~trait.mismatch) !== trait.cas) return null;
  const operations = byKey.order.subarray(byKey.starts[key], byKey.starts[key + 1]);
  const included = includedCas(prepared, operations, isRead);
  const successor = new Map<number, number>();
  for (const at of included) {
    // What leaves the value as it was has no place of its own.
    if (history.expected[at] === history.value[at]) return null;
    const rival = successor.get(history.expected[at]!);
    if (rival !== undefined) {
      const areSure = [rival, at].every((one) => history.outcome[one] === outcome.ok);
      return areSure ? { isLinearizable: false, rivals: [rival, at] } : null;
    }
    successor.set(history.expected[at]!, at);
  }
  const updates: number[] = [];
  const numberOf = new Map<number, number>([[history.initial, 0]]);
  for (
    let at = successor.get(history.initial);
    at !== undefined;
    at = successor.get(history.value[at]!)
  ) {
    updates.push(at);
    numberOf.set(history.value[at]!, updates.length);
    if (updates.length > included.size) return null;
  }
  if (updates.length < included.size) return null;
  const placeOf = (read: number) => numberOf.get(history.value[read]!) ?? -1;
  const order: GivenOrder = { key, updates, placeOf };
  if (operations.some((at) => isRead[at] && placeOf(at) < 0)) return null;
  const outOfOrder = validateOrder(prepared, isRead, order);
  if (outOfOrder === null) return { isLinearizable: true };
  // A mismatch that finds no place might have found one after a cas that nobody saw.
  const isSure = !history.isMismatch[outOfOrder.late] && !history.isMismatch[outOfOrder.early];
  if (!isSure) return null;
  const isCas = (at: number) => history.op[at] === op.cas;
  const numberIn = (at: number) => numberOf.get(history.value[at]!)!;
  const { early, late } = outOfOrder;
  const from = numberIn(late) - (isCas(late) ? 1 : 0);
  return { isLinearizable: false, outOfOrder, between: updates.slice(from, numberIn(early)) };
}

/** The cas that took effect: those that were acknowledged, and those whose value somebody found. */
function includedCas(
  { history }: Prepared,
  operations: Int32Array,
  isRead: Uint8Array,
): Set<number> {
  const writer = new Map<number, number>();
  const waiting: number[] = [];
  for (const at of operations) {
    if (mayApply(history, at)) writer.set(history.value[at]!, at);
    if (isRead[at]) waiting.push(history.value[at]!);
    if (history.op[at] === op.cas && history.outcome[at] === outcome.ok) {
      waiting.push(history.value[at]!);
    }
  }
  const included = new Set<number>();
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    const at = writer.get(value);
    if (at === undefined || included.has(at)) continue;
    included.add(at);
    waiting.push(history.expected[at]!);
  }
  return included;
}
