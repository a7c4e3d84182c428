import type { Finding } from "./result.ts";

export interface Comparison {
  /** Only in the later result. */
  new: Finding[];
  /** Only in the earlier one. */
  gone: Finding[];
  /** In both, as the later one has them. */
  carried: Finding[];
}

/** What changed between two results, by fingerprint. */
export function compareFindings(base: readonly Finding[], other: readonly Finding[]): Comparison {
  const before = new Set(base.map(({ fingerprint }) => fingerprint));
  const after = new Set(other.map(({ fingerprint }) => fingerprint));
  return {
    new: other.filter(({ fingerprint }) => !before.has(fingerprint)),
    gone: base.filter(({ fingerprint }) => !after.has(fingerprint)),
    carried: other.filter(({ fingerprint }) => before.has(fingerprint)),
  };
}
