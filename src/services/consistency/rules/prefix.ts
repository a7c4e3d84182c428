import { isAnsweredRead, type Prepared } from "./prepared.ts";
import { held, undecided, type Verdict, violated, type Witness, witnessOf } from "./verdict.ts";
import { newerThan, type VersionOrder, versionText } from "./version-order.ts";
import { operationText } from "./words.ts";

/** A read as the span of the store's log in which its key had that value. */
interface Span {
  readonly read: number;
  readonly from: number;
  /** The first rank at which the value was another; infinite for the newest. */
  readonly to: number;
  readonly next: number;
}

/**
 * Consistent prefix: reads of several keys that were made as one (`snapshot`) show the store as it
 * was after some beginning of its log. Each read stands for the span from its version to the key's
 * next; the spans must have a point in common. As in Terry, "Replicated data consistency explained
 * through baseball", CACM 56(12), 2013. O(n log n).
 */
export function checkPrefix(prepared: Prepared, order: VersionOrder): Verdict {
  const { history, rank } = prepared;
  const snapshots: number[][] = history.snapshots.map(() => []);
  let [checked, open, found] = [0, 0, 0];
  for (let at = 0; at < history.count; at += 1) {
    if (history.snapshot[at]! < 0 || !isAnsweredRead(history, at)) continue;
    checked += 1;
    if (rank[at]! < 0) open += 1;
    else snapshots[history.snapshot[at]!]!.push(at);
  }
  if (checked === 0) return held(0);
  if (history.meta.versions === "key") {
    return undecided(checked, "each key has a log of its own, so that there is no common prefix");
  }
  let first: Witness | null = null;
  for (const reads of snapshots) {
    const spans = reads.map((read) => spanOf(prepared, order, read));
    const latest = spans.reduce((a, b) => (b.from > a.from ? b : a), spans[0]!);
    const earliest = spans.reduce((a, b) => (b.to < a.to ? b : a), spans[0]!);
    if (spans.length === 0 || latest.from < earliest.to) continue;
    found += 1;
    first ??= witness(prepared, latest, earliest);
  }
  if (first) return violated(checked, first, found);
  if (open > 0) return undecided(checked, `${open} of ${checked} reads have no known version`);
  return held(checked);
}

function spanOf(prepared: Prepared, order: VersionOrder, read: number): Span {
  const { history, rank } = prepared;
  const key = history.key[read]!;
  const next = newerThan(prepared, order, key, rank[read]!);
  const isNewest = next === order.starts[key + 1];
  const to = isNewest ? Number.POSITIVE_INFINITY : rank[order.order[next]!]!;
  return { read, from: rank[read]!, to, next: isNewest ? -1 : order.order[next]! };
}

function witness({ history, source }: Prepared, late: Span, early: Span): Witness {
  const write = source[late.read]!;
  const version = versionText(history, history.term[late.read]! >= 0 ? late.read : write);
  const sentence =
    `Of one snapshot, ${operationText(history, late.read)} of key ` +
    `${JSON.stringify(history.keys[history.key[late.read]!])} is of version ${version}, yet ` +
    `${operationText(history, early.read)} of key ` +
    `${JSON.stringify(history.keys[history.key[early.read]!])} misses ` +
    `${operationText(history, early.next)} of version ${versionText(history, early.next)}.`;
  return witnessOf(history, [early.next, early.read, late.read], sentence);
}
