import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createCache, estimateBytes } from "./cache.ts";
import { manualClock } from "./clock.ts";
import { createMetrics } from "./telemetry/metrics.ts";

const ada = { id: "0198f2d4-0000-7000-8000-00000000000a", isolation: "shared" } as const;
const bob = { id: "0198f2d4-0000-7000-8000-00000000000b", isolation: "dedicated" } as const;

function start(limits: { maxEntries?: number; maxBytes?: number } = {}) {
  const clock = manualClock();
  const metrics = createMetrics({ processMetrics: false });
  const cache = createCache({ clock, metrics, maxEntries: 1_000, maxBytes: 1_000_000, ...limits });
  return { clock, metrics, cache };
}

// Guards against one tenant who reads, or forgets, what another has cached.
test("tenants and areas don't see each other's keys", () => {
  const { cache } = start();
  const orders = cache.for<string>(ada, "orders");
  orders.set("k", "ada's", 1_000);
  cache.for<string>(bob, "orders").set("k", "bob's", 1_000);
  cache.for<string>("platform", "orders").set("k", "ours", 1_000);
  assert.equal(orders.get("k"), "ada's");
  assert.equal(cache.for(ada, "shops").get("k"), undefined);
  cache.for(bob, "orders").clear();
  assert.equal(cache.for(bob, "orders").get("k"), undefined);
  assert.equal(orders.get("k"), "ada's");
  assert.equal(cache.for("platform", "orders").get("k"), "ours");
  const tricky = cache.for<string>(ada, "a");
  tricky.set("b\u0000c", "x", 1_000);
  assert.equal(cache.for(ada, "a").get("b\u0000c"), "x");
  assert.throws(() => cache.for(ada, "a\u0000b"), /no cache area/);
});

// Guards against stale answers after the time that was promised.
test("an entry lives for its time to the millisecond", () => {
  const { cache, clock } = start();
  const area = cache.for<number | null>(ada, "x");
  area.set("k", 1, 5_000);
  area.set("null", null, 5_000);
  clock.advance(4_999);
  assert.equal(area.get("k"), 1);
  assert.equal(area.get("null"), null);
  clock.advance(1);
  assert.equal(area.get("k"), undefined);
  area.set("k", 1, 0);
  assert.equal(area.get("k"), undefined);
  assert.equal(cache.stats().entries, 1);
});

// Guards against a change that leaves old answers behind under the same prefix, or takes too much.
test("invalidate forgets what begins with the prefix and nothing else", () => {
  const { cache } = start();
  const area = cache.for<number>(ada, "x");
  for (const key of ["shop:1:a", "shop:1:b", "shop:10:a", "shop:2", "s"]) area.set(key, 1, 1_000);
  cache.for<number>(bob, "x").set("shop:1:a", 2, 1_000);
  assert.equal(area.invalidate("shop:1:"), 2);
  assert.equal(area.get("shop:1:a"), undefined);
  assert.equal(area.get("shop:10:a"), 1);
  assert.equal(cache.for(bob, "x").get("shop:1:a"), 2);
  assert.equal(area.delete("s"), true);
  assert.equal(area.delete("s"), false);
  area.clear();
  assert.equal(cache.stats().entries, 1);
  assert.equal(area.invalidate("nothing"), 0);
});

// Guards against a stampede on the database when an entry expires.
test("callers at the same time share one load; a failure is shared and not kept", async () => {
  const { cache } = start();
  const area = cache.for<string>(ada, "x");
  let loads = 0;
  const load = async () => {
    loads += 1;
    return "value";
  };
  const answers = await Promise.all(Array.from({ length: 50 }, () => area.fetch("k", 1_000, load)));
  assert.deepEqual(new Set(answers), new Set(["value"]));
  assert.equal(loads, 1);
  const fail = () => Promise.reject(new Error("down"));
  await assert.rejects(area.fetch("f", 1_000, fail), /down/);
  assert.equal(await area.fetch("f", 1_000, load), "value");
  await assert.rejects(cache.for<string>(bob, "x").fetch("k", 1_000, fail), /down/);
});

