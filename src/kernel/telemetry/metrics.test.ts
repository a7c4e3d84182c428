import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics } from "./metrics.ts";

const plain = (maxSeriesPerMetric?: number) =>
  createMetrics({ processMetrics: false, maxSeriesPerMetric });

function valueOf(text: string, series: string): number | undefined {
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

// Guards against dashboards and alerts that name a metric which nobody exports.
test("counters, gauges and histograms are exposed under the plimsoll_ prefix", async () => {
  const metrics = plain();
  metrics.counter("orders_total", "Orders", ["state"]).inc({ state: "paid" });
  metrics.counter("orders_total", "Orders", ["state"]).inc({ state: "paid" }, 2);
  metrics.counter("plain_total", "Plain").inc();
  const gauge = metrics.gauge("queue_size", "Queue");
  gauge.set(5);
  gauge.inc();
  gauge.dec({}, 2);
  metrics.gauge("pool", "Pool", ["state"], (pool) => pool.set({ state: "idle" }, 7));
  metrics.histogram("took_seconds", "Took", ["route"]).observe({ route: "/a" }, 0.15);
  metrics.histogram("alone_seconds", "Alone").observe(3);
  const { text, contentType } = await metrics.expose();
  assert.match(contentType, /^text\/plain/);
  assert.equal(valueOf(text, 'plimsoll_orders_total{state="paid"}'), 3);
  assert.equal(valueOf(text, "plimsoll_plain_total"), 1);
  assert.equal(valueOf(text, "plimsoll_queue_size"), 4);
  assert.equal(valueOf(text, 'plimsoll_pool{state="idle"}'), 7);
  assert.equal(valueOf(text, 'plimsoll_took_seconds_bucket{le="0.1",route="/a"}'), 0);
  assert.equal(valueOf(text, 'plimsoll_took_seconds_bucket{le="0.2",route="/a"}'), 1);
  assert.equal(valueOf(text, "plimsoll_alone_seconds_count"), 1);
});

// Guards against two parts of the program that count different things under one name.
test("a name belongs to one kind and one set of labels", () => {
  const metrics = plain();
  metrics.counter("x_total", "X", ["a", "b"]);
  assert.equal(
    metrics.counter("x_total", "X", ["b", "a"]),
    metrics.counter("x_total", "X", ["a", "b"]),
  );
  assert.throws(() => metrics.counter("x_total", "X", ["a"]), /exists as a counter of \(a,b\)/);
  assert.throws(() => metrics.gauge("x_total", "X", ["a", "b"]), /exists as a counter/);
});

// Guards against a caller who fills memory by making up label values.
test("label sets past the limit are counted under other, and the loss is counted", async () => {
  const metrics = plain(10);
  const counter = metrics.counter("paths_total", "Paths", ["path"]);
  for (let at = 0; at < 1_000; at += 1) counter.inc({ path: `/${at}` });
  counter.inc({ path: "/3" });
  const { text } = await metrics.expose();
  const series = text.split("\n").filter((line) => line.startsWith("plimsoll_paths_total{"));
  assert.equal(series.length, 11);
  assert.equal(valueOf(text, 'plimsoll_paths_total{path="/3"}'), 2);
  assert.equal(valueOf(text, 'plimsoll_paths_total{path="other"}'), 990);
  assert.equal(valueOf(text, 'plimsoll_metrics_dropped_series_total{metric="paths_total"}'), 990);
});

// Guards against a gauge that is filled anew at each scrape and drowns in label sets of the past.
test("a gauge that is reset may have other label sets each time", async () => {
  const metrics = plain(5);
  const gauge = metrics.gauge("tenants", "Tenants", ["tenant"]);
  for (let round = 0; round < 10; round += 1) {
    gauge.reset();
    for (let at = 0; at < 5; at += 1) gauge.set({ tenant: `${round}-${at}` }, 1);
    gauge.remove({ tenant: `${round}-0` });
    gauge.set({ tenant: `${round}-new` }, 1);
  }
  const { text } = await metrics.expose();
  assert.ok(!text.includes('"other"'));
  assert.equal(text.match(/^plimsoll_tenants\{/gm)?.length, 5);
});

// Guards against one broken gauge that takes all monitoring down.
test("a gauge that can't be collected does not spoil the scrape", async () => {
  const metrics = plain();
  metrics.gauge("broken", "Broken", [], () => Promise.reject(new Error("no database")));
  metrics.gauge("fine", "Fine", [], (gauge) => gauge.set(1));
  const { text } = await metrics.expose();
  assert.equal(valueOf(text, "plimsoll_fine"), 1);
  const { text: next } = await metrics.expose();
  assert.ok((valueOf(next, 'plimsoll_metrics_collect_failures_total{metric="broken"}') ?? 0) >= 1);
});

// Guards against an alert on event loop lag or memory that can never fire.
test("the process's own metrics are there", async () => {
  const { text } = await createMetrics().expose();
  for (const name of [
    "plimsoll_nodejs_eventloop_lag_seconds",
    "plimsoll_nodejs_eventloop_lag_p99_seconds",
    "plimsoll_process_resident_memory_bytes",
    "plimsoll_process_cpu_seconds_total",
    "plimsoll_nodejs_heap_size_used_bytes",
    "plimsoll_process_open_fds",
  ]) {
    assert.notEqual(valueOf(text, name), undefined, name);
  }
});
