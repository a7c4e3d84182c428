import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CronError, nextCronMs, parseCron } from "./rules/cron.ts";
import { cadenceMs, defaultSchedule, nextDueMs } from "./rules/schedule.ts";

const at = (iso: string) => Date.parse(iso);
const next = (cron: string, after: string) =>
  new Date(nextCronMs(parseCron(cron), at(after))).toISOString().slice(0, 16);

// Guards against a run at a time that nobody named.
test("the next moment of an expression", () => {
  const cases: [string, string, string][] = [
    ["0 * * * *", "2026-06-01T10:00:00Z", "2026-06-01T11:00"],
    ["0 * * * *", "2026-06-01T09:59:59.999Z", "2026-06-01T10:00"],
    ["*/15 * * * *", "2026-06-01T10:14:00Z", "2026-06-01T10:15"],
    ["5/20 * * * *", "2026-06-01T10:45:00Z", "2026-06-01T11:05"],
    ["30 4 1,15 * *", "2026-06-02T00:00:00Z", "2026-06-15T04:30"],
    ["0 0 29 2 *", "2026-06-01T00:00:00Z", "2028-02-29T00:00"],
    ["0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00"],
    ["0 9 * * mon-fri", "2026-06-05T09:00:00Z", "2026-06-08T09:00"],
    ["0 9 * * 7", "2026-06-01T00:00:00Z", "2026-06-07T09:00"],
    ["0 9 * * 5-7", "2026-06-06T10:00:00Z", "2026-06-07T09:00"],
    ["0 0 13 * fri", "2026-06-01T00:00:00Z", "2026-06-05T00:00"],
    ["0 0 13 * fri", "2026-06-12T00:00:00Z", "2026-06-13T00:00"],
    ["59 23 31 DEC *", "2026-12-31T23:59:00Z", "2027-12-31T23:59"],
    ["0 0 * * */2", "2026-06-05T00:00:00Z", "2026-06-06T00:00"],
    ["10-20/5,40 3 * * *", "2026-06-01T03:20:00Z", "2026-06-01T03:40"],
  ];
  for (const [cron, after, expected] of cases) assert.equal(next(cron, after), expected, cron);
});

// Guards against an expression that is accepted and never due, or read as another one.
test("what is no expression is refused with the field's name", () => {
  const cases: [string, RegExp][] = [
    ["", /five fields/],
    ["* * * *", /five fields/],
    ["* * * * * *", /five fields/],
    ["60 * * * *", /minute "60"/],
    ["* 24 * * *", /hour/],
    ["* * 0 * *", /day of the month/],
    ["* * * 13 *", /month/],
    ["* * * * 8", /day of the week/],
    ["*/0 * * * *", /step of 0/],
    ["20-10 * * * *", /ends before/],
    ["1,,2 * * * *", /can't be read/],
    ["-1 * * * *", /can't be read/],
    ["jan * * * *", /minute/],
    ["0 0 31 2 *", /no such month/],
    ["@hourly", /five fields/],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseCron(text),
      (error) => error instanceof CronError && message.test(error.message),
      text,
    );
  }
});

// Guards against a due time that is not after the last one, or that skips one.
test("due times are ahead, whole minutes, and none is left out", () => {
  const minute = fc.integer({ min: 0, max: 59 });
  fc.assert(
    fc.property(minute, fc.integer({ min: 0, max: 4e12 }), (each, afterMs) => {
      const dueMs = nextCronMs(parseCron(`${each} * * * *`), afterMs);
      assert.ok(dueMs > afterMs && dueMs <= afterMs + 3_600_000);
      assert.equal(new Date(dueMs).getUTCMinutes(), each);
      assert.equal(dueMs % 60_000, 0);
    }),
  );
});

// Guards against a hundred runs at once after an outage, and all sources at the same moment.
test("an interval is kept from the epoch, with an offset, and missed ones are skipped", () => {
  const schedule = { everyMs: 900_000 };
  assert.equal(nextDueMs(schedule, at("2026-06-01T10:00:00Z")), at("2026-06-01T10:15:00Z"));
  assert.equal(nextDueMs(schedule, at("2026-06-01T23:50:01Z")), at("2026-06-02T00:00:00Z"));
  const spread = nextDueMs(schedule, at("2026-06-01T10:00:00Z"), 61_000);
  assert.equal(spread, at("2026-06-01T10:01:01Z"));
  assert.equal(nextDueMs(schedule, spread, 61_000) - spread, 900_000);
  for (const everyMs of [0, 59_999, 1.5e5 + 0.5, Number.NaN, 31 * 86_400_000]) {
    assert.throws(() => nextDueMs({ everyMs }, 0), RangeError);
  }
  assert.equal(cadenceMs(defaultSchedule, 0), 3_600_000);
  assert.equal(cadenceMs(schedule, 7), 900_000);
});
