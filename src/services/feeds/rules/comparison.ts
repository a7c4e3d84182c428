/** What the five simple rules look at. */
export interface ComparedRun {
  readonly startedAtMs: number;
  readonly state: string;
  readonly records: number;
  readonly durationMs: number;
}

export const simpleRules = [
  "records_changed_by_half",
  "duration_doubled",
  "implausibly_fast",
  "success_then_failure",
  "success_without_records",
] as const;
export type SimpleRule = (typeof simpleRules)[number];

export interface Comparison {
  readonly recordsDifference: number;
  readonly durationDifferenceMs: number;
  /** Null where the older run took no time at all. */
  readonly durationChangePct: number | null;
  readonly isStateChanged: boolean;
  readonly rules: readonly SimpleRule[];
}

const isSuccess = (state: string) => state.startsWith("succeeded");

/** Two runs of one source, the older one first whichever is given first. No history is needed. */
export function compareRuns(one: ComparedRun, other: ComparedRun): Comparison {
  const [older, newer] = one.startedAtMs <= other.startedAtMs ? [one, other] : [other, one];
  const recordsDifference = newer.records - older.records;
  const durationDifferenceMs = newer.durationMs - older.durationMs;
  const holds: Record<SimpleRule, boolean> = {
    records_changed_by_half: Math.abs(recordsDifference) > older.records * 0.5,
    duration_doubled: older.durationMs > 0 && durationDifferenceMs > older.durationMs,
    implausibly_fast: newer.durationMs < 100,
    success_then_failure: isSuccess(older.state) && newer.state === "failed",
    success_without_records: isSuccess(newer.state) && newer.records === 0,
  };
  return {
    recordsDifference,
    durationDifferenceMs,
    durationChangePct:
      older.durationMs === 0
        ? null
        : Math.round((durationDifferenceMs / older.durationMs) * 10_000) / 100,
    isStateChanged: older.state !== newer.state,
    rules: simpleRules.filter((rule) => holds[rule]),
  };
}
