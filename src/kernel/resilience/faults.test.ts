import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { manualClock } from "../clock.ts";
import { Problem } from "../errors.ts";
import { seededRandom } from "../random.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { defineFaultPoints, mergeFaultPoints } from "./fault-points.ts";
import { type ArmedFault, createFaults, type FaultOptions } from "./faults.ts";

function start(over: Partial<FaultOptions> = {}) {
  const clock = manualClock();
  const crashes: number[] = [];
  const metrics = createMetrics({ processMetrics: false });
  const faults = createFaults({
    clock,
    random: seededRandom(clock, 1),
    log: createLogger({ level: "silent" }),
    metrics,
    claim: async () => true,
    crash: () => void crashes.push(1),
    ...over,
  });
  const arm = (point: string, fault: Partial<ArmedFault> = {}) =>
    faults.arm([{ point, version: 2, kind: "error", probability: 1, latencyMs: 1_000, ...fault }]);
  return { clock, faults, arm, crashes, metrics };
}

const hasCode = (code: string) => (error: unknown) =>
  error instanceof Problem && error.code === code;

/** Lets promises settle; no time passes. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

// Guards against fault points that do something when nobody asked for it.
test("nothing happens until a fault is armed, and then only at its point", async () => {
  const { faults, arm } = start();
  await faults.at("a.b");
  const data = Buffer.from("data");
  assert.equal(faults.corrupt("a.b", data), data);
  arm("a.b");
  await faults.at("a.other");
  await assert.rejects(faults.at("a.b"), hasCode("ERR_FAULTS_INJECTED"));
  await assert.rejects(faults.at("a.b"), /"a.b" is told to fail/);
  faults.arm([]);
  await faults.at("a.b");
});

// Guards against points that cost something in code that runs for every request.
test("a point costs no memory and next to no time while nothing is armed", () => {
  const { faults } = start();
  assert.equal(faults.at("a.b"), faults.at("c.d"), "one settled promise for all");
  const data = Buffer.from("data");
  const calls = 200_000;
  const round = () => {
    for (let n = 0; n < calls; n += 1) {
      void faults.at("a.b");
      void faults.corrupt("a.b", data);
    }
  };
  round();
  const before = process.memoryUsage().heapUsed;
  const startedMs = performance.now();
  round();
  const tookNs = ((performance.now() - startedMs) * 1e6) / calls;
  const bytes = (process.memoryUsage().heapUsed - before) / calls;
  // The smallest thing there is on the heap has 16 bytes.
  assert.ok(bytes < 1, `${bytes} bytes a call`);
  assert.ok(tookNs < 1_000, `${tookNs} ns a call`);
});

// Guards against an experiment that nobody ends: whoever counts says when it is over.
test("a fault strikes only when it may, and is forgotten when it may no more", async () => {
  let left = 2;
  const asked: ArmedFault[] = [];
  const claim = async (fault: ArmedFault) => {
    asked.push(fault);
    left -= 1;
    return left >= 0;
  };
  const { faults, arm, metrics } = start({ claim });
  arm("a.b", { version: 7 });
  await assert.rejects(faults.at("a.b"));
  await assert.rejects(faults.at("a.b"));
  await faults.at("a.b");
  await faults.at("a.b");
  assert.deepEqual(
    asked.map(({ point, version }) => [point, version]),
    [
      ["a.b", 7],
      ["a.b", 7],
      ["a.b", 7],
    ],
    "once it is spent nobody is asked any more",
  );
  const { text } = await metrics.expose();
  assert.match(text, /plimsoll_faults_struck_total\{point="a\.b",kind="error"\} 2/);
  const lost = start({ claim: () => Promise.reject(new Error("no database")) });
  lost.arm("a.b");
  await lost.faults.at("a.b");
});

// Guards against a probability that is ignored or turned round.
test("a probability of 0.2 strikes about every fifth time", async () => {
  const { faults, arm } = start();
  arm("a.b", { probability: 0.2 });
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
  const { faults, arm, clock } = start();
  const order: string[] = [];
  arm("slow", { kind: "latency", latencyMs: 500 });
  const slow = faults.at("slow").then(() => order.push("slow"));
  await settle();
  clock.advance(499);
  await settle();
  assert.deepEqual(order, []);
  clock.advance(1);
  await slow;
  arm("late", { kind: "timeout", latencyMs: 2_000 });
  const late = assert.rejects(faults.at("late"), hasCode("ERR_FAULTS_TIMED_OUT"));
  await settle();
  clock.advance(2_000);
  await late;
  const abort = new AbortController();
  const waiting = assert.rejects(faults.at("late", abort.signal), /given up/);
  await settle();
  abort.abort(new Error("given up"));
  await waiting;
});

// Guards against a corruption that changes nothing, the length, or the caller's own buffer.
test("corruption changes exactly one byte or character of a copy", async () => {
  const { faults, arm } = start();
  arm("page", { kind: "corruption" });
  const data = Buffer.from("0123456789".repeat(20));
  const before = Buffer.from(data);
  for (let round = 0; round < 200; round += 1) {
    const changed = await faults.corrupt("page", data);
    assert.deepEqual(data, before);
    assert.equal(changed.filter((byte, at) => byte !== data[at]).length, 1);
    const text = await faults.corrupt("page", "hello\u0001");
    assert.equal(text.length, 6);
    assert.notEqual(text, "hello\u0001");
  }
  assert.equal(await faults.corrupt("page", ""), "");
  assert.equal(await faults.corrupt("elsewhere", data), data);
  await faults.at("page");
  arm("page", { kind: "error" });
  assert.equal(faults.corrupt("page", data), data);
});

// Guards against points of a stranger's name, by which two services would break each other.
test("points are declared once, and called like the service that has them", () => {
  const good = { "feeds.page.commit": { title: "A page is written" } };
  const merged = mergeFaultPoints([{ name: "feeds", faultPoints: good }, { name: "quiet" }]);
  assert.equal(merged.get("feeds.page.commit")?.service, "feeds");
  assert.equal(merged.get("mutate.before_commit")?.service, "kernel");
  assert.throws(
    () => mergeFaultPoints([{ name: "other", faultPoints: good }]),
    /begin with "other/,
  );
  for (const name of ["feeds", "Feeds.page", "feeds page", "feeds."]) {
    assert.throws(() => defineFaultPoints({ [name]: { title: "No" } }), /must be dotted/, name);
  }
});

// Guards against a "crash" that still runs exit handlers: it has to be as hard as kill -9.
test("crash kills the process at once, by SIGKILL", async () => {
  const { faults, arm, crashes } = start();
  arm("a.b", { kind: "crash" });
  await faults.at("a.b");
  assert.equal(crashes.length, 1);
  const script = `
    import { createFaults } from ${JSON.stringify(new URL("./faults.ts", import.meta.url).href)};
    const nothing = { counter: () => ({ inc() {} }), fatal() {}, warn() {} };
    process.on("exit", () => console.log("exit handler ran"));
    const faults = createFaults({ claim: async () => true, log: nothing, metrics: nothing });
    faults.arm([{ point: "a.b", kind: "crash", probability: 1 }]);
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
