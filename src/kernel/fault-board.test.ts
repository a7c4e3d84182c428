import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createFaultBoard } from "./fault-board.ts";
import { createStrikeCounter } from "./fault-strikes.ts";
import { mergeFaultPoints } from "./resilience/fault-points.ts";
import { createFaults } from "./resilience/faults.ts";
import { type EventHouse, eventHouse, eventually } from "./testing/events.ts";

const point = "jobs.task.run";

/** What a process has of faults; any number of them over one database. */
function startProcess(t: TestContext, house: EventHouse) {
  const strikes = createStrikeCounter(house.appUrl, house.log);
  let crashes = 0;
  const faults = createFaults({
    ...house,
    claim: strikes.claim,
    crash: () => {
      crashes += 1;
    },
  });
  const board = createFaultBoard({ ...house, allowed: true, points: mergeFaultPoints([]), faults });
  t.after(async () => {
    await board.stop();
    await strikes.close();
  });
  const arm = (setting: Parameters<typeof board.arm>[2]) =>
    house.db.inPlatform((tx) => board.arm(tx, point, setting));
  return { board, faults, arm, crashes: () => crashes };
}

const strikesOf = async ({ faults }: ReturnType<typeof startProcess>, tries: number) => {
  const outcomes = Array.from({ length: tries }, () =>
    faults.at(point).then(
      () => 0,
      () => 1,
    ),
  );
  return (await Promise.all(outcomes)).reduce<number>((sum, one) => sum + one, 0);
};

// Guards against a drill that reaches one replica by chance and leaves the others alone.
test("what is armed in one process strikes in others within 5 s, and ends there", async (t) => {
  const house = await eventHouse(t);
  const [here, there] = [startProcess(t, house), startProcess(t, house)];
  there.board.start();
  await here.arm({ kind: "error" });
  assert.equal(await strikesOf(here, 1), 1, "here at once");
  house.clock.advance(5_000);
  await eventually(async () => (await strikesOf(there, 1)) === 1, "a strike there");
  await house.db.inPlatform((tx) => here.board.clear(tx, point));
  assert.equal(await strikesOf(here, 1), 0);
  house.clock.advance(5_000);
  await eventually(async () => (await strikesOf(there, 1)) === 0, "the end of it there");
});

// Guards against a fault that strikes so often in each process, instead of in all together.
test("a count is for all processes together, however many strike at once", async (t) => {
  const house = await eventHouse(t);
  const all = [1, 2, 3, 4].map(() => startProcess(t, house));
  await all[0]?.arm({ kind: "error", count: 7 });
  await Promise.all(all.map(({ board }) => board.load()));
  const struck = await Promise.all(all.map((one) => strikesOf(one, 20)));
  assert.equal(
    struck.reduce((sum, one) => sum + one, 0),
    7,
  );
  const [status] = (
    await house.db.inPlatform((tx) => (all[0] as (typeof all)[0]).board.list(tx))
  ).filter((one) => one.point === point);
  assert.deepEqual([status?.armed, status?.struck], [null, 7]);
});

// Guards against a process that crashes, starts, meets the same crash, and so never comes up.
test("a crash is counted before it happens: who starts again does not meet it", async (t) => {
  const house = await eventHouse(t);
  const first = startProcess(t, house);
  await first.arm({ kind: "crash" });
  await first.faults.at(point);
  assert.equal(first.crashes(), 1);
  const restarted = startProcess(t, house);
  await restarted.board.load();
  await restarted.faults.at(point);
  assert.equal(restarted.crashes(), 0);
});

// Guards against strikes of an old arming that use up, or belong to, a new one.
test("a process that has not heard of a new arming strikes with neither", async (t) => {
  const house = await eventHouse(t);
  const [here, late] = [startProcess(t, house), startProcess(t, house)];
  await here.arm({ kind: "error", count: 5 });
  await late.board.load();
  await here.arm({ kind: "latency", latencyMs: 0, count: 5 });
  assert.equal(await strikesOf(late, 3), 0);
  const listed = await house.db.inPlatform((tx) => here.board.list(tx));
  assert.equal(listed.find((one) => one.point === point)?.struck, 0);
});
