import type { Statement, Tx } from "#kernel/db/types.ts";
import { beforeId } from "#kernel/http/cursor.ts";
import type { ListFilter } from "../schemas/common.ts";

/** $1 to $4 of a list: the rows older than the cursor's, and one more than the page holds. */
export function sliceOf({ cursor, active, q, limit }: ListFilter): unknown[] {
  return [beforeId(cursor), active ?? null, q ?? null, limit + 1];
}

/** A filter's value and the condition that it makes; `place` is where it stands in a statement. */
export type Condition = readonly [value: unknown, condition: (place: string) => string];

/**
 * The conditions whose filters are given, with the filters' values, which stand from `$first` on.
 * Each combination makes a text of its own, and so has the plan, and the index, that suits it.
 */
export function conditionsOf(
  filters: readonly Condition[],
  first: number,
): { conditions: string[]; values: unknown[] } {
  const given = filters.filter(([value]) => value !== undefined && value !== null);
  return {
    conditions: given.map(([, condition], index) => condition(`$${first + index}`)),
    values: given.map(([value]) => value),
  };
}

/** The same for a page of a list; $2 is how many rows to read, one more than the page holds. */
export function narrowed(
  { cursor, limit }: { cursor?: string; limit: number },
  filters: readonly Condition[],
): { where: string; values: unknown[] } {
  const { conditions, values } = conditionsOf(filters, 3);
  return {
    where: ["id < $1", ...conditions].join(" and "),
    values: [beforeId(cursor), limit + 1, ...values],
  };
}

/** Runs those of the statements that are not null in one flight; their rows by the same names. */
export async function batchOf<Name extends string>(
  tx: Tx,
  statements: Readonly<Record<Name, Statement | null>>,
): Promise<Record<Name, Record<string, unknown>[]>> {
  const names = Object.keys(statements) as Name[];
  const asked = names.filter((name) => statements[name] !== null);
  const answers = await tx.batch(asked.map((name) => statements[name] as Statement));
  const rowsOf = (name: Name) => answers[asked.indexOf(name)]?.rows ?? [];
  return Object.fromEntries(names.map((name) => [name, rowsOf(name)])) as Record<
    Name,
    Record<string, unknown>[]
  >;
}
