import type { Metrics } from "../telemetry/metrics.ts";
import type { BreakerState } from "./breaker.ts";

export type Outcome =
  | "success"
  | "failure"
  | "timeout"
  | "broken"
  | "overloaded"
  | "cancelled"
  | "refused";

const stateValues: Record<BreakerState, number> = { CLOSED: 0, HALF_OPEN: 1, OPEN: 2, ISOLATED: 3 };

/** What policies tell the metrics; `dependency` is a policy's name, or its group's. */
export interface Instruments {
  state(dependency: string, state: BreakerState): void;
  call(dependency: string, outcome: Outcome, durationMs: number): void;
  retried(dependency: string): void;
}

/**
 * The metrics of policies. Members of a group have no series of their own, since others choose
 * their names; `groups` counts them when somebody scrapes.
 */
export function createInstruments(
  metrics: Metrics,
  groups: () => Iterable<{ group: string; state: BreakerState }>,
): Instruments {
  const state = metrics.gauge(
    "breaker_state",
    "State of a dependency's breaker: 0 closed, 1 half-open, 2 open, 3 isolated",
    ["dependency"],
  );
  metrics.gauge(
    "breaker_group_size",
    "Breakers of a group, such as one for each host, by state",
    ["group", "state"],
    (gauge) => {
      gauge.reset();
      for (const { group, state: one } of groups()) gauge.inc({ group, state: one });
    },
  );
  const calls = metrics.counter("dependency_calls_total", "Calls to dependencies", [
    "dependency",
    "outcome",
  ]);
  const duration = metrics.histogram("dependency_call_duration_seconds", "Calls with retries", [
    "dependency",
  ]);
  const retries = metrics.counter("dependency_retries_total", "Repeated calls", ["dependency"]);
  return {
    state: (dependency, value) => state.set({ dependency }, stateValues[value]),
    call(dependency, outcome, durationMs) {
      calls.inc({ dependency, outcome });
      duration.observe({ dependency }, durationMs / 1_000);
    },
    retried: (dependency) => retries.inc({ dependency }),
  };
}
