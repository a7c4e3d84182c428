import type { Metrics } from "#kernel/telemetry/metrics.ts";
import type { LevelName } from "../rules/history.ts";
import type { Engines } from "./registry.ts";
import type { EngineAnswer, EngineAsk } from "./types.ts";

/** One request that was answered. */
export interface Measured {
  readonly level: LevelName;
  readonly op: EngineAsk["op"];
  readonly answer: EngineAnswer;
  readonly tookMs: number;
}

/** What this service counts. */
export interface Gauges {
  asked(mode: "CP" | "AP", measured: Measured): void;
  checked(status: "ok" | "violation" | "unknown"): void;
  injected(kind: string): void;
}

const breakerLevels = { closed: 0, "half-open": 1, open: 2 } as const;

/** Metrics by mode, level and operation; a replica's by its place in its store, never by tenant. */
export function createGauges(metrics: Metrics, engines: () => Engines): Gauges {
  const requests = metrics.counter("consistency_requests_total", "Requests to stores.", [
    "mode",
    "level",
    "operation",
    "status",
  ]);
  const durations = metrics.histogram(
    "consistency_request_duration_seconds",
    "How long stores took to answer.",
    ["mode", "level", "operation"],
  );
  const failures = metrics.counter(
    "consistency_connection_failures_total",
    "Requests whose end nobody heard.",
    ["mode"],
  );
  const verdicts = metrics.counter("consistency_verdicts_total", "Checked histories.", ["status"]);
  const faults = metrics.counter("consistency_faults_total", "Faults that were injected.", [
    "kind",
  ]);
  metrics.gauge("consistency_open_stores", "Stores that are open in this process.", [], (gauge) =>
    gauge.set(engines().opened().length),
  );
  const staleness = metrics.gauge(
    "consistency_replica_staleness_seconds",
    "How far the stalest replica of a name is behind.",
    ["replica"],
  );
  metrics.gauge(
    "consistency_breaker_state",
    "Of replicas of a name the worst: 0 closed, 1 half-open, 2 open.",
    ["replica"],
    async (gauge) => {
      gauge.reset();
      staleness.reset();
      const worst = new Map<string, number>();
      const stalest = new Map<string, number>();
      for (const { store } of engines().opened()) {
        for (const { name, breaker, stalenessMs } of await store.engine.status()) {
          worst.set(name, Math.max(worst.get(name) ?? 0, breakerLevels[breaker.state]));
          stalest.set(name, Math.max(stalest.get(name) ?? 0, (stalenessMs ?? 0) / 1_000));
        }
      }
      for (const [replica, state] of worst) gauge.set({ replica }, state);
      for (const [replica, seconds] of stalest) staleness.set({ replica }, seconds);
    },
  );
  return {
    asked(mode, { level, op: operation, answer, tookMs }) {
      requests.inc({ mode, level, operation, status: answer.status });
      durations.observe({ mode, level, operation }, tookMs / 1_000);
      if (answer.status === "unknown") failures.inc({ mode });
    },
    checked: (status) => verdicts.inc({ status }),
    injected: (kind) => faults.inc({ kind }),
  };
}
