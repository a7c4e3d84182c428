import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  addCounts,
  exceedsBudget,
  noCounts,
  outcomeOf,
  type RunCounts,
  unaccounted,
} from "./rules/conservation.ts";

const counts = (more: Partial<RunCounts>): RunCounts => ({ ...noCounts, ...more });

// Guards against records that vanish between the source and the table.
test("every fetched record is accounted for exactly once", () => {
  const each = fc.nat(10_000);
  const page = fc.record({
    inserted: each,
    updated: each,
    unchanged: each,
    deduplicated: each,
    deadLettered: each,
  });
  fc.assert(
    fc.property(
      fc.array(page, { maxLength: 5 }),
      fc.integer({ min: -3, max: 3 }),
      (pages, lost) => {
        const run = pages
          .map((one) => ({ ...one, fetched: Object.values(one).reduce((a, b) => a + b) }))
          .reduce<RunCounts>(addCounts, noCounts);
        assert.equal(unaccounted({ ...run, fetched: run.fetched + lost }), lost);
      },
    ),
  );
});

// Guards against success that hides a loss.
test("a run whose records do not add up has failed, in both directions", () => {
  for (const fetched of [9, 11]) {
    const ended = outcomeOf({ counts: counts({ fetched, inserted: 10 }), worst: "none" });
    assert.equal(ended.state, "failed");
    assert.match(ended.reason ?? "", /not accounted for/);
  }
});

// Guards against an error budget that is off by one, or that nothing uses up.
test("the error budget fails a run that exceeds it, and only that", () => {
  const run = (deadLettered: number) =>
    counts({ fetched: 100, inserted: 100 - deadLettered, deadLettered });
  assert.equal(outcomeOf({ counts: run(0), worst: "none" }).state, "succeeded");
  assert.equal(outcomeOf({ counts: run(1), worst: "none" }).state, "succeeded_with_warnings");
  assert.equal(outcomeOf({ counts: run(2), worst: "none" }).state, "failed");
  assert.equal(
    outcomeOf({ counts: run(2), worst: "none", errorBudget: 0.02 }).state,
    "succeeded_with_warnings",
  );
  assert.ok(exceedsBudget(run(1), 0));
  assert.ok(!exceedsBudget(noCounts, 0));
});

// Guards against an anomaly that changes nothing about how a run is reported.
test("anomalies decide how a sound run ended", () => {
  const sound = counts({ fetched: 5, updated: 5 });
  assert.equal(outcomeOf({ counts: sound, worst: "none" }).state, "succeeded");
  assert.equal(outcomeOf({ counts: sound, worst: "warn" }).state, "succeeded_with_warnings");
  assert.equal(outcomeOf({ counts: sound, worst: "error" }).state, "failed");
});
