import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { manualClock } from "../clock.ts";
import { identityErrors } from "../identity/errors.ts";
import { tenantA, testCaller, testHttp } from "./fixture.ts";
import { addressKey, judge, type Limit, localBuckets, type Verdict } from "./ratelimit.ts";
import { strict } from "./schemas.ts";
import type { App } from "./types.ts";

const response = { 200: strict({}) };

function routes(app: App): void {
  app.get(
    "/mine",
    { schema: { summary: "x", response }, config: { permission: "thing:read" } },
    () => ({}),
  );
  app.get("/open", { schema: { summary: "x", response }, config: { public: true } }, () => ({}));
}

// Guards against limits that drift: more than promised passes, or less.
test("in the long run exactly the rate passes, whatever the pace of asking", () => {
  for (const stepMs of [1, 3, 7, 250]) {
    const clock = manualClock();
    const buckets = localBuckets(clock);
    const limit: Limit = { name: "tenant", perMinute: 6_000, burst: 6_000 };
    const take = () => (buckets.take("a", limit) as Verdict).allowed;
    for (let n = 0; n < 6_000; n += 1) assert.ok(take());
    assert.ok(!take(), "the burst is used up");
    let passed = 0;
    for (let ms = 0; ms < 120_000; ms += stepMs) {
      clock.advance(stepMs);
      while (take()) passed += 1;
    }
    assert.ok(Math.abs(passed - 12_000) <= 12, `${passed} of 12000 at a step of ${stepMs} ms`);
  }
});

// Guards against arithmetic that lets more than the burst through, or never lets anything through.
test("a bucket never gives more than its burst at once, and always what it says remains", () => {
  const limits = fc.record({
    name: fc.constant("x"),
    perMinute: fc.integer({ min: 1, max: 1_000_000_000 }),
    burst: fc.integer({ min: 1, max: 2_000 }),
  });
  fc.assert(
    fc.property(
      limits,
      fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 10 }),
      (limit, pauses) => {
        const clock = manualClock();
        const buckets = localBuckets(clock);
        for (const pauseMs of [0, ...pauses]) {
          clock.advance(pauseMs);
          const first = buckets.take("a", limit) as Verdict;
          let passed = first.allowed ? 1 : 0;
          if (!first.allowed) assert.ok(first.retryInMs > 0 && first.remaining === 0);
          for (let n = 0; n < first.remaining; n += 1) {
            assert.ok((buckets.take("a", limit) as Verdict).allowed, "what remains can be used");
            passed += 1;
          }
          assert.ok(!(buckets.take("a", limit) as Verdict).allowed);
          assert.ok(passed <= limit.burst);
        }
      },
    ),
    { numRuns: 50 },
  );
  assert.deepEqual(judge({ name: "x", perMinute: 60, burst: 1 }, 500), {
    allowed: false,
    remaining: 0,
    fullInMs: 500,
    retryInMs: 500,
  });
});

// Guards against a memory of strangers that grows, or that pushes out who matters.
test("buckets are bounded, each kind by itself", () => {
  const clock = manualClock();
  const buckets = localBuckets(clock, 100);
  const tenant: Limit = { name: "tenant", perMinute: 1, burst: 1 };
  const address: Limit = { name: "address", perMinute: 1, burst: 1 };
  const allowed = (key: string, limit: Limit) => (buckets.take(key, limit) as Verdict).allowed;
  assert.ok(allowed("a", tenant));
  for (let n = 0; n < 10_000; n += 1) allowed(`10.0.${n >> 8}.${n & 255}`, address);
  assert.ok(!allowed("a", tenant));
  assert.ok(allowed("10.0.0.0", address), "long forgotten");
});

