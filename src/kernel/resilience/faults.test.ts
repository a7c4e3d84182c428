import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { manualClock } from "../clock.ts";
import { Problem } from "../errors.ts";
import { seededRandom } from "../random.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { createFaults } from "./faults.ts";

function start(overrides: { allowed?: boolean; seed?: number } = {}) {
  const clock = manualClock();
  const crashes: number[] = [];
  const metrics = createMetrics({ processMetrics: false });
  const faults = createFaults({
    allowed: overrides.allowed ?? true,
    clock,
    random: seededRandom(clock, overrides.seed ?? 1),
    log: createLogger({ level: "silent" }),
    metrics,
    crash: () => void crashes.push(1),
  });
  return { clock, faults, crashes, metrics };
}

const hasCode = (code: string) => (error: unknown) =>
  error instanceof Problem && error.code === code;

// Guards against fault points that cost something, or do something, when nobody asked for it.
test("nothing happens until a fault is set, and then only at its point", async () => {
  const { faults } = start();
  assert.equal(faults.at("a.b"), faults.at("c.d"), "one settled promise for all");
  const data = Buffer.from("data");
  assert.equal(faults.corrupt("a.b", data), data);
  faults.set("a.b", { kind: "error" });
  await faults.at("a.other");
  await assert.rejects(faults.at("a.b"), hasCode("ERR_FAULTS_INJECTED"));
  assert.equal(faults.clear("a.b"), true);
  assert.equal(faults.clear("a.b"), false);
  await faults.at("a.b");
});

// Guards against a production server that an admin token alone can break.
test("where faults are not allowed nothing can be set", () => {
  const { faults } = start({ allowed: false });
  assert.throws(() => faults.set("a.b", { kind: "crash" }), hasCode("ERR_FAULTS_NOT_ALLOWED"));
  assert.deepEqual(faults.list(), []);
});

// Guards against an experiment that nobody ends: a count clears its fault.
test("a fault strikes as often as its count and is gone", async () => {
  const { faults, metrics } = start();
  faults.set("a.b", { kind: "error", count: 2 });
  await assert.rejects(faults.at("a.b"));
  assert.deepEqual(faults.list()[0]?.remaining, 1);
  await assert.rejects(faults.at("a.b"));
  await faults.at("a.b");
  assert.deepEqual(faults.list(), []);
  const { text } = await metrics.expose();
  assert.match(text, /plimsoll_faults_struck_total\{point="a\.b",kind="error"\} 2/);
});

// Guards against a probability that is ignored or turned round.
test("a probability of 0.2 strikes about every fifth time", async () => {
  const { faults } = start();
  faults.set("a.b", { kind: "error", probability: 0.2 });
  let struck = 0;
  for (let round = 0; round < 5_000; round += 1) {
    await faults.at("a.b").catch(() => {
      struck += 1;
    });
  }
  assert.ok(struck > 900 && struck < 1_100, String(struck));
});

// Guards against latency by another clock, and against a waiting caller who can't give up.
test("latency waits, timeout waits and then fails, both end with the caller's signal", async () => {
  const { faults, clock } = start();
  const order: string[] = [];
  faults.set("slow", { kind: "latency", latencyMs: 500 });
  const slow = faults.at("slow").then(() => order.push("slow"));
  clock.advance(499);
  await Promise.resolve();
  assert.deepEqual(order, []);
  clock.advance(1);
  await slow;
  faults.set("late", { kind: "timeout", latencyMs: 2_000 });
  const late = faults.at("late");
  clock.advance(2_000);
  await assert.rejects(late, hasCode("ERR_FAULTS_TIMED_OUT"));
  const abort = new AbortController();
  const waiting = faults.at("late", abort.signal);
  abort.abort(new Error("given up"));
  await assert.rejects(waiting, /given up/);
});

// Guards against a corruption that changes nothing, the length, or the caller's own buffer.
test("corruption changes exactly one byte or character of a copy", () => {
  const { faults } = start();
  faults.set("page", { kind: "corruption" });
  const data = Buffer.from("0123456789".repeat(20));
  const before = Buffer.from(data);
  for (let round = 0; round < 200; round += 1) {
    const changed = faults.corrupt("page", data);
    assert.deepEqual(data, before);
    assert.equal(changed.filter((byte, at) => byte !== data[at]).length, 1);
    const text = faults.corrupt("page", "hello\u0001");
    assert.equal(text.length, 6);
    assert.notEqual(text, "hello\u0001");
  }
  assert.equal(faults.corrupt("page", ""), "");
  assert.equal(faults.corrupt("elsewhere", data), data);
});

// Guards against settings that would hang or mean nothing.
test("a setting that makes no sense is refused, all its faults named", () => {
  const { faults } = start();
  const bad = { kind: "explode" as "error", probability: 0, count: 1.5, latencyMs: -1 };
  assert.throws(
    () => faults.set("Not A Point", bad),
    (error) => error instanceof Problem && error.options.errors?.length === 5,
  );
  for (let at = 0; at < 100; at += 1) faults.set(`p${at}`, { kind: "error" });
  assert.throws(() => faults.set("one.more", { kind: "error" }), hasCode("ERR_FAULTS_TOO_MANY"));
  faults.set("p7", { kind: "crash" });
  faults.clearAll();
  assert.deepEqual(faults.list(), []);
});

// Guards against a "crash" that still runs exit handlers: it has to be as hard as kill -9.
test("crash kills the process at once, by SIGKILL", async () => {
  const { faults, crashes } = start();
  faults.set("a.b", { kind: "crash" });
  await faults.at("a.b");
  assert.equal(crashes.length, 1);
  const script = `
    import { createFaults } from ${JSON.stringify(new URL("./faults.ts", import.meta.url).href)};
    const nothing = { counter: () => ({ inc() {} }), fatal() {}, warn() {} };
    process.on("exit", () => console.log("exit handler ran"));
    const faults = createFaults({ allowed: true, log: nothing, metrics: nothing });
    faults.set("a.b", { kind: "crash" });
    await faults.at("a.b");
    setTimeout(() => console.log("still alive"), 5000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const [, signal] = await once(child, "close");
  assert.equal(signal, "SIGKILL");
  assert.equal(output, "");
});
