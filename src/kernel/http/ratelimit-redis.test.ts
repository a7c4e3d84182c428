import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { systemClock } from "../clock.ts";
import { seededRandom } from "../random.ts";
import { createPolicies, type Policies } from "../resilience/policies.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { drill } from "../testing/faults.ts";
import { requireService } from "../testing/services.ts";
import { type RedisBuckets, redisBuckets } from "./ratelimit-redis.ts";
import { type Limit, localBuckets } from "./ratelimit.ts";

interface Proxy {
  url: string;
  /** "hold" takes bytes and passes nothing on, as a stopped Redis would. */
  manner: "pass" | "hold" | "refuse";
  cut(): void;
}

/** A way to Redis that can be made to fail. */
async function startProxy(t: TestContext, target: string): Promise<Proxy> {
  const to = new URL(target);
  const sockets = new Set<Socket>();
  const proxy: Proxy = {
    url: "",
    manner: "pass",
    cut: () => sockets.forEach((one) => one.destroy()),
  };
  const server = createServer((inside) => {
    if (proxy.manner === "refuse") return inside.destroy();
    const outside = connect({ host: to.hostname, port: Number(to.port) || 6379 });
    for (const [from, other] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      sockets.add(from);
      from.on("data", (bytes) => {
        if (proxy.manner === "pass") other.write(bytes);
      });
      from.on("error", () => from.destroy());
      from.on("close", () => other.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy.url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(() => {
    proxy.cut();
    server.close();
  });
  return proxy;
}

const log = createLogger({ level: "silent" });
const limit: Limit = { name: "tenant", perMinute: 600, burst: 10 };

async function ready(buckets: RedisBuckets): Promise<void> {
  const key = `ready-${process.pid}`;
  for (let n = 0; n < 200 && !buckets.shared(); n += 1) {
    await buckets.take(key, { ...limit, perMinute: 1e9, burst: 1e9 });
    await systemClock.sleep(20);
  }
  assert.ok(buckets.shared());
}

interface Started extends RedisBuckets {
  policies: Policies;
  /** How Redis's breaker stands. */
  state(): string | undefined;
}

function start(t: TestContext, url: string, point?: string): Started {
  const clock = systemClock;
  const metrics = createMetrics({ processMetrics: false });
  const around = { clock, log, metrics, random: seededRandom(clock, 1) };
  const policies = createPolicies(around);
  const faults = point === undefined ? {} : { faults: drill(around, point) };
  const options = { local: localBuckets(clock), clock, log, policies, ...faults };
  const buckets = redisBuckets(url, options);
  t.after(() => buckets.close());
  const state = () => policies.list().find(({ name }) => name === "redis")?.state;
  return { ...buckets, policies, state };
}

async function passed(buckets: RedisBuckets, key: string, times: number): Promise<number> {
  const verdicts = await Promise.all(
    Array.from({ length: times }, async () => buckets.take(key, limit)),
  );
  return verdicts.filter(({ allowed }) => allowed).length;
}

// Guards against replicas that each give the whole limit away.
test("two processes share one bucket, which gives no more than it holds", async (t) => {
  const url = await requireService(t, "redis");
  if (url === null) return;
  const [one, two] = [start(t, url), start(t, url)];
  await Promise.all([ready(one), ready(two)]);
  const key = `shared-${process.pid}-${systemClock.nowMs()}`;
  const startedMs = systemClock.monotonicMs();
  const [a, b] = await Promise.all([passed(one, key, 30), passed(two, key, 30)]);
  const refilled = Math.ceil((systemClock.monotonicMs() - startedMs) / 100);
  assert.ok(a + b >= 10 && a + b <= 10 + refilled, `${a} and ${b}, ${refilled} refilled`);
  const next = await one.take(key, limit);
  assert.ok(next.remaining <= 1 && next.fullInMs > 500);
});

// Guards against a dead Redis that stops requests, or opens the gates, or stays dead for us.
test("a dead Redis makes buckets local at once, never open, and comes back", async (t) => {
  const url = await requireService(t, "redis");
  if (url === null) return;
  const proxy = await startProxy(t, url);
  const buckets = start(t, proxy.url);
  await ready(buckets);
  const key = `dead-${process.pid}-${systemClock.nowMs()}`;

  proxy.manner = "hold";
  const heldMs = systemClock.monotonicMs();
  assert.equal(await passed(buckets, `${key}-held`, 30), 10, "local buckets limit as well");
  assert.ok(systemClock.monotonicMs() - heldMs < 500);
  const restMs = systemClock.monotonicMs();
  for (let n = 0; n < 100; n += 1) await buckets.take(`${key}-rest`, limit);
  assert.ok(systemClock.monotonicMs() - restMs < 100, "and nobody waits for it any more");
  assert.ok(!buckets.shared());
  assert.equal(buckets.state(), "OPEN");

  proxy.manner = "refuse";
  proxy.cut();
  assert.equal(await passed(buckets, `${key}-refused`, 30), 10);

  proxy.manner = "pass";
  await ready(buckets);
  assert.equal(buckets.state(), "CLOSED");
  assert.ok((await passed(buckets, `${key}-back`, 30)) <= 13);
});

// Guards against a server that can't start, or waits, because Redis was never there.
test("without Redis from the start, buckets are local from the start", async (t) => {
  const buckets = start(t, "redis://127.0.0.1:1");
  // Answered at once, not when a connection attempt has failed.
  const verdict = buckets.take("y", { name: "test", perMinute: 10, burst: 10 });
  assert.ok(!(verdict instanceof Promise));
  assert.equal(await passed(buckets, "x", 30), 10);
});

// Guards against an operator who can't take Redis out of use, or can't give it back.
test("an isolated Redis is not asked, and is again after the reset", async (t) => {
  const url = await requireService(t, "redis");
  if (url === null) return;
  const buckets = start(t, url);
  await ready(buckets);
  buckets.policies.isolate("redis");
  const verdict = buckets.take("isolated", limit);
  assert.ok(!(verdict instanceof Promise), "nobody waits");
  assert.equal(await passed(buckets, `isolated-${process.pid}`, 30), 10);
  buckets.policies.reset("redis");
  await ready(buckets);
});

// Guards against one bad moment of Redis that fails a request, or opens the gates.
test("redis.command: an injected fault makes limits local, and no request fails", async (t) => {
  const url = await requireService(t, "redis");
  if (url === null) return;
  const buckets = start(t, url, "redis.command");
  const startedMs = systemClock.monotonicMs();
  while (buckets.state() !== "OPEN") {
    assert.equal((await buckets.take(`fault-${process.pid}`, limit)).allowed, true);
    assert.ok(systemClock.monotonicMs() - startedMs < 10_000);
    await systemClock.sleep(20);
  }
  assert.equal(await passed(buckets, `fault-${process.pid}-${startedMs}`, 30), 10);
  await ready(buckets);
});

/** A Redis of this test's own, to be killed; null where none is installed. */
async function ownRedis(t: TestContext, port: number): Promise<ChildProcess | null> {
  const args = ["--port", String(port), "--save", "", "--bind", "127.0.0.1"];
  const child = spawn("redis-server", args, { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const started = await Promise.race([
    once(child, "spawn").then(() => true),
    once(child, "error").then(() => false),
  ]);
  return started ? child : null;
}

// Guards against requests that wait for a Redis whose process is gone, each for itself.
test("killed, Redis costs no request any time, and its breaker shows it", async (t) => {
  if ((await requireService(t, "redis")) === null) return;
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  const redis = await ownRedis(t, port);
  if (!redis) return t.skip("needs redis-server in PATH");
  const buckets = start(t, `redis://127.0.0.1:${port}`);
  await ready(buckets);
  redis.kill("SIGKILL");
  await once(redis, "close");
  const startedMs = systemClock.monotonicMs();
  for (let n = 0; n < 200; n += 1) await buckets.take("killed", limit);
  assert.ok(systemClock.monotonicMs() - startedMs < 100);
  for (let n = 0; n < 100 && buckets.state() !== "OPEN"; n += 1) await systemClock.sleep(20);
  assert.equal(buckets.state(), "OPEN");
  assert.ok(!buckets.shared());
  await ownRedis(t, port);
  await ready(buckets);
  assert.equal(buckets.state(), "CLOSED");
});
