import { displayWidth, fit, pad, readable } from "./text.ts";

export interface Column {
  title: string;
  /** The member of a row, or what to make of the row. */
  value: string | ((row: Record<string, unknown>) => unknown);
  /** Stands to the right, as numbers do by themselves. */
  isAmount?: true;
}

const gap = "  ";
const narrowestColumns = 6;
const identifier = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Rows as aligned columns, numbers to the right. With `widthColumns` (a terminal's) no line is
 * longer: the widest columns give way first, identifiers last, because they get copied.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly Record<string, unknown>[],
  options: { widthColumns?: number; heading?: (text: string) => string } = {},
): string[] {
  const cells = rows.map((row) =>
    columns.map(({ value }) => (typeof value === "function" ? value(row) : row[value])),
  );
  const texts = cells.map((row) => row.map(readable));
  const titles = columns.map(({ title }) => title.toUpperCase());
  const natural = titles.map((title, index) =>
    Math.max(displayWidth(title), ...texts.map((row) => displayWidth(row[index] as string))),
  );
  const isId = columns.map((_, index) => texts.some((row) => identifier.test(row[index] ?? "")));
  const widths = shrink(natural, isId, options.widthColumns ?? Number.POSITIVE_INFINITY);
  const isNumeric = columns.map(
    ({ isAmount }, index) =>
      isAmount || cells.every((row) => row[index] === null || typeof row[index] === "number"),
  );
  const line = (row: readonly string[]) =>
    row
      .map((text, index) => {
        const width = widths[index] as number;
        return pad(fit(text, width), width, isNumeric[index] ? "right" : "left");
      })
      .join(gap)
      .trimEnd();
  const heading = options.heading ?? ((text) => text);
  return [heading(line(titles)), ...texts.map(line)];
}

/** Takes columns from whichever is widest, from identifiers only when nothing else has any left. */
function shrink(natural: readonly number[], isId: readonly boolean[], widthColumns: number) {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width + gap.length, -gap.length) - widthColumns;
  for (const fromIds of [false, true]) {
    const givers = widths.map((_, index) => index).filter((index) => isId[index] === fromIds);
    while (excess > 0) {
      const [widest] = givers.toSorted((a, b) => (widths[b] as number) - (widths[a] as number));
      if (widest === undefined || (widths[widest] as number) <= narrowestColumns) break;
      widths[widest] = (widths[widest] as number) - 1;
      excess -= 1;
    }
  }
  return widths;
}

/** One thing as `name  value` lines; members that are objects or lists of them stand indented. */
export function formatRecord(record: Readonly<Record<string, unknown>>, indent = ""): string[] {
  const names = Object.keys(record);
  const width = Math.max(0, ...names.map((name) => displayWidth(spaced(name))));
  return names.flatMap((name) => {
    const value = record[name];
    const label = `${indent}${spaced(name)}`;
    if (isRecord(value)) return [label, ...formatRecord(value, `${indent}  `)];
    if (Array.isArray(value) && value.length > 0 && value.every(isRecord)) {
      return [label, ...value.flatMap((item) => formatRecord(item, `${indent}  `))];
    }
    return [`${pad(label, indent.length + width)}${gap}${readable(value)}`];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `createdAt` as "created at". */
function spaced(name: string): string {
  return name.replace(
    /([a-z0-9])([A-Z])/g,
    (_, before, letter) => `${before} ${letter.toLowerCase()}`,
  );
}
