import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { manualClock } from "#kernel/clock.ts";
import { seededRandom } from "#kernel/random.ts";
import { backoffMs, retryAfterMs, retryAfterMsMax } from "./rules/backoff.ts";
import { type Bucket, capacityOf, drained, fullBucket, refill, take } from "./rules/budget.ts";

const budget = { requestsPerMinute: 60 };
const startMs = Date.UTC(2026, 0, 31, 23, 59);

// Guards against more requests than a plan allows, in any window.
test("no minute has more requests than the budget and its burst", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 200 }),
      fc.integer({ min: 1, max: 120 }),
      (gapsMs, requestsPerMinute) => {
        const limited = { requestsPerMinute };
        let bucket: Bucket = fullBucket(limited, 0);
        let nowMs = 0;
        const takenAtMs: number[] = [];
        for (const gapMs of gapsMs) {
          nowMs += gapMs;
          const taken = take(bucket, limited, 1, nowMs);
          bucket = taken.bucket;
          if (taken.isTaken) takenAtMs.push(nowMs);
          else assert.ok((taken.waitMs ?? 0) > 0);
        }
        for (const fromMs of takenAtMs) {
          const within = takenAtMs.filter((ms) => ms >= fromMs && ms < fromMs + 60_000);
          assert.ok(within.length <= requestsPerMinute + capacityOf(limited));
        }
      },
    ),
    { numRuns: 50 },
  );
});

// Guards against a wait that is too short by a rounding, so that a worker asks for ever.
test("after the wait that was told, the request is granted", () => {
  const empty = drained(fullBucket(budget, startMs));
  for (const cost of [1, 2.5, 6]) {
    const refused = take(empty, budget, cost, startMs);
    assert.ok(!refused.isTaken && refused.reason === "minute" && refused.waitMs !== null);
    assert.ok(take(refused.bucket, budget, cost, startMs + refused.waitMs).isTaken);
    assert.ok(!take(refused.bucket, budget, cost, startMs + refused.waitMs - 2).isTaken);
  }
});

// Guards against a costly request that waits for ever, and one that is paid in part.
test("a cost is taken whole or not at all", () => {
  const full = fullBucket(budget, startMs);
  const never = take(full, budget, 7, startMs);
  assert.deepEqual([never.isTaken, "waitMs" in never && never.waitMs], [false, null]);
  const four = take(full, budget, 4, startMs);
  const again = take(four.bucket, budget, 4, startMs);
  assert.deepEqual([again.isTaken, again.bucket.tokens], [false, 2]);
});

// Guards against a month's quota that a fast day uses up unnoticed, or that never comes back.
test("the month's quota is counted and begins anew", () => {
  const monthly = { requestsPerMinute: 60, perMonth: 2 };
  let bucket = fullBucket(monthly, startMs);
  for (let request = 0; request < 2; request += 1) {
    const taken = take(bucket, monthly, 1, startMs);
    assert.ok(taken.isTaken);
    bucket = taken.bucket;
  }
  const refused = take(bucket, monthly, 1, startMs);
  assert.ok(!refused.isTaken);
  assert.deepEqual([refused.reason, refused.waitMs], ["month", 60_000]);
  assert.ok(take(bucket, monthly, 1, startMs + 60_000).isTaken);
});

// Guards against a clock that went back and gives tokens for it.
test("time that runs backwards adds nothing", () => {
  const empty = drained(fullBucket(budget, startMs));
  const back = refill(empty, budget, startMs - 3_600_000);
  assert.deepEqual(back, empty);
});

// Guards against a host that said when to come back and is asked earlier.
test("Retry-After is read in both its forms", () => {
  const nowMs = Date.UTC(2026, 5, 1, 10, 0, 0);
  const cases: [string | undefined, number | null][] = [
    ["30", 30_000],
    [" 0 ", 0],
    ["Mon, 01 Jun 2026 10:01:00 GMT", 60_000],
    ["Mon, 01 Jun 2026 09:00:00 GMT", 0],
    ["999999999", retryAfterMsMax],
    ["Mon, 01 Jun 2099 09:00:00 GMT", retryAfterMsMax],
    [undefined, null],
    ["", null],
    ["-1", null],
    ["1.5", null],
    ["soon", null],
    ["2026-06-01T10:01:00Z", null],
    ["Mon, 99 Jun 2026 10:01:00 GMT", null],
  ];
  for (const [header, expected] of cases) {
    assert.equal(retryAfterMs(header, nowMs), expected, String(header));
  }
});

// Guards against workers that fail together and come back together, or never wait.
test("waits double up to a limit, differ by chance, and are never less than was asked", () => {
  const random = seededRandom(manualClock(), 7);
  for (let attempt = 1; attempt <= 12; attempt += 1) {
    const limitMs = Math.min(60_000, 1_000 * 2 ** (attempt - 1));
    const waits = Array.from({ length: 50 }, () => backoffMs(attempt, { random }));
    assert.ok(waits.every((ms) => ms >= limitMs / 2 && ms <= limitMs));
    assert.ok(new Set(waits).size > 25);
  }
  for (const askedMs of [0, 1_000, 600_000]) {
    const waits = Array.from({ length: 50 }, () => backoffMs(1, { random, askedMs }));
    assert.ok(waits.every((ms) => ms >= askedMs && ms <= askedMs + Math.max(1_000, askedMs / 10)));
    assert.ok(new Set(waits).size > 25);
  }
});
