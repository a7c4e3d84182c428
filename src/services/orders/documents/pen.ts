import type { Mark, Setting, TextMark } from "./pdf.ts";
import { breakLines } from "./text.ts";

export const INK = "#16181d";
export const GREY = "#5c6370";
export const RED = "#a3211a";
const HAIRLINE = "#d5d8de";

export const TEXT_SIZE = 9;
export const LEADING = 12.5;
/** Heads of columns and what else is said aside. */
export const ASIDE: Style = { size: 8, color: GREY };

/** 9 points in ink, from the left, unless said otherwise. */
export type Style = Partial<Pick<TextMark, "size" | "align" | "color">> & { bold?: boolean };

/** Makes marks of plain texts. */
export interface Pen {
  text(x: number, y: number, text: string, style?: Style): Mark;
  /** As many lines as the text needs within `width`. */
  wrap(text: string, width: number, style?: Style): string[];
  widthOf(text: string, style?: Style): number;
}

/** A pen for documents whose texts have one weight each. */
export function penOf({ measure, printable }: Setting): Pen {
  return {
    text: (x, y, text, { bold = false, size = TEXT_SIZE, color = INK, align } = {}) => {
      const runs = [{ text: printable(text), bold }];
      return { kind: "text", x, y, size, color, runs, ...(align && { align }) };
    },
    wrap: (text, width, { bold = false, size = TEXT_SIZE } = {}) =>
      breakLines([{ text: printable(text), bold }], width / size, measure).map((runs) =>
        runs.map((run) => run.text).join(""),
      ),
    widthOf: (text, { bold = false, size = TEXT_SIZE } = {}) =>
      measure(printable(text), bold) * size,
  };
}

/** A hairline, or a heavier rule in ink. */
export function rule(x: number, y: number, width: number, isHeavy = false): Mark {
  const look = isHeavy ? { height: 0.9, color: INK } : { height: 0.6, color: HAIRLINE };
  return { kind: "box", x, y, width, ...look };
}
