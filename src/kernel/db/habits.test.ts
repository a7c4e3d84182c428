import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../clock.ts";
import { createHabits } from "./habits.ts";

// Guards against quick reads that stand behind slow ones, and against a grudge for ever.
test("a text that is slow flies alone for longer each time, and is forgiven", () => {
  const clock = manualClock();
  const habits = createHabits(clock);
  assert.equal(habits.mayShare("a"), false, "what was never seen");
  habits.learn("a", 2);
  assert.equal(habits.mayShare("a"), true);
  for (const aloneMs of [250, 500, 1_000]) {
    habits.learn("a", 21);
    clock.advance(aloneMs - 1);
    assert.equal(habits.mayShare("a"), false);
    clock.advance(1);
    assert.equal(habits.mayShare("a"), true);
  }
  for (let n = 0; n < 20; n += 1) habits.learn("a", 500);
  clock.advance(15_999);
  assert.equal(habits.mayShare("a"), false);
  clock.advance(1);
  for (let n = 0; n < 10; n += 1) habits.learn("a", 1);
  habits.learn("a", 21);
  clock.advance(250);
  assert.equal(habits.mayShare("a"), true, "quick reads in between are remembered too");
});

// Guards against a memory that grows with every text that a filter makes up.
test("what is known of texts is bounded", () => {
  const habits = createHabits(manualClock());
  for (let n = 0; n <= 2_000; n += 1) habits.learn(`text ${n}`, 1);
  assert.deepEqual([habits.mayShare("text 0"), habits.mayShare("text 1")], [false, true]);
});
