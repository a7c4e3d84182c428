import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export type Labels = Readonly<Record<string, string | number>>;

export interface CounterMetric {
  inc(labels?: Labels, by?: number): void;
}

export interface GaugeMetric {
  set(labels: Labels, value: number): void;
  set(value: number): void;
  inc(labels?: Labels, by?: number): void;
  dec(labels?: Labels, by?: number): void;
  /** Forgets one label set, such as that of a queue that is gone. */
  remove(labels: Labels): void;
  reset(): void;
}

export interface HistogramMetric {
  observe(labels: Labels, value: number): void;
  observe(value: number): void;
}

export type Collect = (gauge: GaugeMetric) => void | Promise<void>;

/**
 * What this process counts, for Prometheus. Names get the prefix `plimsoll_`; asking twice for a
 * name answers the same metric. Durations are in seconds, sizes in bytes, counters end in `_total`.
 */
export interface Metrics {
  readonly registry: Registry;
  counter(name: string, help: string, labels?: readonly string[]): CounterMetric;
  /** `collect` sets the gauge when somebody scrapes, instead of whenever it changes. */
  gauge(name: string, help: string, labels?: readonly string[], collect?: Collect): GaugeMetric;
  histogram(
    name: string,
    help: string,
    labels?: readonly string[],
    buckets?: readonly number[],
  ): HistogramMetric;
  /** The text that a scrape is answered with, and its content type. */
  expose(): Promise<{ contentType: string; text: string }>;
}

export interface MetricsOptions {
  /** Memory, CPU, garbage collection and event loop of the process; true by default. */
  processMetrics?: boolean;
  /** Label sets per metric before further ones are counted under "other"; 2,000 by default. */
  maxSeriesPerMetric?: number;
}

const prefix = "plimsoll_";
/** From 1 ms to 10 s, with 200 and 500 ms among them because alerts and promises name those. */
const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10];
const noLabels: Labels = Object.freeze({});

/** The label sets that a metric has, at most so many. */
interface Series {
  fit(labels: Labels): Labels;
  forget(labels: Labels): void;
  forgetAll(): void;
}

interface Created {
  kind: "counter" | "gauge" | "histogram";
  labels: string;
  metric: unknown;
  collectors: Collect[];
}

/**
 * Keeps a metric's label sets bounded: a label that somebody fills from outside would otherwise
 * grow memory and the scrape without limit. Label sets past the limit share one, all of whose
 * values are "other".
 */
function boundSeries(names: readonly string[], maxSeries: number, onDropped: () => void): Series {
  const seen = new Set<string>();
  const other: Labels = Object.fromEntries(names.map((name) => [name, "other"]));
  const keyOf = (labels: Labels) => {
    let key = "";
    for (const name of names) key += `${labels[name] ?? ""}\u0000`;
    return key;
  };
  return {
    fit(labels) {
      if (names.length === 0) return noLabels;
      const key = keyOf(labels);
      if (seen.has(key)) return labels;
      if (seen.size >= maxSeries) {
        onDropped();
        return other;
      }
      seen.add(key);
      return labels;
    },
    forget: (labels) => void seen.delete(keyOf(labels)),
    forgetAll: () => seen.clear(),
  };
}

function counterOf(counter: Counter, series: Series): CounterMetric {
  return { inc: (labels = noLabels, by = 1) => counter.inc(series.fit(labels), by) };
}

function gaugeOf(gauge: Gauge, series: Series): GaugeMetric {
  return {
    set(labels: Labels | number, value?: number) {
      if (typeof labels === "number") gauge.set(labels);
      else gauge.set(series.fit(labels), value as number);
    },
    inc: (labels = noLabels, by = 1) => gauge.inc(series.fit(labels), by),
    dec: (labels = noLabels, by = 1) => gauge.dec(series.fit(labels), by),
    remove(labels) {
      gauge.remove(labels);
      series.forget(labels);
    },
    reset() {
      gauge.reset();
      series.forgetAll();
    },
  };
}

/** One gauge that can't be collected must not spoil the scrape of all others. */
async function collectAll(collectors: readonly Collect[], gauge: GaugeMetric, failed: () => void) {
  for (const collect of collectors) {
    try {
      await collect(gauge);
    } catch {
      failed();
    }
  }
}

function histogramOf(histogram: Histogram, series: Series): HistogramMetric {
  return {
    observe(labels: Labels | number, value?: number) {
      if (typeof labels === "number") histogram.observe(labels);
      else histogram.observe(series.fit(labels), value as number);
    },
  };
}

/** A registry of its own, so that two servers in one process don't share counts. */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  const { processMetrics = true, maxSeriesPerMetric = 2_000 } = options;
  if (processMetrics) collectDefaultMetrics({ register: registry, prefix });
  const registers = [registry];
  const dropped = new Counter({
    name: `${prefix}metrics_dropped_series_total`,
    help: "Observations counted under other because a metric had too many label sets",
    labelNames: ["metric"],
    registers,
  });
  const failed = new Counter({
    name: `${prefix}metrics_collect_failures_total`,
    help: "Gauges that could not be collected at a scrape",
    labelNames: ["metric"],
    registers,
  });
  const created = new Map<string, Created>();

  const once = <T>(
    kind: Created["kind"],
    name: string,
    labels: readonly string[],
    make: (series: Series, collectors: Collect[]) => T,
  ): Created => {
    const names = [...labels].sort().join(",");
    const existing = created.get(name);
    if (existing) {
      if (existing.kind === kind && existing.labels === names) return existing;
      throw new Error(`The metric ${name} exists as a ${existing.kind} of (${existing.labels})`);
    }
    const series = boundSeries(labels, maxSeriesPerMetric, () => dropped.inc({ metric: name }));
    const collectors: Collect[] = [];
    const metric = { kind, labels: names, metric: make(series, collectors), collectors };
    created.set(name, metric);
    return metric;
  };

  return {
    registry,
    counter: (name, help, labels = []) =>
      once("counter", name, labels, (series) => {
        const config = { name: `${prefix}${name}`, help, labelNames: [...labels], registers };
        return counterOf(new Counter(config), series);
      }).metric as CounterMetric,
    gauge(name, help, labels = [], collect) {
      const gauge = once("gauge", name, labels, (series, collectors) => {
        const config = { name: `${prefix}${name}`, help, labelNames: [...labels], registers };
        const onScrape = () => collectAll(collectors, made, () => failed.inc({ metric: name }));
        const made: GaugeMetric = gaugeOf(new Gauge({ ...config, collect: onScrape }), series);
        return made;
      });
      if (collect) gauge.collectors.push(collect);
      return gauge.metric as GaugeMetric;
    },
    histogram: (name, help, labels = [], buckets = durationBuckets) =>
      once("histogram", name, labels, (series) => {
        const config = { name: `${prefix}${name}`, help, labelNames: [...labels], registers };
        return histogramOf(new Histogram({ ...config, buckets: [...buckets] }), series);
      }).metric as HistogramMetric,
    expose: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
