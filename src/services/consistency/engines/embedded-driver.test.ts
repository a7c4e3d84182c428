import assert from "node:assert/strict";
import { test } from "node:test";
import { type ManualClock, manualClock } from "#kernel/clock.ts";
import { createScheduler } from "../engine/scheduler.ts";
import { turn, usualSpec } from "../fixtures/live-store.ts";
import { createEmbeddedEngine } from "./embedded.ts";
import { EngineFault } from "./types.ts";

/** A manual clock that counts who sleeps on it. */
function countingClock(): { clock: ManualClock; sleepers: () => number; wakes: () => number } {
  const clock = manualClock();
  let [sleepers, wakes] = [0, 0];
  const sleep: ManualClock["sleep"] = async (ms, signal) => {
    sleepers += 1;
    try {
      await clock.sleep(ms, signal);
      wakes += 1;
    } finally {
      sleepers -= 1;
    }
  };
  return { clock: { ...clock, sleep }, sleepers: () => sleepers, wakes: () => wakes };
}

// Guards against a store that keeps its process busy or alive, and one that replays a long sleep.
test("an idle store wakes rarely, a long pause is skipped, and close leaves no timer", async () => {
  const { clock, sleepers, wakes } = countingClock();
  const engine = createEmbeddedEngine(usualSpec, { clock });
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 5) {
      clock.advance(5);
      await turn();
    }
  };
  await pass(10_000);
  assert.equal(sleepers(), 1, "one timer at a time");
  assert.ok(wakes() <= 50, `${wakes()} wake-ups in 10 s`);
  const before = engine.nowMs();
  assert.ok(Math.abs(before - 10_000) < 1);
  clock.advance(3_600_000);
  await turn();
  assert.ok(engine.nowMs() - before <= 1_001, "an hour of heartbeats is not replayed");
  const answer = engine.ask({
    id: "w1",
    op: "write",
    key: "k",
    value: 1,
    expected: null,
    level: "strong",
    token: null,
    replica: null,
  });
  await engine.close();
  assert.equal((await answer).status, "unknown");
  await turn();
  assert.equal(sleepers(), 0);
  await assert.rejects(
    createEmbeddedEngine(usualSpec, { clock: manualClock() }).inject({
      kind: "crash",
      replicas: ["n9"],
    }),
    EngineFault,
  );
});

// Guards against memory that grows with every answer until its deadline would have come.
test("events that were called off are swept, and the others happen in their order", () => {
  const scheduler = createScheduler();
  const happened: number[] = [];
  for (let at = 0; at < 20_000; at += 1) {
    const timer = scheduler.after(20_000 - at, () => void happened.push(20_000 - at));
    timer.isOff = at % 100 !== 0;
  }
  assert.ok(scheduler.size < 2_100, `${scheduler.size} events are kept`);
  scheduler.runUntil(20_000);
  assert.equal(happened.length, 200);
  assert.deepEqual(
    happened,
    happened.toSorted((a, b) => a - b),
  );
});

// Guards against a store that takes more requests than it can hold.
test("too many requests at once are refused, and the next is not", async () => {
  const clock = manualClock();
  const engine = createEmbeddedEngine(usualSpec, { clock });
  const rest = { op: "read", key: "k", value: null, expected: null, token: null } as const;
  const ask = (id: string) => engine.ask({ ...rest, id, level: "strong", replica: null });
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 1) {
      clock.advance(1);
      await turn();
    }
  };
  await pass(700);
  const asks = Array.from({ length: 2_001 }, (_, at) => ask(`r${at}`));
  await pass(400);
  const answers = await Promise.all(asks);
  const refused = answers.filter(({ status }) => status === "refused");
  assert.equal(refused.length, 1);
  assert.match(refused[0]?.reason ?? "", /under way/);
  const next = ask("next");
  await pass(400);
  assert.equal((await next).status, "ok");
  await engine.close();
});
