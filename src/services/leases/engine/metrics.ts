import type { Db } from "#kernel/db/types.ts";
import type { Clock } from "#kernel/clock.ts";
import type { CounterMetric, HistogramMetric, Metrics } from "#kernel/telemetry/metrics.ts";
import { countDue } from "../store/due.ts";

/** What the service counts. */
export interface Gauges {
  readonly provisionSeconds: HistogramMetric;
  readonly expiryLagSeconds: HistogramMetric;
  readonly restarts: CounterMetric;
  readonly failures: CounterMetric;
  readonly cleanups: CounterMetric;
  readonly drift: CounterMetric;
  readonly steps: HistogramMetric;
  readonly poolClaims: CounterMetric;
  readonly refusals: CounterMetric;
}

const lagBuckets = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300];
const provisionBuckets = [0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** The service's metrics; gauges of all leases are counted by their pointers, at each scrape. */
export function createGauges(metrics: Metrics, db: Db, clock: Clock): Gauges {
  metrics.gauge("leases_active", "Leases that are not over, of all tenants", [], async (gauge) =>
    gauge.set((await countDue(db, clock)).leases),
  );
  metrics.gauge(
    "leases_overdue",
    "Leases and snapshots that should have been looked at 5 s ago",
    [],
    async (gauge) => gauge.set((await countDue(db, clock)).overdue),
  );
  return {
    provisionSeconds: metrics.histogram(
      "leases_provision_seconds",
      "From asking for a lease to its container running, or to giving up",
      ["result", "runtime"],
      provisionBuckets,
    ),
    expiryLagSeconds: metrics.histogram(
      "leases_expiry_lag_seconds",
      "From a lease's deadline to its end being decided",
      ["reason"],
      lagBuckets,
    ),
    restarts: metrics.counter("leases_restarts_total", "Containers made anew", ["kind"]),
    failures: metrics.counter("leases_failures_total", "Steps that did not work out", [
      "step",
      "code",
    ]),
    cleanups: metrics.counter("leases_cleanups_total", "Containers of ended leases", ["result"]),
    drift: metrics.counter("leases_drift_total", "Differences found by reconciling", ["kind"]),
    poolClaims: metrics.counter(
      "leases_pool_claims_total",
      "Leases of templates with a pool: served from it (hit), not (miss), or by a dead one (dead)",
      ["result"],
    ),
    refusals: metrics.counter("leases_quota_refusals_total", "What a quota did not allow", [
      "scope",
      "limit",
    ]),
    steps: metrics.histogram("leases_step_seconds", "Steps of the engine", ["step", "result"]),
  };
}
