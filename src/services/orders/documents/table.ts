import type { Mark } from "./pdf.ts";
import { ASIDE, LEADING, type Pen, rule, type Style, TEXT_SIZE } from "./pen.ts";

const COLUMN_GAP = 16;
const COLUMN_WIDTH_MIN = 36;
const ROW_PADDING = 5.5;
const UNRULED_PADDING = 2;
const HEAD_HEIGHT = 17;

/** Something on a page that knows its height, to be put wherever there is room for it. */
export interface Block {
  readonly height: number;
  at(y: number): Mark[];
}

export interface Table {
  readonly head: Block;
  rowOf(texts: readonly string[]): Block;
  /** From the left edge to the end of the last column. */
  readonly width: number;
}

export interface TableOptions {
  readonly left: number;
  /** Where the last column ends; without it, the table is as wide as its texts. */
  readonly right?: number;
  readonly heads: readonly string[];
  /** What the columns have to be wide enough for. */
  readonly rows: readonly (readonly string[])[];
  /** Whether a hairline ends each row. */
  readonly isRuled: boolean;
}

/**
 * A table whose first column is text, which may take several lines, and whose others are figures,
 * right-aligned and each as wide as its widest.
 */
export function tableOf({ left, right, heads, rows, isRuled }: TableOptions, pen: Pen): Table {
  const widthOfColumn = (column: number) =>
    Math.max(
      COLUMN_WIDTH_MIN,
      pen.widthOf(heads[column] ?? "", ASIDE),
      ...rows.map((row) => pen.widthOf(row[column] ?? "")),
    );
  const widths = heads.map((_, column) => (column === 0 ? 0 : COLUMN_GAP + widthOfColumn(column)));
  const figuresWidth = widths.reduce((sum, each) => sum + each, 0);
  // A point more than it measures: lines are measured word by word.
  const firstWidth = right === undefined ? widthOfColumn(0) + 1 : right - left - figuresWidth;
  const width = firstWidth + figuresWidth;
  const ends = widths.map((_, column) => {
    const after = widths.slice(column + 1).reduce((sum, each) => sum + each, 0);
    return left + width - after;
  });
  const figures = (texts: readonly string[], y: number, style: Style = {}): Mark[] =>
    texts.flatMap((text, column) =>
      column === 0 ? [] : [pen.text(ends[column] ?? left, y, text, { ...style, align: "right" })],
    );
  return {
    width,
    head: {
      height: HEAD_HEIGHT,
      at: (y) => [
        pen.text(left, y + 10, heads[0] ?? "", ASIDE),
        ...figures(heads, y + 10, ASIDE),
        rule(left, y + HEAD_HEIGHT - 1, width, isRuled),
      ],
    },
    rowOf: (row) => {
      const lines = pen.wrap(row[0] ?? "", firstWidth);
      const padding = isRuled ? ROW_PADDING : UNRULED_PADDING;
      const height = lines.length * LEADING + 2 * padding;
      return {
        height,
        at: (y) => {
          const baseline = y + padding + TEXT_SIZE;
          return [
            ...lines.map((line, at) => pen.text(left, baseline + at * LEADING, line)),
            ...figures(row, baseline),
            ...(isRuled ? [rule(left, y + height - 0.6, width)] : []),
          ];
        },
      };
    },
  };
}

/** One block below the other. */
export function stack(blocks: readonly Block[], gap = 0): Block {
  const height = blocks.reduce((sum, block) => sum + block.height + gap, -gap);
  return {
    height: Math.max(0, height),
    at: (y) => {
      let top = y;
      return blocks.flatMap((block) => {
        const marks = block.at(top);
        top += block.height + gap;
        return marks;
      });
    },
  };
}

/** Blocks that begin at the same height. */
export function abreast(blocks: readonly Block[]): Block {
  return {
    height: Math.max(0, ...blocks.map(({ height }) => height)),
    at: (y) => blocks.flatMap((block) => block.at(y)),
  };
}
