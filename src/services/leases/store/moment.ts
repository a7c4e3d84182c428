import { type Clock, isoNow, systemClock } from "#kernel/clock.ts";
import type { Statement } from "#kernel/db/types.ts";

/**
 * What stands for the database's clock: null, which is the clock itself, unless a test holds the
 * process's. No process decides by its own time, since several work on the same leases.
 */
export const momentOf = (clock: Clock): string | null =>
  clock === systemClock ? null : isoNow(clock);

/** Whole milliseconds since the epoch, of a column or an expression. */
export const epochMs = (expression: string): string =>
  `(extract(epoch from ${expression}) * 1000)::bigint`;

/** The database's moment, cut to milliseconds, given where `momentOf` stands. */
export const nowAt = (place: string): string =>
  `date_trunc('milliseconds', coalesce(${place}::timestamptz, clock_timestamp()))`;

/** One row with `nowMs`. Behind a statement that waits for a lock, it is the moment after that. */
export const selectNow = (clock: Clock): Statement => ({
  text: `select ${epochMs(nowAt("$1"))} as "nowMs"`,
  values: [momentOf(clock)],
});

/** The moment of a `selectNow` among a batch's answers. */
export function nowMsIn(answer: { rows: unknown[] } | undefined): number {
  const row = answer?.rows[0] as { nowMs: number } | undefined;
  if (!row) throw new TypeError("The batch has no answer of selectNow there");
  return row.nowMs;
}
