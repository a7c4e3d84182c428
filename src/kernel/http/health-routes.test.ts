import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../clock.ts";
import { createHealth } from "../telemetry/health.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { testHttp } from "./fixture.ts";
import { startMetricsServer } from "./health-routes.ts";

const none = () => {};

// Guards against a probe that kills a process because something beside it is ill.
test("health asks nothing, readiness asks everything and tells it by name", async (t) => {
  const clock = manualClock();
  const health = createHealth({ clock, log: createLogger({ level: "silent" }), maxAgeMs: 0 });
  let asked = 0;
  let down = false;
  const check = async () => {
    asked += 1;
    if (down)
      throw Object.assign(new Error("connect to 10.0.0.5 failed"), { code: "ECONNREFUSED" });
  };
  health.register("postgresql", { required: true, timeoutMs: 100, check });
  health.register("redis", {
    required: false,
    timeoutMs: 100,
    check: async () => Promise.reject(new Error("no")),
  });
  const { app } = testHttp(t, none, { clock, options: { health } });
  const alive = await app.inject("/health");
  assert.deepEqual([alive.statusCode, alive.payload, asked], [200, '{"status":"ok"}', 0]);
  const ready = await app.inject("/ready");
  assert.equal(ready.statusCode, 200);
  assert.equal(ready.json().status, "ready");
  assert.equal(ready.json().dependencies.postgresql.ok, true);
  assert.equal(ready.json().dependencies.redis.ok, false);
  down = true;
  const unready = await app.inject("/ready");
  assert.deepEqual([unready.statusCode, unready.json().status], [503, "not_ready"]);
  assert.equal(unready.json().dependencies.postgresql.error, "ECONNREFUSED");
  assert.ok(!unready.payload.includes("10.0.0.5"));
  down = false;
  health.setStopping();
  const stopping = await app.inject("/ready");
  assert.deepEqual([stopping.statusCode, stopping.json().stopping], [503, true]);
  assert.equal((await app.inject("/health")).statusCode, 200);
});

// Guards against strangers who read a tenant's traffic off the counters.
test("metrics are for who has the token, or for this machine while developing", async (t) => {
  const ask = async (
    config: { metricsToken?: string; env?: "production" | "development" },
    remoteAddress: string,
    headers: Record<string, string> = {},
  ) => {
    const { app } = testHttp(t, none, { config });
    return (await app.inject({ url: "/metrics", remoteAddress, headers })).statusCode;
  };
  const token = { metricsToken: "a-long-metrics-token" };
  const bearer = { authorization: "Bearer a-long-metrics-token" };
  assert.equal(await ask(token, "192.0.2.1", bearer), 200);
  assert.equal(await ask(token, "127.0.0.1"), 401, "not even for this machine");
  for (const authorization of [
    "Bearer ",
    "Bearer a-long-metrics-toke",
    "a-long-metrics-token",
    "Basic a-long-metrics-token",
  ]) {
    assert.equal(await ask(token, "127.0.0.1", { authorization }), 401, authorization);
  }
  for (const local of ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.9.1"]) {
    assert.equal(await ask({ env: "development" }, local), 200, local);
    assert.equal(await ask({ env: "production" }, local), 404, local);
  }
  for (const far of ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"]) {
    assert.equal(await ask({ env: "development" }, far), 404, far);
  }
  const forwarded = { "x-forwarded-for": "127.0.0.1" };
  assert.equal(
    await ask({ env: "development" }, "127.0.0.1", forwarded),
    404,
    "a proxy is near, its client isn't",
  );
});

// Guards against counters by address, which grow without end, and requests that aren't counted.
test("requests are counted by route and status", async (t) => {
  const http = testHttp(t, none);
  for (const url of ["/health", "/health", "/nothing/1", "/nothing/2", "/metrics"])
    await http.app.inject(url);
  const { payload, headers } = await http.app.inject("/metrics");
  assert.match(String(headers["content-type"]), /^text\/plain; version=0\.0\.4/);
  assert.match(
    payload,
    /^plimsoll_http_requests_total\{method="GET",route="\/health",status="200"\} 2$/m,
  );
  assert.match(
    payload,
    /^plimsoll_http_requests_total\{method="any",route="unmatched",status="404"\} 2$/m,
  );
  assert.match(
    payload,
    /^plimsoll_http_request_duration_seconds_bucket\{method="GET",route="\/health",le="10"\} 2$/m,
  );
  assert.match(
    payload,
    /^plimsoll_http_request_duration_seconds_count\{method="GET",route="\/health"\} 2$/m,
  );
  assert.match(payload, /^# TYPE plimsoll_http_request_duration_seconds histogram$/m);
  assert.ok(!payload.includes("nothing"));
});

// Guards against a metrics port that serves, or tells, anything else, and against a worker, which
// has no other port, that nothing can probe.
test("metrics and health may have a port of their own", async (t) => {
  const health = createHealth({
    clock: manualClock(),
    log: createLogger({ level: "silent" }),
    maxAgeMs: 0,
  });
  const server = await startMetricsServer(
    { metrics: createMetrics(), health },
    { host: "127.0.0.1", port: 0, metricsToken: "tok" },
  );
  t.after(() => server.stop());
  const ask = (path: string, headers = {}, method = "GET") =>
    fetch(`http://127.0.0.1:${server.port}${path}`, { headers, method });
  const authorization = "Bearer tok";
  const good = await ask("/metrics", { authorization });
  assert.match(await good.text(), /plimsoll_/);
  const { status, headers } = await ask("/metrics", { authorization }, "HEAD");
  assert.deepEqual([status, headers.get("content-type")], [200, good.headers.get("content-type")]);
  assert.equal((await ask("/metrics")).status, 401);
  assert.equal((await ask("/", { authorization })).status, 404);
  assert.equal((await ask("/metrics", { authorization }, "POST")).status, 405);
  assert.deepEqual(await (await ask("/health")).json(), { status: "ok" });
  assert.equal((await ask("/ready")).status, 200);
  health.setStopping();
  const stopping = await ask("/ready");
  assert.deepEqual(
    [stopping.status, await stopping.json()],
    [503, { status: "not_ready", stopping: true, dependencies: {} }],
  );
});
