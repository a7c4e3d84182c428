import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../clock.ts";
import { createHealth } from "./health.ts";
import { createLogger } from "./logger.ts";

function start() {
  const clock = manualClock();
  const lines: string[] = [];
  const log = createLogger({ level: "info", stream: { write: (line) => void lines.push(line) } });
  return { clock, lines, health: createHealth({ clock, log }) };
}

// Guards against a load balancer that sends work to a process that can't do it, or starves one that
// can.
test("a required dependency decides readiness, an optional one is only reported", async () => {
  const { health } = start();
  health.register("postgres", { required: true, timeoutMs: 100, check: async () => {} });
  const refused = Object.assign(new Error("connect to 10.1.2.3 refused"), { code: "ECONNREFUSED" });
  health.register("redis", {
    required: false,
    timeoutMs: 100,
    check: () => Promise.reject(refused),
  });
  const ready = await health.ready();
  assert.equal(ready.ok, true);
  assert.equal(ready.dependencies["redis"]?.ok, false);
  assert.equal(ready.dependencies["redis"]?.error, "ECONNREFUSED");
  assert.ok(!JSON.stringify(ready).includes("10.1.2.3"), "an address is not public");
  health.register("broker", {
    required: true,
    timeoutMs: 100,
    check: () => Promise.reject(new Error("secret text")),
  });
  const after = await health.ready();
  assert.equal(after.ok, false);
  assert.equal(after.dependencies["broker"]?.error, "failed");
});

// Guards against a readiness probe that hangs with the dependency it asks.
test("a dependency that never answers is down after its timeout, and is told to stop", async () => {
  const { health, clock } = start();
  let aborted = false;
  health.register("slow", {
    required: true,
    timeoutMs: 250,
    check: (signal) => {
      signal.addEventListener("abort", () => {
        aborted = true;
      });
      return new Promise(() => {});
    },
  });
  const asked = health.ready();
  clock.advance(250);
  const ready = await asked;
  assert.deepEqual(ready.dependencies["slow"], {
    ok: false,
    required: true,
    latencyMs: 250,
    error: "TIMEOUT",
  });
  assert.equal(aborted, true);
});

// Guards against probes that add load to a dependency in trouble.
test("questions within a second share one check; later ones ask again", async () => {
  const { health, clock, lines } = start();
  let checks = 0;
  let down = false;
  health.register("postgres", {
    required: true,
    timeoutMs: 100,
    check: async () => {
      checks += 1;
      if (down) throw new Error("down");
    },
  });
  await Promise.all(Array.from({ length: 50 }, () => health.ready()));
  clock.advance(999);
  await health.ready();
  assert.equal(checks, 1);
  down = true;
  clock.advance(1);
  assert.equal((await health.ready()).ok, false);
  clock.advance(1_000);
  assert.equal((await health.ready()).ok, false);
  down = false;
  clock.advance(1_000);
  assert.equal((await health.ready()).ok, true);
  assert.equal(checks, 4);
  assert.equal(lines.length, 2, "one line when it goes down and one when it is back");
});

// Guards against work that arrives at a process which is going away.
test("a stopping process is not ready at once, also within the shared second", async () => {
  const { health } = start();
  assert.equal((await health.ready()).ok, true);
  health.setStopping();
  const ready = await health.ready();
  assert.deepEqual([ready.ok, ready.stopping], [false, true]);
});
