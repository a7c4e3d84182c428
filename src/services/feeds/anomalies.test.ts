import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AnomalyRule,
  baselineOf,
  judgeRun,
  type RunFacts,
  worstOf,
} from "./rules/anomalies.ts";
import { type ComparedRun, compareRuns } from "./rules/comparison.ts";
import { median, quantile, returnHistogram, robustZ, stabilityIndex } from "./rules/statistics.ts";

const hourMs = 3_600_000;
const times20 = (values: number[]) => values.map((value) => value * 20);
const calm = times20(returnHistogram([-1, -0.3, 0, 0.2, 1, 1.5, -1.5, 0.1, 3, -3]));
const wild = returnHistogram([-30, -25, 25, 30, -15, 15, 22, -22, 9, -9]);

const run = (at: number, more: Partial<RunFacts> = {}): RunFacts => ({
  id: `run-${at}`,
  trigger: "schedule",
  state: "succeeded",
  isInjected: false,
  isAnomalous: false,
  startedAtMs: at * hourMs,
  durationMs: 1_000 + (at % 5) * 20,
  fetched: 1_000 + (at % 7) * 3,
  unaccounted: 0,
  requests: 10,
  rateLimited: 0,
  schemaHash: "a",
  isKeyLost: false,
  newestAgeMs: 60_000,
  cadenceMs: hourMs,
  nullRates: { price: 0.01 },
  returns: calm,
  keyChurn: 0,
  frozenShare: 0,
  priceGap: 0.001,
  restatedShare: 0,
  ...more,
});
const runs = (count: number, more: Partial<RunFacts> = {}) =>
  Array.from({ length: count }, (_, at) => run(at, more));
const history = runs(20);
const said = (more: Partial<RunFacts>, past = history) =>
  judgeRun(run(100, more), past).findings.map(({ rule, level }) => `${rule} ${level}`);

// Guards against a rule that calls an ordinary run odd.
test("an ordinary run has no findings", () => {
  assert.deepEqual(judgeRun(run(100), history), { state: "judged", findings: [] });
});

// Guards against rules that judge by next to nothing, and against silence about a loss meanwhile.
test("with fewer than 8 runs it is learning, and says only what needs no history", () => {
  assert.equal(judgeRun(run(100), runs(7)).state, "learning");
  assert.equal(judgeRun(run(100), runs(8)).state, "judged");
  assert.deepEqual(said({ fetched: 0, durationMs: 99_000 }, runs(7)), []);
  assert.deepEqual(said({ unaccounted: 1 }, []), ["conservation error"]);
});

// Guards against a rule that does not fire at its bound, or fires before it.
test("each rule at its bounds", () => {
  const nulls = (price: number) => ({ nullRates: { price } });
  const cases: [Partial<RunFacts>, AnomalyRule | null, ("warn" | "error")?][] = [
    [{ fetched: 0 }, "zero_rows", "error"],
    [{ unaccounted: -1 }, "conservation", "error"],
    [{ fetched: 950 }, null],
    [{ fetched: 850 }, "row_count", "warn"],
    [{ fetched: 1_200 }, "row_count", "warn"],
    [{ fetched: 400 }, "row_count", "error"],
    [{ fetched: 2_000 }, "row_count", "error"],
    [{ newestAgeMs: 3 * hourMs - 1 }, null],
    [{ newestAgeMs: 3 * hourMs }, "freshness", "warn"],
    [{ newestAgeMs: 6 * hourMs }, "freshness", "error"],
    [{ newestAgeMs: null }, null],
    [nulls(0.05), null],
    [nulls(0.06), "null_rate", "warn"],
    [nulls(0.21), "null_rate", "error"],
    [{ nullRates: { unheard: 1 } }, null],
    [{ keyChurn: 0.019 }, null],
    [{ keyChurn: 0.02 }, "key_churn", "warn"],
    [{ keyChurn: 0.1 }, "key_churn", "error"],
    [{ frozenShare: 0.2 }, "frozen_values", "warn"],
    [{ frozenShare: 0.5 }, "frozen_values", "error"],
    [{ priceGap: 0.01 }, "price_gap", "warn"],
    [{ priceGap: 0.05 }, "price_gap", "error"],
    [{ restatedShare: 0.001 }, "restated", "warn"],
    [{ restatedShare: 0.01 }, "restated", "warn"],
    [{ restatedShare: 0.02 }, "restated", "error"],
    [{ durationMs: 1_090 }, null],
    [{ durationMs: 2_000 }, "duration", "warn"],
    [{ durationMs: 200 }, null],
    [{ durationMs: 3_120 }, "duration", "error"],
    [{ requests: 100, rateLimited: 4 }, null],
    [{ requests: 100, rateLimited: 5 }, "rate_limited", "warn"],
    [{ requests: 100, rateLimited: 25 }, "rate_limited", "error"],
    [{ requests: 0 }, null],
    [{ schemaHash: "b" }, "schema_change", "warn"],
    [{ isKeyLost: true }, "schema_change", "error"],
    [{ returns: times20(wild) }, "distribution_shift", "error"],
    [{ returns: wild }, null],
    [{ returns: null }, null],
  ];
  for (const [more, rule, level] of cases) {
    assert.deepEqual(said(more), rule === null ? [] : [`${rule} ${level}`], JSON.stringify(more));
  }
});

