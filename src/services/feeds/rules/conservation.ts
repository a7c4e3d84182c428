/** What became of a run's records; each fetched record is one of these. */
export interface RunCounts {
  readonly fetched: number;
  readonly inserted: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly deduplicated: number;
  readonly deadLettered: number;
}

export const noCounts: RunCounts = {
  fetched: 0,
  inserted: 0,
  updated: 0,
  unchanged: 0,
  deduplicated: 0,
  deadLettered: 0,
};

const outcomes = ["inserted", "updated", "unchanged", "deduplicated", "deadLettered"] as const;

/** The counts of two pages, or of a run so far and its next page. */
export function addCounts(a: RunCounts, b: RunCounts): RunCounts {
  const sum = { ...a, fetched: a.fetched + b.fetched };
  for (const outcome of outcomes) sum[outcome] = a[outcome] + b[outcome];
  return sum;
}

/** Records that nobody can account for: 0, or the run has failed. Negative: counted twice. */
export function unaccounted(counts: RunCounts): number {
  return counts.fetched - outcomes.reduce((sum, outcome) => sum + counts[outcome], 0);
}

export const errorBudgetDefault = 0.01;

/** Whether more records are dead letters than the error budget, a share of 0 to 1, allows. */
export const exceedsBudget = ({ fetched, deadLettered }: RunCounts, budget: number): boolean =>
  deadLettered > fetched * budget;

export type RunOutcome = "succeeded" | "succeeded_with_warnings" | "failed";

/**
 * How a run that came to its end has ended. `worst` is the gravest of its anomalies. A run whose
 * records do not add up has failed whatever else is said of it.
 */
export function outcomeOf({
  counts,
  errorBudget = errorBudgetDefault,
  worst,
}: {
  counts: RunCounts;
  errorBudget?: number;
  worst: "none" | "warn" | "error";
}): { state: RunOutcome; reason: string | null } {
  const lost = unaccounted(counts);
  if (lost !== 0) {
    return {
      state: "failed",
      reason: `${lost} of ${counts.fetched} records are not accounted for`,
    };
  }
  if (exceedsBudget(counts, errorBudget)) {
    const share = `${counts.deadLettered} of ${counts.fetched} records are dead letters`;
    return { state: "failed", reason: `${share}; ${errorBudget * 100} % are allowed` };
  }
  if (worst === "error") return { state: "failed", reason: "an anomaly is an error" };
  if (worst === "warn" || counts.deadLettered > 0) {
    return { state: "succeeded_with_warnings", reason: null };
  }
  return { state: "succeeded", reason: null };
}
