import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createBreakerBoard } from "./breaker-board.ts";
import { createPolicies } from "./resilience/policies.ts";
import { type EventHouse, eventHouse, eventually } from "./testing/events.ts";
import { createMetrics } from "./telemetry/metrics.ts";

/** What a process has of breakers; any number of them over one database. */
function startProcess(t: TestContext, house: EventHouse) {
  const policies = createPolicies({ ...house, metrics: createMetrics() });
  const board = createBreakerBoard({ ...house, policies });
  t.after(() => board.stop());
  const stateOf = (name: string) => policies.list().find((one) => one.name === name)?.state;
  const make = (name: string) =>
    policies.for(name, { timeoutMs: 1_000, breaker: { consecutiveFailures: 1 } });
  return { policies, board, stateOf, make };
}

const fail = async () => {
  throw new Error("down");
};

// Guards against an operator who takes a dependency out of use in one replica by chance.
test("what is isolated or reset in one process is so in others within 5 s", async (t) => {
  const house = await eventHouse(t);
  const [here, there] = [startProcess(t, house), startProcess(t, house)];
  for (const { board, make } of [here, there]) {
    await board.load();
    make("mail");
  }
  there.board.start();
  const hand = (verb: "isolate" | "reset", name = "mail") =>
    house.db.inPlatform((tx) => here.board[verb](tx, name));
  const soon = async (name: string, state: string, what: string) => {
    await eventually(() => {
      house.clock.advance(5_000);
      return there.stateOf(name) === state;
    }, what);
  };

  await hand("isolate");
  assert.equal(here.stateOf("mail"), "ISOLATED", "here at once");
  await soon("mail", "ISOLATED", "held there");
  // A process that starts later holds it too, also where the policy comes after.
  const late = startProcess(t, house);
  await late.board.load();
  late.make("mail");
  assert.equal(late.stateOf("mail"), "ISOLATED");

  await hand("reset");
  assert.equal(here.stateOf("mail"), "CLOSED");
  await soon("mail", "CLOSED", "closed there");
  // An open breaker is closed as well, though nobody held it.
  await assert.rejects(there.make("mail").execute(fail));
  assert.equal(there.stateOf("mail"), "OPEN");
  await hand("reset");
  await soon("mail", "CLOSED", "reset there");
  // What was reset before a process started is none of its business.
  const fresh = startProcess(t, house);
  await assert.rejects(fresh.make("mail").execute(fail));
  await fresh.board.load();
  assert.equal(fresh.stateOf("mail"), "OPEN");
});

// Guards against dependencies of a worker that the api process says are unknown.
test("processes tell of the dependencies that the code names, and of no others", async (t) => {
  const house = await eventHouse(t);
  const { policies, make, board } = startProcess(t, house);
  make("rabbit");
  policies.for("bare", { timeoutMs: 1_000, breaker: false });
  policies.for("outgoing https://example.com", { timeoutMs: 1_000, group: "outgoing" });
  board.start();
  const other = startProcess(t, house);
  const find = (name: string) => house.db.inPlatform((tx) => other.board.find(tx, name));
  await eventually(async () => (await find("rabbit")) !== null, "told of");
  assert.equal((await find("rabbit"))?.isHeld, false);
  assert.equal(await find("bare"), null);
  assert.equal(await find("outgoing https://example.com"), null);
  assert.deepEqual(await house.db.inPlatform((tx) => other.board.held(tx)), []);
});

// Guards against a change of mind that gets lost because it rolled back, or did not.
test("what is rolled back holds nowhere", async (t) => {
  const house = await eventHouse(t);
  const { board, make, stateOf } = startProcess(t, house);
  make("mail");
  await board.load();
  const rolledBack = house.db.inPlatform(async (tx) => {
    await board.isolate(tx, "mail");
    throw new Error("no");
  });
  await assert.rejects(rolledBack, /no/);
  assert.equal(stateOf("mail"), "CLOSED");
  await board.load();
  assert.equal(stateOf("mail"), "CLOSED");
});
