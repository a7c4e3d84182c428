import assert from "node:assert/strict";
import { test } from "node:test";
import { leaseIn, minute, second, startMs } from "./fixtures/leases.ts";
import { planPools, type Pool, preparedAtOnceMost } from "./rules/pools.ts";
import { nothing } from "./rules/quota.ts";
import {
  countFitting,
  decideWarm,
  givingWay,
  newWarm,
  putOff,
  readied,
  type StoredWarm,
  warmSeconds,
  warmSpecOf,
} from "./rules/warm.ts";

const spec = warmSpecOf(leaseIn("pending"));
const pool = (size: number, templateId = "a"): Pool => ({ templateId, size, spec });
const limits = { warmMost: 20, isPlatformWarm: false };

/** So many that are ready, the first one the oldest. */
const ready = (count: number, templateId = "a", fromMs = startMs): StoredWarm[] =>
  Array.from({ length: count }, (_, at) =>
    readied(newWarm({ id: `${templateId}${at}`, templateId, spec }, fromMs + at), "c", fromMs),
  );
const plan = (pools: Pool[], rows: StoredWarm[], nowMs = startMs + minute, most = 20) => {
  const { drop, make, lookAtMs } = planPools(pools, rows, {
    nowMs,
    limits: { ...limits, warmMost: most },
  });
  return {
    drop: [...drop].sort(),
    make: make.map(({ templateId }) => templateId).join(""),
    lookAtMs,
  };
};

// Guards against pools that are never full, never empty, or filled by more hands than there are.
test("a plan makes what is missing and drops what is too many, a few at a time", () => {
  const later = startMs + 2 * minute;
  assert.deepEqual(plan([], []), { drop: [], make: "", lookAtMs: null });
  assert.deepEqual(plan([pool(2)], []), { drop: [], make: "aa", lookAtMs: later });
  assert.equal(plan([pool(20)], []).make.length, preparedAtOnceMost);
  assert.deepEqual(plan([pool(2)], ready(2)), { drop: [], make: "", lookAtMs: later });
  assert.deepEqual(plan([pool(1)], ready(3)).drop, ["a0", "a1"], "the oldest go");
  assert.deepEqual(plan([], ready(2)).drop, ["a0", "a1"]);
  const other = { ...pool(2), spec: { ...spec, memoryMb: 1 } };
  assert.deepEqual(plan([other], ready(2)), { drop: ["a0", "a1"], make: "aa", lookAtMs: later });
  const preparing = newWarm({ id: "new", templateId: "a", spec }, startMs);
  assert.deepEqual(
    plan([pool(1)], [preparing, ...ready(1)]).drop,
    ["new"],
    "what can be leased stays",
  );
  assert.equal(
    plan([pool(2), pool(3, "b")], ready(1), undefined, 3).make,
    "ab",
    "the first comes first",
  );
});

// Guards against pools that are empty for a moment each hour, and against more than there may be.
test("what is too old is replaced one for one", () => {
  const late = startMs + warmSeconds * second + minute;
  const { drop, make } = plan([pool(6)], ready(6), late);
  assert.deepEqual([drop, make], [["a0", "a1", "a2", "a3"], "aaaa"]);
  const fresh = ready(4, "b", late).map((row) => ({ ...row, templateId: "a" }));
  const rest = plan([pool(6)], [...ready(6).slice(4), ...fresh], late);
  assert.deepEqual([rest.drop, rest.make], [["a4", "a5"], "aa"]);
});

// Guards against one template that can't be had and keeps all the others waiting.
test("what waits for its next attempt takes up no hand", () => {
  const stuck = Array.from({ length: 4 }, (_, at) =>
    putOff(newWarm({ id: `x${at}`, templateId: "x", spec }, startMs), "no", startMs + minute),
  );
  assert.equal(plan([pool(4, "x"), pool(2)], stuck).make, "aa");
});

// Guards against a loop of attempts without a pause, and one without an end.
test("attempts come ever later, and a removal is given up at last", () => {
  let warm = newWarm({ id: "a", templateId: "a", spec }, startMs);
  const waits: number[] = [];
  for (let count = 0; count < 12; count += 1) {
    warm = putOff(warm, "no", startMs);
    waits.push((warm.retryAtMs as number) - startMs);
  }
  assert.deepEqual(waits.slice(0, 3), [1_000, 2_000, 4_000]);
  assert.equal(waits.at(-1), 5 * minute);
  const due = startMs + 10 * minute;
  assert.deepEqual(decideWarm(warm, due), { kind: "step", step: "prepare" });
  assert.deepEqual(decideWarm({ ...warm, state: "removing" }, due), { kind: "forget" });
  assert.equal(readied(warm, "c", due).attempts, 12, "one that dies each time is still slow");
});

// Guards against containers that go though it helps nobody, or that stay in a lease's way.
test("as many give way as are in the way, and none where all would not do", () => {
  const quota = { cpuMillis: 1_000, memoryMb: null, diskMb: null } as never;
  const use = (cpuMillis: number) => ({ ...nothing, cpuMillis });
  const count = (cpuMillis: number) => givingWay(ready(3), use(cpuMillis), quota)?.length;
  assert.deepEqual([1_000, 1_001, 1_500, 1_501, 2_500, 2_501].map(count), [
    0,
    1,
    1,
    2,
    3,
    undefined,
  ]);
  const shares = [use(300), use(300), use(300)];
  assert.deepEqual(
    [0, 100, 101, 400, 700, 900].map((has) => countFitting(shares, use(has), quota)),
    [3, 3, 2, 2, 1, 0],
  );
});
