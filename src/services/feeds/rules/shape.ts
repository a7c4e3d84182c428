import { ancestorsOf } from "./records.ts";
import type { Column, ObservedColumn, StreamSchema } from "./schema.ts";

type Observed = ReadonlyMap<string, ObservedColumn>;

/** Fewer records say nothing about a column that none of them has. */
const removalRecordsMin = 10;
/** How likely it may be that a column that comes and goes is absent by chance. */
const chanceMax = 0.01;

/** Names on a page that the schema has neither as column nor as alias. */
export function addedNames(
  { columns, aliases }: StreamSchema,
  observed: Observed,
  renames: Readonly<Record<string, string>> = {},
): string[] {
  const known = new Set(columns.map(({ name }) => name));
  return [...observed.keys()].filter(
    (name) => !known.has(name) && !(name in aliases) && !(name in renames),
  );
}

/**
 * Columns that the source has stopped sending: expected, and in none of the page's records. One
 * whose object is there and null (`roi` for `roi.times`) is not absent, nor one that few records
 * ever had.
 */
export function absentColumns(
  { columns, aliases }: StreamSchema,
  observed: Observed,
  records: readonly unknown[],
): Column[] {
  if (records.length < removalRecordsMin) return [];
  const present = new Set<string>();
  for (const name of observed.keys()) present.add(aliases[name] ?? name);
  return columns.filter((column) => {
    if (column.isAbsent || column.of === 0 || present.has(column.name)) return false;
    if (ancestorsOf(column.name).some((name) => observed.has(name))) return false;
    const share = (column.seen + 1) / (column.of + 2);
    return (1 - share) ** records.length < chanceMax;
  });
}
