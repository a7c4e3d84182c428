import type { History } from "./history.ts";
import { mayApply, type Prepared } from "./prepared.ts";
import { type Groups, groupBy } from "./sorting.ts";

/** The updates of each key, from the oldest version to the newest. */
export interface VersionOrder extends Groups {
  /** Of each position in `order`, the earliest end of the update there and of all newer ones. */
  readonly firstEnd: Float64Array;
  /** The same of calls. */
  readonly firstCall: Float64Array;
}

/** Orders the updates whose versions are known, O(n). */
export function orderVersions({ history, byCall, rank, versions }: Prepared): VersionOrder {
  const ofUpdates = rank.map((one, at) => (one > 0 && mayApply(history, at) ? one : -1));
  const byRank = groupBy(ofUpdates, versions.count + 1, byCall);
  const byKey = groupBy(history.key, history.keys.length, byRank.order);
  return {
    ...byKey,
    firstEnd: leastToCome(byKey, history.end),
    firstCall: leastToCome(byKey, history.call),
  };
}

/** Of each position the least value there and behind it, in its key. */
function leastToCome({ starts, order }: Groups, values: Float64Array): Float64Array {
  const least = new Float64Array(order.length);
  for (let key = 0; key + 1 < starts.length; key += 1) {
    let now = Number.POSITIVE_INFINITY;
    for (let at = starts[key + 1]! - 1; at >= starts[key]!; at -= 1) {
      const value = values[order[at]!]!;
      if (value < now) now = value;
      least[at] = now;
    }
  }
  return least;
}

/** The position in `order` of the key's first update that is newer than `rank`; its end if none. */
export function newerThan(
  { rank: ranks }: Pick<Prepared, "rank">,
  { starts, order }: Groups,
  key: number,
  rank: number,
): number {
  let low = starts[key]!;
  let high = starts[key + 1]!;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranks[order[middle]!]! > rank) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A version as people write it: "2.17". */
export function versionText({ term, seq }: History, at: number): string {
  return term[at]! < 0 ? "unknown" : `${term[at]}.${seq[at]}`;
}
