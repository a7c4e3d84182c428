import { outcome } from "./history.ts";
import { isAnsweredRead, type Prepared } from "./prepared.ts";
import { held, undecided, type Verdict, violated, type Witness, witnessOf } from "./verdict.ts";
import { newerThan, type VersionOrder } from "./version-order.ts";
import { durationText, keyText, listText, operationText } from "./words.ts";

/** How far reads may lag; null where nothing was promised. */
export interface Bounds {
  /** K: acknowledged versions that a read may miss. */
  readonly maxStalenessVersions: number | null;
  /** T: for how long it may miss one, in ms. */
  readonly maxStalenessMs: number | null;
}

/** How far reads did lag. */
export interface Staleness {
  readonly verdict: Verdict;
  readonly staleReads: number;
  readonly mostVersions: number;
  /** In ms, or NaN where times have no length. */
  readonly mostMs: number;
}

const shownWrites = 3;

/**
 * Bounded staleness by versions, O(n log n): of a read, let N be the newer updates of its key that
 * were acknowledged before it was called. There may be at most K of them, and none that was
 * acknowledged more than T before. As in Golab et al., "Client-centric benchmarking of eventual
 * consistency for cloud storage systems", ICDCS 2014 (Δ- and k-atomicity), with a version order
 * that is known instead of sought.
 */
export function checkStaleness(
  prepared: Prepared,
  order: VersionOrder,
  bounds: Bounds,
  wanted: (at: number) => boolean = () => true,
): Staleness {
  const { history, rank } = prepared;
  const { call, key } = history;
  const lags = createLags(prepared, order, bounds);
  const placeOf = new Int32Array(history.count).fill(-1);
  order.order.forEach((at, place) => {
    placeOf[at] = place;
  });
  let [checked, open] = [0, 0];
  const stale: number[][] = history.keys.map(() => []);
  for (const at of prepared.byCall) {
    if (!isAnsweredRead(history, at) || history.isFinal[at] || !wanted(at)) continue;
    checked += 1;
    if (rank[at]! < 0) {
      open += 1;
      continue;
    }
    const next = newerThan(prepared, order, key[at]!, rank[at]!);
    if (next === order.starts[key[at]! + 1] || order.firstEnd[next]! >= call[at]!) continue;
    stale[key[at]!]!.push(at);
  }
  stale.forEach((reads, one) => {
    if (reads.length > 0) countKey(prepared, { ...order, placeOf }, one, reads, lags.add);
  });
  return { ...lags.found(), verdict: lags.verdict(checked, open) };
}

/**
 * For each stale read of a key, by their calls, the number of newer updates acknowledged before.
 */
function countKey(
  prepared: Prepared,
  order: VersionOrder & { placeOf: Int32Array },
  key: number,
  reads: readonly number[],
  add: (read: number, next: number, versions: number) => void,
): void {
  const { history, rank } = prepared;
  const ends = prepared.byKeyEnd();
  const [from, to] = [order.starts[key]!, order.starts[key + 1]!];
  const size = to - from;
  // A Fenwick tree of the updates that were acknowledged so far, by their place in the order.
  const tree = new Int32Array(size + 1);
  let [ended, acknowledged] = [ends.starts[key]!, 0];
  for (const read of reads) {
    for (; ended < ends.starts[key + 1]!; ended += 1) {
      const at = ends.order[ended]!;
      if (history.end[at]! >= history.call[read]!) break;
      const place = order.placeOf[at]!;
      if (place < 0 || history.outcome[at] !== outcome.ok) continue;
      acknowledged += 1;
      for (let node = place - from + 1; node <= size; node += node & -node) tree[node]! += 1;
    }
    const next = newerThan(prepared, order, key, rank[read]!);
    let older = 0;
    for (let node = next - from; node > 0; node -= node & -node) older += tree[node]!;
    add(read, next, acknowledged - older);
  }
}

function createLags(
  prepared: Prepared,
  order: VersionOrder,
  { maxStalenessVersions, maxStalenessMs }: Bounds,
) {
  const { history } = prepared;
  const hasLength = history.meta.clock === "ms";
  let [staleReads, mostVersions, mostMs, found] = [0, 0, 0, 0];
  let first: { read: number; next: number; versions: number } | null = null;
  const tooMany = (versions: number) =>
    maxStalenessVersions !== null && versions > maxStalenessVersions;
  const tooLong = (ms: number) => maxStalenessMs !== null && hasLength && ms > maxStalenessMs;

  function verdict(checked: number, open: number): Verdict {
    if (first) return violated(checked, witness(first), found);
    if (maxStalenessVersions === null && maxStalenessMs === null) {
      return undecided(checked, "no bound was given");
    }
    if (maxStalenessMs !== null && !hasLength && checked > 0) {
      return undecided(
        checked,
        "the history has no times in ms, so that a bound in ms means nothing",
      );
    }
    if (open > 0) return undecided(checked, `${open} of ${checked} reads have no known version`);
    return held(checked);
  }

  function witness({ read, next, versions }: NonNullable<typeof first>): Witness {
    const missed = missedBefore(prepared, order, next, read);
    const oldest = missed.reduce((a, b) => (history.end[b]! < history.end[a]! ? b : a));
    const ms = history.call[read]! - history.end[oldest]!;
    const text = `${operationText(history, read)}${keyText(history, read)}`;
    if (tooLong(ms)) {
      const sentence =
        `${text} missed ${operationText(history, oldest)}, acknowledged ${durationText(ms)} ` +
        `before it was called; ${durationText(maxStalenessMs!)} may pass.`;
      return witnessOf(history, [oldest, read], sentence);
    }
    const shown = missed.slice(0, shownWrites);
    const names = shown.map((at) => history.ids[at]!);
    const more = versions > shown.length ? [`${versions - shown.length} more`] : [];
    const sentence =
      `${text} missed ${versions} updates that had been acknowledged ` +
      `(${listText([...names, ...more])}); it may miss ${maxStalenessVersions}.`;
    return witnessOf(history, [...shown, read], sentence);
  }

  return {
    add(read: number, next: number, versions: number): void {
      const ms = history.call[read]! - order.firstEnd[next]!;
      staleReads += 1;
      mostVersions = Math.max(mostVersions, versions);
      mostMs = Math.max(mostMs, ms);
      if (!tooMany(versions) && !tooLong(ms)) return;
      found += 1;
      if (first === null || versions < first.versions) first = { read, next, versions };
    },
    found: () => ({ staleReads, mostVersions, mostMs: hasLength ? mostMs : Number.NaN }),
    verdict,
  };
}

/** The updates that a stale read missed, from the oldest version. */
function missedBefore(
  { history }: Prepared,
  { starts, order, firstEnd }: VersionOrder,
  next: number,
  read: number,
): number[] {
  const missed: number[] = [];
  const end = starts[history.key[read]! + 1]!;
  for (let at = next; at < end && firstEnd[at]! < history.call[read]!; at += 1) {
    if (history.end[order[at]!]! < history.call[read]!) missed.push(order[at]!);
  }
  return missed;
}
