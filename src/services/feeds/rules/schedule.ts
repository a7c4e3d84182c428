import { nextCronMs, parseCron } from "./cron.ts";

/** When a source runs: every so often, or at the moments of a cron expression in UTC. */
export type Schedule = { readonly everyMs: number } | { readonly cron: string };

export const everyMsMin = 60_000;
export const everyMsMax = 30 * 86_400_000;
/** What a source does that nobody gave a schedule. */
export const defaultSchedule: Schedule = { cron: "0 * * * *" };

/**
 * The first due time after a moment. What was missed meanwhile is not made up for: a feed is as of
 * now, so that a long outage is followed by one run and not by a hundred. `offsetMs` spreads
 * sources with the same `everyMs`. Throws `CronError`, and `RangeError` for an interval out of
 * bounds.
 */
export function nextDueMs(schedule: Schedule, afterMs: number, offsetMs = 0): number {
  if ("cron" in schedule) return nextCronMs(parseCron(schedule.cron), afterMs);
  const { everyMs } = schedule;
  if (!Number.isSafeInteger(everyMs) || everyMs < everyMsMin || everyMs > everyMsMax) {
    throw new RangeError(`every ${everyMs} ms; it must be ${everyMsMin} to ${everyMsMax}`);
  }
  const shiftMs = offsetMs % everyMs;
  return (Math.floor((afterMs - shiftMs) / everyMs) + 1) * everyMs + shiftMs;
}

/** How often a source is due, for rules that ask how old is too old: the time between two runs. */
export function cadenceMs(schedule: Schedule, atMs: number): number {
  const first = nextDueMs(schedule, atMs);
  return nextDueMs(schedule, first) - first;
}
