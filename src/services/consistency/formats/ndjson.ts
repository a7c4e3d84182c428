import type { HistoryBuilder } from "../rules/builder.ts";
import { HistoryError } from "../rules/history.ts";
import { breakerIn, faultIn, type Given, metaIn, shown } from "../rules/members.ts";
import { createLineParser } from "./lines.ts";
import type { HistoryParser } from "./types.ts";

/**
 * One JSON object a line: an operation, or a fault or a breaker's event in between. The first line
 * may say what holds for the whole: `{"history": 1, …}`.
 */
export function createNdjsonParser(builder: HistoryBuilder): HistoryParser {
  return createLineParser((text, from, to, line) => {
    takeRecord(builder, parsed(text.slice(from, to), line), line);
  });
}

function parsed(text: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HistoryError(line, `it is no JSON: ${(error as Error).message}`);
  }
}

/** Takes an operation, a fault, a breaker's event or the description of a history. */
export function takeRecord(builder: HistoryBuilder, value: unknown, line: number): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new HistoryError(line, `it is ${shown(value)}; each record must be an object`);
  }
  const given = value as Given;
  if (given.op !== undefined) builder.add(given, line);
  else if (given.fault !== undefined) builder.addFault(faultIn(given, line));
  else if (given.history !== undefined) builder.describe(metaIn(given, line));
  else if (given.breaker !== undefined) builder.addBreakerEvent(breakerIn(given, line));
  else {
    const must = '"op", or else "fault", "breaker" or "history"';
    throw new HistoryError(line, `it is ${shown(value)}; a record has a member ${must}`);
  }
}
