import assert from "node:assert/strict";
import { test } from "node:test";
import { createHabits } from "./habits.ts";

function learnTimes(habits: ReturnType<typeof createHabits>, times: number, ticks: number): void {
  for (let n = 0; n < times; n += 1) habits.learn("a", ticks);
}

// Guards against quick reads that stand behind slow ones.
test("a text that is often slow flies alone until it has been quick for a while", () => {
  const habits = createHabits();
  assert.equal(habits.mayShare("a"), false, "what was never seen");
  habits.learn("a", 1);
  assert.equal(habits.mayShare("a"), true);
  learnTimes(habits, 5, 30);
  assert.equal(habits.mayShare("a"), false, "slow");
  learnTimes(habits, 2, 1);
  assert.equal(habits.mayShare("a"), false, "not forgiven at once");
  learnTimes(habits, 60, 1);
  assert.equal(habits.mayShare("a"), true, "forgiven");
  for (let n = 0; n < 20; n += 1) {
    learnTimes(habits, 9, 1);
    habits.learn("a", 60);
  }
  assert.equal(habits.mayShare("a"), false, "slow one time in ten");
});

// Guards against a pause of this very process, or a first run, that ends all sharing.
test("a late answer now and then makes no text slow", () => {
  const habits = createHabits();
  habits.learn("a", 10_000);
  learnTimes(habits, 16, 1);
  assert.equal(habits.mayShare("a"), true, "the first run counts little");
  for (let n = 0; n < 20; n += 1) {
    learnTimes(habits, 99, 1);
    habits.learn("a", 40);
    assert.equal(habits.mayShare("a"), true);
  }
});

// Guards against a memory that grows with every text that a filter makes up.
test("what is known of texts is bounded", () => {
  const habits = createHabits();
  for (let n = 0; n <= 2_000; n += 1) habits.learn(`text ${n}`, 1);
  assert.deepEqual([habits.mayShare("text 0"), habits.mayShare("text 1")], [false, true]);
});
