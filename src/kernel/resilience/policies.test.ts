import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { manualClock } from "../clock.ts";
import { Problem, requestErrors } from "../errors.ts";
import { seededRandom } from "../random.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { createPolicies } from "./policies.ts";
import { backoffMs } from "./retry.ts";

function start(maxInGroups?: number) {
  const clock = manualClock();
  const metrics = createMetrics({ processMetrics: false });
  const log = createLogger({ level: "silent" });
  const random = seededRandom(clock, 3);
  const policies = createPolicies({ clock, random, log, metrics, maxInGroups });
  return { clock, metrics, policies, random };
}

/** Lets promises settle; no time passes. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const hasCode = (code: string) => (error: unknown) =>
  error instanceof Problem && error.code === code;
const fail = () => Promise.reject(new Error("down"));

function holdTimers(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  return t.mock.timers;
}

// Guards against a caller who waits for a dependency that hangs, and a call that goes on
// unobserved.
test("an attempt that takes too long is aborted and answered as a timeout", async (t) => {
  const timers = holdTimers(t);
  const { policies, metrics } = start();
  const policy = policies.for("slow", { timeoutMs: 200, breaker: false });
  let aborted = false;
  const call = policy.execute(
    (signal) =>
      new Promise(() => {
        signal.addEventListener("abort", () => {
          aborted = true;
        });
      }),
  );
  const refused = assert.rejects(call, hasCode("ERR_DEPENDENCY_TIMEOUT"));
  await settle();
  timers.tick(199);
  await settle();
  assert.equal(aborted, false);
  timers.tick(1);
  await refused;
  assert.equal(aborted, true);
  const { text } = await metrics.expose();
  assert.match(text, /dependency_calls_total\{dependency="slow",outcome="timeout"\} 1/);
});

// Guards against a signal that is aborted after success and so cuts off a body still being read.
test("after an answer the attempt's signal stays quiet", async (t) => {
  const timers = holdTimers(t);
  const { policies } = start();
  const signal = await policies.for("x", { timeoutMs: 100 }).execute(async (given) => given);
  timers.tick(1_000);
  assert.equal(signal.aborted, false);
});

// Guards against retries that never end, that repeat what can't succeed, or that wait by another
// clock.
test("failures are retried so often and with growing, random waits by our clock", async () => {
  const { policies, clock, random } = start();
  const policy = policies.for("x", { timeoutMs: 100, retries: 3, retryInitialDelayMs: 1_000 });
  let attempts = 0;
  const call = policy.execute(() => {
    attempts += 1;
    return attempts < 4 ? fail() : Promise.resolve("good");
  });
  for (let expected = 1; expected < 4; expected += 1) {
    await settle();
    assert.equal(attempts, expected, "waits until the clock moves");
    clock.advance(1_000 * 2 ** (expected - 1));
  }
  assert.equal(await call, "good");
  const invalid = policy.execute(() => {
    attempts += 1;
    throw requestErrors.invalid();
  });
  await assert.rejects(invalid, hasCode("ERR_REQUEST_INVALID"));
  assert.equal(attempts, 5, "a refusal is not repeated");
  const waits = Array.from({ length: 200 }, () => backoffMs(10, 100, 5_000, random));
  assert.ok(Math.max(...waits) <= 5_000 && Math.max(...waits) > 4_000);
  assert.ok(Math.min(...waits) < 1_000, "full jitter reaches down to nothing");
});

// Guards against a breaker that never opens, never closes, or lets a crowd through while it tries.
test("a breaker goes CLOSED, OPEN, HALF_OPEN and back by the clock", async () => {
  const { policies, clock, metrics } = start();
  const options = { timeoutMs: 100, breaker: { consecutiveFailures: 3, halfOpenAfterMs: 5_000 } };
  const policy = policies.for("db", options);
  const state = () => policies.list()[0]?.state;
  let calls = 0;
  const failing = () => {
    calls += 1;
    return fail();
  };
  for (let round = 0; round < 3; round += 1) await assert.rejects(policy.execute(failing), /down/);
  assert.equal(state(), "OPEN");
  assert.match((await metrics.expose()).text, /breaker_state\{dependency="db"\} 2/);
  clock.advance(2_500);
  const refusal = await policy.execute(failing).catch((error: unknown) => error);
  assert.ok(hasCode("ERR_DEPENDENCY_BROKEN")(refusal));
  assert.equal((refusal as Problem).options.headers?.["retry-after"], "3");
  assert.equal(calls, 3, "an open breaker asks nobody");
  clock.advance(2_500);
  const { promise, reject } = Promise.withResolvers<never>();
  const trial = policy.execute(() => promise);
  const crowd = Array.from({ length: 10 }, () => policy.execute(failing));
  await settle();
  assert.equal(state(), "HALF_OPEN");
  assert.equal(calls, 3, "one call tries, the others wait for its fate");
  reject(new Error("still down"));
  await assert.rejects(trial, /still down/);
  for (const call of crowd) await assert.rejects(call, hasCode("ERR_DEPENDENCY_BROKEN"));
  assert.equal(state(), "OPEN");
  clock.advance(5_000);
  assert.equal(await policy.execute(async () => "good"), "good");
  assert.equal(state(), "CLOSED");
  assert.ok(policies.list()[0]?.changedAt?.startsWith("2026-01-01T00:00:10"));
});

// Guards against a breaker that opens because callers sent nonsense or went away.
test("refusals and callers who give up are not the dependency's failures", async () => {
  const { policies, metrics } = start();
  const policy = policies.for("x", { timeoutMs: 100, breaker: { consecutiveFailures: 2 } });
  for (let round = 0; round < 5; round += 1) {
    await assert.rejects(
      policy.execute(() => Promise.reject(requestErrors.not_found())),
      hasCode("ERR_REQUEST_NOT_FOUND"),
    );
    const abort = new AbortController();
    const call = policy.execute(() => new Promise(() => {}), abort.signal);
    await settle();
    abort.abort(new Error("gone"));
    await assert.rejects(call, /gone/);
  }
  assert.equal(policies.list()[0]?.state, "CLOSED");
  assert.equal(policies.list()[0]?.failures, 0);
  const { text } = await metrics.expose();
  assert.match(text, /dependency_calls_total\{dependency="x",outcome="cancelled"\} 5/);
  assert.match(text, /dependency_calls_total\{dependency="x",outcome="refused"\} 5/);
});

// Guards against an unbounded crowd at a slow dependency, and against waiters who are overtaken.
test("the bulkhead bounds calls and waiters, and serves them in order", async () => {
  const { policies } = start();
  const bulkhead = { concurrent: 2, queued: 3 };
  const policy = policies.for("x", { timeoutMs: 60_000, bulkhead });
  const started: number[] = [];
  const finish: (() => void)[] = [];
  const call = (number: number, signal?: AbortSignal) =>
    policy.execute(() => {
      started.push(number);
      return new Promise<void>((resolve) => finish.push(resolve));
    }, signal);
  const abort = new AbortController();
  const calls = [call(0), call(1), call(2), call(3, abort.signal), call(4)];
  await settle();
  await assert.rejects(call(5), hasCode("ERR_DEPENDENCY_OVERLOADED"));
  assert.deepEqual([policies.list()[0]?.active, policies.list()[0]?.waiting], [2, 3]);
  abort.abort(new Error("gave up"));
  await assert.rejects(calls[3] as Promise<void>, /gave up/);
  finish.shift()?.();
  await settle();
  assert.deepEqual(started, [0, 1, 2]);
  finish.shift()?.();
  await settle();
  assert.deepEqual(started, [0, 1, 2, 4], "who gave up lost its place");
  for (const done of finish) done();
  await Promise.all(calls.filter((_, at) => at !== 3));
  assert.deepEqual([policies.list()[0]?.active, policies.list()[0]?.waiting], [0, 0]);
});

// Guards against an operator who can't take a dependency out, or can't bring it back.
test("isolate holds a breaker open whatever happens, reset closes it and forgets", async () => {
  const { policies, clock } = start();
  const policy = policies.for("x", { timeoutMs: 100, breaker: { consecutiveFailures: 2 } });
  policies.isolate("x");
  policies.isolate("x");
  assert.equal(policies.list()[0]?.state, "ISOLATED");
  clock.advance(86_400_000);
  await assert.rejects(
    policy.execute(async () => 1),
    hasCode("ERR_DEPENDENCY_BROKEN"),
  );
  policies.reset("x");
  assert.equal(await policy.execute(async () => 1), 1);
  for (let round = 0; round < 2; round += 1) await assert.rejects(policy.execute(fail));
  assert.equal(policies.list()[0]?.state, "OPEN");
  policies.reset("x");
  assert.equal(policies.list()[0]?.state, "CLOSED");
  await assert.rejects(policy.execute(fail), /down/);
  assert.equal(policies.list()[0]?.state, "CLOSED", "one failure after a reset is not two");
  policies.for("none", { timeoutMs: 100, breaker: false });
  assert.deepEqual(["x", "none", "unknown"].map(policies.hasBreaker), [true, false, false]);
  // Held before anybody asked for it.
  policies.isolate("later");
  const later = policies.for("later", { timeoutMs: 100 });
  await assert.rejects(
    later.execute(async () => 1),
    hasCode("ERR_DEPENDENCY_BROKEN"),
  );
  policies.reset("later");
  assert.equal(await later.execute(async () => 1), 1);
});

// Guards against two callers who believe in different limits.
test("one name has one policy", () => {
  const { policies } = start();
  const first = policies.for("a", { timeoutMs: 100, retries: 1 });
  assert.equal(policies.for("a", { retries: 1, timeoutMs: 100 }), first);
  assert.throws(() => policies.for("a", { timeoutMs: 200 }), /other options/);
});

// Guards against memory and metrics that grow with every host somebody names, and against dead
// hosts, or busy ones, that take the place of good ones or lose their own.
test("of a group the one asked for longest ago makes room, the code's own never do", async () => {
  const { policies, metrics } = start(3);
  const breaker = { consecutiveFailures: 1, halfOpenAfterMs: 60_000 };
  const host = (name: string) => policies.for(name, { timeoutMs: 100, group: "hosts", breaker });
  const names = () => policies.list().map((one) => one.name);
  policies.for("redis", { timeoutMs: 100 });
  const { promise, resolve } = Promise.withResolvers<void>();
  const busy = host("h1").execute(() => promise);
  await settle();
  host("h2");
  host("h3");
  host("h2");
  host("h4");
  assert.deepEqual(names(), ["h1", "h2", "h4", "redis"], "h3 was asked for longest ago");
  await assert.rejects(host("h2").execute(fail));
  host("h5");
  assert.deepEqual(names(), ["h1", "h2", "h5", "redis"], "an open one stays while others rest");
  await assert.rejects(host("h5").execute(fail));
  host("h6");
  assert.deepEqual(names(), ["h1", "h5", "h6", "redis"], "and goes when none does");
  policies.isolate("h5");
  const alsoBusy = host("h6").execute(() => promise);
  await settle();
  assert.throws(() => host("h7"), hasCode("ERR_DEPENDENCY_OVERLOADED"));
  resolve();
  await Promise.all([busy, alsoBusy]);
  const { text } = await metrics.expose();
  assert.match(text, /breaker_group_size\{group="hosts",state="ISOLATED"\} 1/);
  assert.match(text, /breaker_group_size\{group="hosts",state="CLOSED"\} 2/);
  assert.match(text, /dependency_calls_total\{dependency="hosts",outcome="failure"\} 2/);
  assert.doesNotMatch(text, /dependency="h\d"/);
});

// Guards against a caller who knows another way and waits all the same.
test("whether a call would be refused can be asked beforehand", async () => {
  const { policies, clock } = start();
  const breaker = { consecutiveFailures: 1, halfOpenAfterMs: 5_000 };
  const policy = policies.for("x", { timeoutMs: 100, breaker });
  assert.equal(policy.refuses(), false);
  await assert.rejects(policy.execute(fail));
  assert.equal(policy.refuses(), true);
  clock.advance(5_000);
  assert.equal(policy.refuses(), false, "one may try");
  const { promise, resolve } = Promise.withResolvers<void>();
  const trial = policy.execute(() => promise);
  await settle();
  assert.equal(policy.refuses(), true, "and the others need not wait for it");
  resolve();
  await trial;
  assert.equal(policy.refuses(), false);
  policies.isolate("x");
  assert.equal(policy.refuses(), true);
});

// Guards against a write that is repeated because reads of the same server are, and against a
// second deadline for what has one of its own.
test("a call says how often it may be repeated, and may bring its own deadline", async (t) => {
  holdTimers(t);
  const { policies, clock } = start();
  const policy = policies.for("x", { timeoutMs: null, breaker: false, retryInitialDelayMs: 10 });
  let attempts = 0;
  const failing = async () => {
    attempts += 1;
    throw new Error("down");
  };
  await assert.rejects(policy.execute(failing));
  assert.equal(attempts, 1);
  const repeated = assert.rejects(policy.execute(failing, undefined, { retries: 2 }));
  for (let round = 0; round < 3; round += 1) {
    await settle();
    clock.advance(1_000);
  }
  await repeated;
  assert.equal(attempts, 4);
});
