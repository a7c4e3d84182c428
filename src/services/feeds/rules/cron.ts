/** The five fields of a cron expression as the values that match. */
export interface Cron {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** Where both are restricted a day matches if either does, as cron has always had it. */
  readonly isEitherDay: boolean;
}

interface Field {
  name: string;
  min: number;
  max: number;
  names?: readonly string[];
}

const monthNames = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");
const dayNames = "sun mon tue wed thu fri sat".split(" ");
const fields: readonly Field[] = [
  { name: "minute", min: 0, max: 59 },
  { name: "hour", min: 0, max: 23 },
  { name: "day of the month", min: 1, max: 31 },
  { name: "month", min: 1, max: 12, names: monthNames },
  { name: "day of the week", min: 0, max: 7, names: dayNames },
];

const expressionCharsMax = 200;

/** A text that is no cron expression; the message says which field and why. */
export class CronError extends Error {}

/**
 * Reads `minute hour day month weekday`: numbers, names of months and days, `*`, lists, ranges and
 * steps (an open one, `5/15`, goes on to the field's end); Sunday is 0 or 7. Throws `CronError`.
 */
export function parseCron(text: string): Cron {
  const parts = text.trim().toLowerCase().split(/\s+/);
  if (text.length > expressionCharsMax || parts.length !== fields.length) {
    throw new CronError(`"${text.slice(0, 50)}" must have five fields, such as "0 * * * *"`);
  }
  const sets = parts.map((part, at) => parseField(part, fields[at] as Field));
  const [minutes, hours, days, months, weekdays] = sets as [
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
  ];
  if (weekdays.delete(7)) weekdays.add(0);
  const isOpen = (at: number) => parts[at]?.startsWith("*");
  const cron = { minutes, hours, days, months, weekdays, isEitherDay: !isOpen(2) && !isOpen(4) };
  if (!cron.isEitherDay && !dayExists(cron)) {
    throw new CronError(`"${text}" names a day that no such month has`);
  }
  return cron;
}

const longestMonth = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const dayExists = ({ days, months }: Pick<Cron, "days" | "months">) =>
  [...months].some((month) => Math.min(...days) <= (longestMonth[month - 1] as number));

function parseField(text: string, field: Field): Set<number> {
  const bad = (why: string) => new CronError(`the ${field.name} "${text}" ${why}`);
  const values = new Set<number>();
  for (const item of text.split(",")) {
    const [, range, from, to, step] =
      /^(\*|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:\/(\d{1,2}))?$/.exec(item) ?? [];
    if (range === undefined) throw bad("can't be read");
    const first = from === undefined ? field.min : valueOf(from, field);
    const isOpen = from === undefined || (to === undefined && step !== undefined);
    const last = isOpen ? lastOf(field) : valueOf(to ?? from, field);
    if (first === null || last === null) {
      throw bad(`must be of ${field.min} to ${field.max}${field.names ? " or names" : ""}`);
    }
    const stride = step === undefined ? 1 : Number(step);
    if (stride === 0) throw bad("has a step of 0");
    if (last < first) throw bad("has a range that ends before it begins");
    for (let value = first; value <= last; value += stride) values.add(value);
  }
  return values;
}

/** Sunday stands in the week once, although 7 names it too. */
const lastOf = ({ max, names }: Field) => (names === dayNames ? 6 : max);

function valueOf(text: string, { min, max, names }: Field): number | null {
  const named = names?.indexOf(text) ?? -1;
  if (named !== -1) return named + (names === monthNames ? 1 : 0);
  const value = /^\d{1,2}$/.test(text) ? Number(text) : -1;
  return value >= min && value <= max ? value : null;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** 29 February comes again after eight years at most, across a century. */
const daysAheadMax = 8 * 366 + 1;

/** The first moment after another that an expression names, in UTC. Milliseconds since 1970. */
export function nextCronMs(cron: Cron, afterMs: number): number {
  const startMs = (Math.floor(afterMs / minuteMs) + 1) * minuteMs;
  let dayStartMs = Math.floor(startMs / dayMs) * dayMs;
  for (let day = 0; day < daysAheadMax; day += 1, dayStartMs += dayMs) {
    if (!matchesDay(cron, new Date(dayStartMs))) continue;
    for (const hour of [...cron.hours].sort((a, b) => a - b)) {
      for (const minute of [...cron.minutes].sort((a, b) => a - b)) {
        const ms = dayStartMs + (hour * 60 + minute) * minuteMs;
        if (ms >= startMs) return ms;
      }
    }
  }
  throw new CronError("the expression names no moment of the next eight years");
}

function matchesDay({ days, months, weekdays, isEitherDay }: Cron, date: Date): boolean {
  if (!months.has(date.getUTCMonth() + 1)) return false;
  const [isDay, isWeekday] = [days.has(date.getUTCDate()), weekdays.has(date.getUTCDay())];
  return isEitherDay ? isDay || isWeekday : isDay && isWeekday;
}
