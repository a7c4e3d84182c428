import { outcome } from "./history.ts";
import { isImpossibleRead } from "./integrity.ts";
import { isAnsweredRead, mayApply, type Prepared, source } from "./prepared.ts";
import { groupBy, orderOf } from "./sorting.ts";

/**
 * A value that was written once, with all that read it. It has a zone of time: from the first
 * return of any of its operations to the last call (forward, when the value must have stood
 * throughout), or the other way round (backward, when one moment in it is enough).
 */
export interface Zones {
  /** Of cluster c the earliest return; c is the write, or count + key for what was there first. */
  readonly firstEnd: Float64Array;
  readonly firstEndAt: Int32Array;
  /** The latest call. */
  readonly lastCall: Float64Array;
  readonly lastCallAt: Int32Array;
}

/** Two clusters of which each must come before the other. */
export interface ZoneConflict {
  readonly first: number;
  readonly second: number;
}

export interface ZoneFindings {
  readonly zones: Zones;
  /** At most one per key. */
  readonly conflicts: readonly ZoneConflict[];
  /** Reads that are impossible whatever else happened; at most one per key. */
  readonly impossible: readonly number[];
}

/**
 * Linearizability of registers whose written values are unique, in O(n log n): it is violated if
 * and only if a read has no write before its end, two forward zones overlap, or a backward zone
 * lies inside a forward one. Gibbons and Korach, "Testing shared memories", SIAM J. Computing
 * 26(4), 1997; as zones in Golab, Li and Shah, "Analyzing consistency properties for fun and
 * profit", PODC 2011. Operations whose times only touch are concurrent. `isRead` marks the reads
 * that count and `isKey` the keys; a key must have plain writes only, of values that differ.
 */
export function findZoneConflicts(
  prepared: Prepared,
  isRead: Uint8Array,
  isKey: Uint8Array,
): ZoneFindings {
  const { history, byKey } = prepared;
  const { zones, impossible } = collectZones(prepared, isRead, isKey);
  const broken = new Uint8Array(history.keys.length);
  for (const at of impossible) broken[history.key[at]!] = 1;
  const forward = forwardByKey(prepared, zones, isKey);
  const conflicts: ZoneConflict[] = [];
  for (let key = 0; key < history.keys.length; key += 1) {
    if (!isKey[key] || broken[key]) continue;
    const sorted = forward.order.subarray(forward.starts[key], forward.starts[key + 1]);
    const operations = byKey.order.subarray(byKey.starts[key], byKey.starts[key + 1]);
    const conflict =
      overlapOf(zones, sorted) ?? enclosedOf(prepared, zones, sorted, operations) ?? null;
    if (conflict) conflicts.push(conflict);
  }
  return { zones, conflicts, impossible };
}

function collectZones(prepared: Prepared, isRead: Uint8Array, isKey: Uint8Array) {
  const { history, source: from } = prepared;
  const { count, call, end, key } = history;
  const clusters = count + history.keys.length;
  const firstEnd = new Float64Array(clusters).fill(Number.NEGATIVE_INFINITY);
  const lastCall = new Float64Array(clusters).fill(Number.NEGATIVE_INFINITY);
  const firstEndAt = new Int32Array(clusters).fill(-1);
  const lastCallAt = new Int32Array(clusters).fill(-1);
  for (let at = 0; at < count; at += 1) {
    if (!isKey[key[at]!] || !mayApply(history, at)) continue;
    firstEnd[at] = end[at]!;
    lastCall[at] = call[at]!;
    firstEndAt[at] = at;
    lastCallAt[at] = at;
  }
  const impossible: number[] = [];
  const broken = new Uint8Array(history.keys.length);
  for (const at of prepared.byCall) {
    if (!isRead[at] || !isKey[key[at]!]) continue;
    if (isImpossibleRead(history, from[at]!, at)) {
      if (!broken[key[at]!]) impossible.push(at);
      broken[key[at]!] = 1;
      continue;
    }
    const cluster = from[at] === source.initial ? count + key[at]! : from[at]!;
    if (end[at]! < firstEnd[cluster]!) {
      firstEnd[cluster] = end[at]!;
      firstEndAt[cluster] = at;
    }
    if (call[at]! > lastCall[cluster]!) {
      lastCall[cluster] = call[at]!;
      lastCallAt[cluster] = at;
    }
  }
  const zones: Zones = { firstEnd, firstEndAt, lastCall, lastCallAt };
  return { zones, impossible };
}

/** The forward zones of each key by their beginning. */
function forwardByKey({ history }: Prepared, { firstEnd, lastCall }: Zones, isKey: Uint8Array) {
  const { count, key } = history;
  const clusters = firstEnd.length;
  const keyOf = (cluster: number) => (cluster < count ? key[cluster]! : cluster - count);
  let forward = 0;
  for (let at = 0; at < clusters; at += 1) if (firstEnd[at]! < lastCall[at]!) forward += 1;
  const which = new Int32Array(forward);
  const begins = new Float64Array(forward);
  const keys = new Int32Array(forward);
  let next = 0;
  for (let at = 0; at < clusters; at += 1) {
    if (!(firstEnd[at]! < lastCall[at]!)) continue;
    which[next] = at;
    begins[next] = firstEnd[at]!;
    keys[next] = isKey[keyOf(at)] ? keyOf(at) : -1;
    next += 1;
  }
  const groups = groupBy(keys, history.keys.length, orderOf(begins, forward));
  return { starts: groups.starts, order: groups.order.map((at) => which[at]!) };
}

/** Two forward zones of one key that overlap. */
function overlapOf({ firstEnd, lastCall }: Zones, sorted: Int32Array): ZoneConflict | null {
  let longest = -1;
  for (const cluster of sorted) {
    if (longest >= 0 && firstEnd[cluster]! < lastCall[longest]!) {
      return { first: longest, second: cluster };
    }
    if (longest < 0 || lastCall[cluster]! > lastCall[longest]!) longest = cluster;
  }
  return null;
}

/** A backward zone inside a forward one; `sorted` are the key's forward zones, without overlaps. */
function enclosedOf(
  { history }: Prepared,
  { firstEnd, lastCall }: Zones,
  sorted: Int32Array,
  operations: Int32Array,
): ZoneConflict | null {
  if (sorted.length === 0) return null;
  for (const at of operations) {
    if (!mayApply(history, at) || firstEnd[at]! < lastCall[at]!) continue;
    let low = -1;
    let high = sorted.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (firstEnd[sorted[middle]!]! < lastCall[at]!) low = middle;
      else high = middle - 1;
    }
    if (low < 0) continue;
    const around = sorted[low]!;
    if (firstEnd[at]! < lastCall[around]!) return { first: around, second: at };
  }
  return null;
}

/** Marks the reads that count: those that returned, are no final ones, and that `wanted` takes. */
export function markReads(
  { history }: Prepared,
  wanted: (at: number) => boolean = () => true,
): { isRead: Uint8Array; reads: number } {
  const isRead = new Uint8Array(history.count);
  let reads = 0;
  for (let at = 0; at < history.count; at += 1) {
    if (!isAnsweredRead(history, at) || history.isFinal[at] || !wanted(at)) continue;
    isRead[at] = 1;
    reads += 1;
  }
  return { isRead, reads };
}

/** Writes that were answered; each is held to what its key's readers are. */
export function countWrites({ history }: Prepared): number {
  let writes = 0;
  for (let at = 0; at < history.count; at += 1) {
    if (history.op[at] !== 0 && history.outcome[at] === outcome.ok) writes += 1;
  }
  return writes;
}