// Guards against the race that caches an old value after the change that made it old.
test("what is forgotten while it loads is not kept", async () => {
  const forgets = {
    delete: (area: ReturnType<typeof areaOf>) => area.delete("k:1"),
    invalidate: (area: ReturnType<typeof areaOf>) => area.invalidate("k:"),
    clear: (area: ReturnType<typeof areaOf>) => area.clear(),
    set: (area: ReturnType<typeof areaOf>) => area.set("k:1", "new", 1_000),
  };
  const areaOf = (cache: ReturnType<typeof start>["cache"]) => cache.for<string>(ada, "x");
  for (const [name, forget] of Object.entries(forgets)) {
    const { cache } = start();
    const area = areaOf(cache);
    const { promise, resolve } = Promise.withResolvers<string>();
    const first = area.fetch("k:1", 1_000, () => promise);
    await Promise.resolve();
    forget(area);
    const second = area.fetch("k:1", 1_000, async () => "new");
    resolve("old");
    assert.equal(await first, "old", name);
    assert.equal(await second, "new", name);
    assert.equal(area.get("k:1"), "new", name);
  }
});

// Guards against a cache that grows until the process dies.
test("entries and bytes stay within their limits, the least recently used go first", async () => {
  const { cache, metrics } = start({ maxEntries: 100 });
  const area = cache.for<number>(ada, "x");
  for (let at = 0; at < 1_000; at += 1) {
    area.set(`k${at}`, at, 60_000);
    area.get("k0");
  }
  assert.equal(cache.stats().entries, 100);
  assert.equal(area.get("k0"), 0);
  assert.equal(area.get("k1"), undefined);
  const { text } = await metrics.expose();
  assert.match(text, /plimsoll_cache_evictions_total 900/);
  assert.match(text, /plimsoll_cache_entries 100/);
  assert.match(text, /plimsoll_cache_requests_total\{area="x",result="hit"\} 1001/);
  const small = start({ maxBytes: 10_000 }).cache;
  const strings = small.for<string>(ada, "x");
  for (let at = 0; at < 100; at += 1) strings.set(`k${at}`, "x".repeat(400), 60_000);
  assert.ok(small.stats().estimatedBytes <= 10_000);
  assert.ok(small.stats().entries >= 8);
  strings.set("huge", "x".repeat(20_000), 60_000);
  assert.equal(strings.get("huge"), undefined, "what doesn't fit at all is not kept");
});

// Guards against an estimate that a large or cyclic value sends into an endless walk.
test("bytes are estimated in bounded time", () => {
  assert.ok(estimateBytes("x".repeat(1_000)) >= 2_000);
  assert.ok(estimateBytes(Buffer.alloc(5_000)) >= 5_000);
  assert.ok(estimateBytes(Array.from({ length: 100_000 }, () => "abcd")) > 1_000_000);
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  assert.ok(estimateBytes(cyclic) > 0);
});

// Guards against any order of calls in which the cache answers what was never set, or keeps what is
// gone.
test("the cache behaves like a map with expiry, whatever is done in whatever order", () => {
  const command = fc.record({
    what: fc.constantFrom("set", "get", "delete", "invalidate", "clear", "advance"),
    tenant: fc.constantFrom(ada, bob),
    key: fc.constantFrom("a", "a:1", "a:2", "b", "ab"),
    ms: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const { cache, clock } = start();
      const model = new Map<string, { value: number; untilMs: number }>();
      for (const [at, { what, tenant, key, ms }] of commands.entries()) {
        const area = cache.for<number>(tenant, "x");
        const full = `${tenant.id}${key}`;
        const gone = (prefix: string) => {
          for (const one of model.keys())
            if (one.startsWith(`${tenant.id}${prefix}`)) model.delete(one);
        };
        if (what === "advance") clock.advance(ms);
        if (what === "delete") area.delete(key);
        if (what === "delete") model.delete(full);
        if (what === "clear") area.clear();
        if (what === "clear") gone("");
        if (what === "invalidate") area.invalidate(key);
        if (what === "invalidate") gone(key);
        if (what === "set") area.set(key, at, ms);
        if (what === "set") model.set(full, { value: at, untilMs: clock.monotonicMs() + ms });
        const known = model.get(full);
        const expected = known && known.untilMs > clock.monotonicMs() ? known.value : undefined;
        assert.equal(area.get(key), expected);
      }
    }),
    { numRuns: 300 },
  );
});
