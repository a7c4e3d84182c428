import { HistoryError } from "../rules/history.ts";
import type { HistoryParser } from "./types.ts";

/** The longest line that is read; more is no history. */
export const lineCharsAtMost = 2 ** 20;

/** Cuts text into lines, which `take` gets with their numbers from 1; empty ones are left out. */
export function createLineParser(take: (text: string, line: number) => void): HistoryParser {
  let rest = "";
  let line = 0;
  const takeLine = (text: string) => {
    line += 1;
    const trimmed = text.endsWith("\r") ? text.slice(0, -1) : text;
    if (trimmed.length > lineCharsAtMost) tooLong();
    if (trimmed !== "") take(trimmed, line);
  };
  const tooLong = () => {
    throw new HistoryError(line, `the line has more than ${lineCharsAtMost} characters`);
  };
  return {
    push(text) {
      let from = 0;
      for (let to = text.indexOf("\n"); to >= 0; to = text.indexOf("\n", from)) {
        takeLine(from === 0 ? rest + text.slice(0, to) : text.slice(from, to));
        if (from === 0) rest = "";
        from = to + 1;
      }
      rest += text.slice(from);
      if (rest.length > lineCharsAtMost) {
        line += 1;
        tooLong();
      }
    },
    end() {
      if (rest.trim() !== "") takeLine(rest);
      rest = "";
    },
  };
}