// Guards against an anomaly that hides in its own baseline, and a baseline of what is not normal.
test("a run is judged by its like, not by itself or by what is odd", () => {
  const zero = run(100, { fetched: 0 });
  const judged = judgeRun(zero, [...history, zero]);
  assert.deepEqual(judged.findings[0]?.rule, "zero_rows");
  assert.ok(!judged.findings[0]?.runs.includes(zero.id));
  assert.equal(judged.findings[0]?.runs.length, 20);
  const others: Partial<RunFacts>[] = [
    { isAnomalous: true },
    { isInjected: true },
    { state: "failed" },
    { state: "cancelled" },
    { trigger: "backfill" },
  ];
  for (const more of others) assert.deepEqual(baselineOf(run(100), runs(20, more)), []);
  assert.deepEqual(baselineOf(run(0), history), [], "nor by what came later");
  const last = baselineOf(run(100), runs(50));
  assert.deepEqual([last.length, last[0]?.id, last.at(-1)?.id], [30, "run-49", "run-20"]);
});

// Guards against a finding that nobody can check.
test("a finding says baseline, value, score and the runs used", () => {
  const [finding] = judgeRun(run(100, { fetched: 400 }), history).findings;
  assert.ok(finding);
  assert.equal(finding.value, 400);
  assert.ok(finding.baseline !== null && finding.baseline > 1_000);
  assert.ok(finding.score !== null && finding.score < -3.5);
  assert.equal(finding.runs.length, 20);
  assert.match(finding.message, /400 records/);
  assert.equal(worstOf([finding]), "error");
  assert.equal(worstOf([]), "none");
});

// Guards against a division by no spread: a source that always sends the same number.
test("equal counts need no scale: the size alone decides", () => {
  const equal = runs(20, { fetched: 500, durationMs: 1_000 });
  assert.deepEqual(said({ fetched: 500, durationMs: 1_000 }, equal), []);
  assert.deepEqual(said({ fetched: 460, durationMs: 1_000 }, equal), []);
  assert.deepEqual(said({ fetched: 440, durationMs: 1_000 }, equal), ["row_count warn"]);
  assert.deepEqual(said({ fetched: 200, durationMs: 1_000 }, equal), ["row_count error"]);
});

// Guards against a Sunday that is odd because it is no Monday.
test("runs of the same hour of the week are compared where there are enough", () => {
  const week = 7 * 24;
  const past = Array.from({ length: 28 }, (_, day) =>
    run(day * 24, { fetched: day % 7 === 6 ? 100 + day : 1_000 + day, durationMs: 1_000 }),
  );
  const sunday = run(4 * week + 6 * 24, { fetched: 110, durationMs: 1_000 });
  assert.deepEqual(judgeRun(sunday, past).findings, []);
  const monday = run(4 * week, { fetched: 110, durationMs: 1_000 });
  assert.deepEqual(judgeRun(monday, past).findings[0]?.rule, "row_count");
});

// Guards against statistics that are off where values are few or equal.
test("medians, quantiles, robust z and stability", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(median([])));
  assert.equal(quantile([0, 10], 0.05), 0.5);
  assert.equal(robustZ(5, [5, 5, 5]), null);
  assert.equal(robustZ(8, [1, 2, 3, 4, 5])?.toFixed(4), "3.3725");
  assert.ok((robustZ(9, [5, 5, 5, 5, 6]) ?? 0) > 3.5, "the mean deviation stands in");
  assert.equal(stabilityIndex([5, 5], [50, 50]), 0);
  assert.ok(stabilityIndex([9, 1], [1, 9]) > 0.25);
  assert.ok(Number.isFinite(stabilityIndex([10, 0], [0, 10])));
});

// Guards against the seed's rules lost: each fires alone, at its bound, whichever run is first.
test("the five simple rules", () => {
  const older: ComparedRun = {
    startedAtMs: 1,
    state: "succeeded",
    records: 100,
    durationMs: 1_000,
  };
  const newer = { ...older, startedAtMs: 2 };
  const cases: [Partial<ComparedRun>, string[]][] = [
    [{}, []],
    [{ records: 50 }, []],
    [{ records: 49 }, ["records_changed_by_half"]],
    [{ records: 151 }, ["records_changed_by_half"]],
    [{ durationMs: 2_000 }, []],
    [{ durationMs: 2_001 }, ["duration_doubled"]],
    [{ durationMs: 100 }, []],
    [{ durationMs: 99 }, ["implausibly_fast"]],
    [{ state: "failed" }, ["success_then_failure"]],
    [{ records: 0 }, ["records_changed_by_half", "success_without_records"]],
  ];
  for (const [more, rules] of cases) {
    assert.deepEqual(compareRuns(older, { ...newer, ...more }).rules, rules, JSON.stringify(more));
    assert.deepEqual(compareRuns({ ...newer, ...more }, older).rules, rules);
  }
  const told = compareRuns(older, { ...newer, records: 120, durationMs: 1_500, state: "failed" });
  assert.deepEqual(
    [
      told.recordsDifference,
      told.durationDifferenceMs,
      told.durationChangePct,
      told.isStateChanged,
    ],
    [20, 500, 50, true],
  );
  assert.equal(compareRuns({ ...older, durationMs: 0 }, newer).durationChangePct, null);
});