// Guards against one customer who takes as many buckets as there are addresses in a network.
test("an IPv6 network is one client, and an IPv4 address is the same in either notation", () => {
  const one = addressKey("2001:db8:1:2:3:4:5:6");
  assert.equal(one, addressKey("2001:0DB8:1:2::9"));
  assert.notEqual(one, addressKey("2001:db8:1:3::9"));
  assert.equal(addressKey("::1"), "0:0:0:0::/64");
  assert.equal(addressKey("fe80::1%eth0"), addressKey("fe80::2%eth1"));
  assert.equal(addressKey("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(addressKey("192.0.2.1"), "192.0.2.1");
  assert.equal(addressKey(undefined), "unknown");
});

// Guards against one tenant's burst that uses up another's share, and a client that isn't told.
test("a tenant is limited by itself, is told so, and may have a limit of its own", async (t) => {
  const http = testHttp(t, routes, {
    limits: { tenantPerMinute: 60 },
    options: { tenantLimit: ({ id }) => (id === tenantA.id ? 120 : null) },
  });
  const ask = (name: string) =>
    http.app.inject({ url: "/api/v1/mine", headers: { authorization: `Bearer ${name}` } });
  const first = await ask("ada");
  assert.equal(first.headers["ratelimit-policy"], '"tenant";q=120;w=60');
  assert.equal(first.headers.ratelimit, '"tenant";r=119;t=1');
  const statuses = await Promise.all(
    Array.from({ length: 199 }, async () => (await ask("ada")).statusCode),
  );
  assert.equal(statuses.filter((status) => status === 200).length, 119);
  const refused = await ask("bob");
  assert.equal(refused.statusCode, 429, "the tenant's other people share its bucket");
  assert.equal(refused.json().code, "ERR_REQUEST_RATE_LIMITED");
  assert.equal(refused.headers["retry-after"], "1");
  assert.equal(refused.headers.ratelimit, '"tenant";r=0;t=60');
  const neighbour = await Promise.all(
    Array.from({ length: 60 }, async () => (await ask("eve")).statusCode),
  );
  assert.ok(neighbour.every((status) => status === 200));
  assert.equal((await ask("eve")).statusCode, 429);
  http.clock.advance(1_000);
  assert.deepEqual([(await ask("ada")).statusCode, (await ask("ada")).statusCode], [200, 200]);
  assert.equal((await ask("ada")).statusCode, 429);
});

// Guards against anonymous floods: public routes, bad credentials and unknown paths share a bucket.
test("an address is limited by itself: a hundred a minute, twenty at once", async (t) => {
  const http = testHttp(t, routes, { limits: { anonymousPerMinute: 100, anonymousBurst: 20 } });
  const ask = async (url: string, remoteAddress = "192.0.2.7", headers = {}) =>
    (await http.app.inject({ url, remoteAddress, headers })).statusCode;
  for (let n = 0; n < 8; n += 1) assert.equal(await ask("/api/v1/open"), 200);
  for (let n = 0; n < 6; n += 1) assert.equal(await ask("/api/v1/mine"), 401);
  for (let n = 0; n < 6; n += 1) assert.equal(await ask("/api/v1/nothing"), 404);
  for (const url of ["/api/v1/open", "/api/v1/mine", "/api/v1/nothing"])
    assert.equal(await ask(url), 429);
  assert.equal(await ask("/health"), 200, "probes are not counted");
  assert.equal(await ask("/api/v1/open", "192.0.2.8"), 200);
  assert.equal(await ask("/api/v1/mine", "192.0.2.7", { authorization: "Bearer ada" }), 200);
  let passed = 0;
  for (let second = 0; second < 60; second += 1) {
    http.clock.advance(1_000);
    while ((await ask("/api/v1/open")) === 200) passed += 1;
  }
  assert.ok(Math.abs(passed - 100) <= 1, `${passed} in a minute`);
});

// Guards against a typo in a good client's program that locks out everybody behind its address.
test("unknown paths and wrong methods count against whoever asks, if it says who", async (t) => {
  const http = testHttp(t, routes, {
    limits: { anonymousPerMinute: 60, anonymousBurst: 4, tenantPerMinute: 10 },
    options: {
      authenticate: async ({ authorization = "", "x-api-key": key }) => {
        if (authorization === "Bearer expired") throw identityErrors.expired_token();
        return testCaller(key === undefined ? authorization.replace("Bearer ", "") : "eve");
      },
    },
  });
  const ask = async (headers: Record<string, string>, method = "GET", url = "/api/v1/nothing") => {
    const answer = await http.app.inject({ method: method as "GET", url, headers });
    const [, bucket] = /^"(\w+)"/.exec(String(answer.headers.ratelimit)) ?? [];
    return [answer.statusCode, bucket];
  };
  const ada = { authorization: "Bearer ada" };
  for (let n = 0; n < 4; n += 1) assert.deepEqual(await ask(ada), [404, "tenant"]);
  for (let n = 0; n < 3; n += 1) {
    assert.deepEqual(await ask(ada, "PUT", "/api/v1/mine"), [405, "tenant"]);
  }
  assert.deepEqual(await ask(ada, "GET", "/api/v1/mine/"), [404, "tenant"]);
  assert.deepEqual(await ask(ada, "GET", "/api/v1/mine"), [200, "tenant"]);
  assert.deepEqual(await ask({ "x-api-key": "plm_x" }), [404, "tenant"]);
  // The tenth of the tenant's, then no more; its address has not been charged for any of them.
  assert.deepEqual(await ask(ada), [404, "tenant"]);
  assert.deepEqual(await ask(ada), [429, "tenant"]);
  for (const authorization of ["Bearer nobody", "Bearer expired", "nonsense", ""]) {
    assert.deepEqual(await ask({ authorization }), [404, "address"], authorization);
  }
  assert.deepEqual(await ask({}), [429, "address"]);
});

// Guards against a forwarded address that anybody can make up.
test("a forwarded address counts only from a proxy that is trusted", async (t) => {
  for (const [trustProxy, status] of [
    [false, 429],
    [true, 200],
    [["10.0.0.0/8"], 200],
    [["172.16.0.0/12"], 429],
    [1, 200],
  ] as const) {
    const { app } = testHttp(t, routes, {
      config: { trustProxy },
      limits: { anonymousPerMinute: 1, anonymousBurst: 1 },
    });
    const from = (forwarded: string) =>
      app.inject({
        url: "/api/v1/open",
        remoteAddress: "10.0.0.1",
        headers: { "x-forwarded-for": forwarded },
      });
    assert.equal((await from("192.0.2.1")).statusCode, 200);
    assert.equal((await from("192.0.2.2")).statusCode, status, String(trustProxy));
  }
});

// Guards against one key of a tenant that starves the tenant's other keys.
test("an API key can have a lower limit than its tenant", async (t) => {
  const http = testHttp(t, routes, {
    limits: { tenantPerMinute: 10 },
    options: {
      keyPerMinute: 4,
      authenticate: ({ "x-api-key": key }) => {
        const ada = testCaller("ada");
        return ada && { ...ada, actor: { ...ada.actor, kind: "api_key", id: String(key) } };
      },
    },
  });
  const ask = async (key: string) =>
    (await http.app.inject({ url: "/api/v1/mine", headers: { "x-api-key": key } })).statusCode;
  for (const key of ["one", "two"]) {
    for (let n = 0; n < 4; n += 1) assert.equal(await ask(key), 200);
    assert.equal(await ask(key), 429);
  }
  assert.deepEqual([await ask("three"), await ask("three"), await ask("three")], [200, 200, 429]);
});
