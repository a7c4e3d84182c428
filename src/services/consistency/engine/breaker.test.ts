import assert from "node:assert/strict";
import { test } from "node:test";
import { checkBreakers } from "../rules/breaker.ts";
import type { BreakerEvent } from "../rules/history.ts";
import { admit, createBreaker, rejected, settleCall } from "./breaker.ts";
import { createBreakerTrace } from "./breaker-trace.ts";
import { createChance } from "./chance.ts";

const options = { failures: 3, openMs: 100, probes: 2, slowMs: 50 };

function watched() {
  const events: BreakerEvent[] = [];
  const breaker = createBreaker("n1", options, (event) => void events.push(event));
  let calls = 0;
  const call = (nowMs: number, isOk: boolean, tookMs = 1) => {
    calls += 1;
    const epoch = admit(breaker, nowMs, `${calls}`);
    if (epoch === rejected) return false;
    settleCall(breaker, { epoch, call: `${calls}`, isOk, tookMs }, nowMs + tookMs);
    return true;
  };
  return { breaker, events, call };
}

// Guards against a breaker that never opens, and one that lets everybody through at once after.
test("it opens after failures in a row, lets probes through, and closes when they pass", () => {
  const { breaker, events, call } = watched();
  for (const isOk of [false, false, true, false, false, false]) call(0, isOk);
  assert.equal(breaker.state, "open");
  assert.equal(call(50, true), false);
  const probes = ["a", "b", "c"].map((name) => admit(breaker, 150, name));
  assert.equal(probes[2], rejected);
  settleCall(breaker, { epoch: probes[0]!, call: "a", isOk: true, tookMs: 1 }, 151);
  assert.equal(breaker.state, "half-open");
  settleCall(breaker, { epoch: probes[1]!, call: "b", isOk: true, tookMs: 1 }, 151);
  assert.equal(breaker.state, "closed");
  assert.deepEqual(checkBreakers(events, options), []);
});

// Guards against late results of an earlier state that close or open a breaker.
test("a result of an earlier epoch changes nothing", () => {
  const { breaker, call } = watched();
  const late = [1, 2, 3].map((at) => admit(breaker, 0, `late${at}`));
  for (let at = 0; at < 3; at += 1) call(0, false);
  const [epoch] = late as [number];
  settleCall(breaker, { epoch, call: "late1", isOk: true, tookMs: 1 }, 10);
  assert.equal(breaker.state, "open");
  const probe = admit(breaker, 150, "probe");
  settleCall(breaker, { epoch, call: "late2", isOk: false, tookMs: 1 }, 151);
  assert.equal(breaker.state, "half-open");
  settleCall(breaker, { epoch: probe, call: "probe", isOk: false, tookMs: 1 }, 152);
  assert.equal(breaker.state, "open");
  assert.equal(admit(breaker, 300, "early"), rejected, "the second wait is twice as long");
});

// Guards against a replica that is slow rather than dead and so keeps all its callers waiting.
test("slow calls count as failures", () => {
  const { breaker, call } = watched();
  for (let at = 0; at < 3; at += 1) call(at * 60, true, 51);
  assert.equal(breaker.state, "open");
});

// Guards against a sequence of calls and results that gets a breaker into a state it must not have.
test("1,000 seeds of calls that overlap leave traces without a fault", () => {
  for (let seed = 1; seed <= 1_000; seed += 1) {
    const chance = createChance(seed);
    const { breaker, events } = watched();
    const open: { epoch: number; call: string; since: number }[] = [];
    for (let step = 0, nowMs = 0; step < 60; step += 1) {
      nowMs += chance.between(0, 40);
      const epoch = admit(breaker, nowMs, `${step}`);
      if (epoch !== rejected) open.push({ epoch, call: `${step}`, since: nowMs });
      while (open.length > 0 && chance.isHit(0.5)) {
        const [one] = open.splice(chance.below(open.length), 1);
        const tookMs = nowMs - one!.since;
        settleCall(breaker, { ...one!, isOk: chance.isHit(0.4), tookMs }, nowMs);
      }
    }
    assert.deepEqual(checkBreakers(events, options), [], `seed ${seed}`);
  }
});

// Guards against a long life that fills the memory, and against a short memory that accuses.
test("a trace forgets its oldest events, and what is left is still judged", () => {
  const trace = createBreakerTrace(40);
  const breaker = createBreaker("n1", options, trace.add);
  const chance = createChance(3);
  for (let step = 0, nowMs = 0; step < 2_000; step += 1) {
    nowMs += chance.between(0, 40);
    const epoch = admit(breaker, nowMs, `${step}`);
    if (epoch === rejected) continue;
    settleCall(breaker, { epoch, call: `${step}`, isOk: chance.isHit(0.6), tookMs: 1 }, nowMs);
    const events = trace.list();
    assert.ok(events.length <= 41);
    assert.deepEqual(checkBreakers(events, options), [], `step ${step}`);
  }
  assert.ok(trace.list()[0]?.begins);
  assert.ok(breaker.epoch > 10);
  const [first, ...rest] = trace.list();
  const skipped = { ...first!, epoch: first!.epoch + 2, begins: false };
  assert.equal(checkBreakers([first!, skipped, ...rest], options).length > 0, true);
});

// Guards against an open breaker that costs as much as what it protects.
test("an open breaker refuses without an error, and far faster than any call", () => {
  const breaker = createBreaker("n1", options);
  for (let at = 0; at < 3; at += 1) {
    settleCall(breaker, { epoch: admit(breaker, 0, "c"), call: "c", isOk: false, tookMs: 1 }, 0);
  }
  const start = performance.now();
  for (let at = 0; at < 100_000; at += 1) assert.equal(admit(breaker, 1, "c"), rejected);
  const each = (performance.now() - start) / 100_000;
  assert.ok(each < 0.05, `each refusal took ${each} ms`);
  assert.equal(breaker.rejected, 100_000);
});
