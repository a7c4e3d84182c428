import { HistoryError } from "../rules/history.ts";
import type { HistoryParser } from "./types.ts";

/** The longest line that is read; more is no history. */
export const lineCharsAtMost = 2 ** 20;

/** Takes a line, which is text[from … to - 1], with its number from 1. */
export type TakeLine = (text: string, from: number, to: number, line: number) => void;

const carriageReturn = 13;

/** Cuts text into lines, without copying them; empty ones are left out. */
export function createLineParser(take: TakeLine): HistoryParser {
  let rest = "";
  let line = 0;
  const takeLine = (text: string, from: number, end: number) => {
    line += 1;
    const to = text.charCodeAt(end - 1) === carriageReturn ? end - 1 : end;
    if (to - from > lineCharsAtMost) tooLong();
    if (to > from) take(text, from, to, line);
  };
  const tooLong = () => {
    throw new HistoryError(line, `the line has more than ${lineCharsAtMost} characters`);
  };
  return {
    push(text) {
      let from = 0;
      if (rest !== "") {
        const end = text.indexOf("\n");
        rest += end < 0 ? text : text.slice(0, end);
        from = end < 0 ? text.length : end + 1;
        if (end >= 0) {
          takeLine(rest, 0, rest.length);
          rest = "";
        }
      }
      for (let to = text.indexOf("\n", from); to >= 0; to = text.indexOf("\n", from)) {
        takeLine(text, from, to);
        from = to + 1;
      }
      rest += text.slice(from);
      if (rest.length > lineCharsAtMost) {
        line += 1;
        tooLong();
      }
    },
    end() {
      if (rest.trim() !== "") takeLine(rest, 0, rest.length);
      rest = "";
    },
  };
}
