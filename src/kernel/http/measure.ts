import type { Metrics } from "../telemetry/metrics.ts";

/** What is counted of one route; made at boot, so that a request only adds numbers. */
export interface RouteStats {
  readonly method: string;
  readonly route: string;
  readonly statuses: Map<number, number>;
  /** Requests by the first bound that they were within; the last one counts the rest. */
  readonly buckets: Float64Array;
  sumSeconds: number;
}

const boundsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface RequestMeter {
  route(method: string, route: string): RouteStats;
  record(stats: RouteStats, status: number, durationMs: number): void;
}

/**
 * Counts requests and their durations by route template: `plimsoll_http_requests_total` and
 * `plimsoll_http_request_duration_seconds`. Kept in plain arrays that prom-client reads when
 * somebody scrapes: its own counters sort and join labels for every request, which costs
 * microseconds.
 */
export function createRequestMeter(metrics: Metrics): RequestMeter {
  const all = new Map<string, RouteStats>();
  const register = (metric: object) =>
    metrics.registry.registerMetric(metric as Parameters<Metrics["registry"]["registerMetric"]>[0]);
  register(
    collected("plimsoll_http_requests_total", "Requests answered.", "counter", () =>
      [...all.values()].flatMap((stats) => counts(stats)),
    ),
  );
  register(
    collected("plimsoll_http_request_duration_seconds", "Time to answer.", "histogram", () =>
      [...all.values()].flatMap((stats) => durations(stats)),
    ),
  );
  return {
    route(method, route) {
      const name = `${method} ${route}`;
      let stats = all.get(name);
      if (!stats) {
        stats = {
          method,
          route,
          statuses: new Map(),
          buckets: new Float64Array(boundsSeconds.length + 1),
          sumSeconds: 0,
        };
        all.set(name, stats);
      }
      return stats;
    },
    record(stats, status, durationMs) {
      const seconds = durationMs / 1_000;
      stats.statuses.set(status, (stats.statuses.get(status) ?? 0) + 1);
      stats.sumSeconds += seconds;
      let bucket = 0;
      while (bucket < boundsSeconds.length && seconds > (boundsSeconds[bucket] as number))
        bucket += 1;
      (stats.buckets[bucket] as number) += 1;
    },
  };
}

interface Sample {
  metricName: string;
  labels: Record<string, string | number>;
  value: number;
}

/** A metric as prom-client's registry reads it, whose samples are made when it does. */
function collected(name: string, help: string, type: string, samples: () => Sample[]): object {
  const read = async () => ({ name, help, type, aggregator: "sum", values: samples() });
  return { name, help, type, aggregator: "sum", get: read, getForPromString: read, reset() {} };
}

function counts({ method, route, statuses }: RouteStats): Sample[] {
  return [...statuses].map(([status, value]) => ({
    metricName: "plimsoll_http_requests_total",
    labels: { method, route, status },
    value,
  }));
}

function durations({ method, route, buckets, sumSeconds }: RouteStats): Sample[] {
  const metricName = "plimsoll_http_request_duration_seconds";
  const labels = { method, route };
  let total = 0;
  const samples: Sample[] = [...buckets].map((count, index) => {
    total += count;
    const le = boundsSeconds[index] ?? "+Inf";
    return { metricName: `${metricName}_bucket`, labels: { ...labels, le }, value: total };
  });
  if (total === 0) return [];
  return [
    ...samples,
    { metricName: `${metricName}_sum`, labels, value: sumSeconds },
    { metricName: `${metricName}_count`, labels, value: total },
  ];
}
