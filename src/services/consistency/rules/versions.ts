import type { History, Version } from "./history.ts";
import { orderOf } from "./sorting.ts";

/** All versions of a history in one order: rank 1 is the oldest, 0 is before every write. */
export interface VersionRanks {
  /** Of each operation; -1 where it has none. */
  readonly rank: Int32Array;
  /** Term and seq of each rank; entry 0 is not used. */
  readonly terms: Float64Array;
  readonly seqs: Float64Array;
  readonly count: number;
}

const exactAtMost = 2 ** 53;

/** Indices of what has a version, by (term, seq). */
function versionedOrder({ term, seq }: Pick<History, "term" | "seq">, versioned: Int32Array) {
  let [termMost, seqMost] = [0, 0];
  for (const at of versioned) {
    if (term[at]! > termMost) termMost = term[at]!;
    if (seq[at]! > seqMost) seqMost = seq[at]!;
  }
  const step = seqMost + 1;
  if ((termMost + 1) * step > exactAtMost) {
    return versioned.sort((a, b) => term[a]! - term[b]! || seq[a]! - seq[b]! || a - b);
  }
  const combined = Float64Array.from(versioned, (at) => term[at]! * step + seq[at]!);
  return orderOf(combined, combined.length).map((at) => versioned[at]!);
}

/** Ranks the versions of a history, O(n). */
export function rankVersions(history: Pick<History, "count" | "term" | "seq">): VersionRanks {
  const { count, term, seq } = history;
  const rank = new Int32Array(count).fill(-1);
  let versions = 0;
  for (let at = 0; at < count; at += 1) if (term[at]! >= 0) versions += 1;
  const versioned = new Int32Array(versions);
  let next = 0;
  for (let at = 0; at < count; at += 1) {
    if (term[at]! < 0) continue;
    versioned[next] = at;
    next += 1;
  }
  const terms = new Float64Array(versions + 1);
  const seqs = new Float64Array(versions + 1);
  let ranks = 0;
  for (const at of versionedOrder(history, versioned)) {
    if (ranks === 0 || terms[ranks] !== term[at] || seqs[ranks] !== seq[at]) {
      ranks += 1;
      terms[ranks] = term[at]!;
      seqs[ranks] = seq[at]!;
    }
    rank[at] = ranks;
  }
  return { rank, terms, seqs, count: ranks };
}

/** The newest rank that is not after the version; 0 when every version is newer. */
export function rankAtMost({ terms, seqs, count }: VersionRanks, { term, seq }: Version): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    const isAfter = terms[middle]! > term || (terms[middle] === term && seqs[middle]! > seq);
    if (isAfter) high = middle - 1;
    else low = middle;
  }
  return low;
}
