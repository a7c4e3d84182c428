import type { HistoryBuilder } from "../rules/builder.ts";
import { HistoryError } from "../rules/history.ts";
import { type Given, metaIn, shown } from "../rules/members.ts";
import { takeRecord } from "./ndjson.ts";
import type { HistoryParser } from "./types.ts";

/** A JSON document is read as a whole, so that it has to fit. NDJSON has no such limit. */
const charsAtMost = 256 * 2 ** 20;

/**
 * One JSON document: a list of records as in NDJSON, or an object with that list as `operations`,
 * whose other members describe the history. For a faulty record, its number stands for its line.
 */
export function createJsonParser(builder: HistoryBuilder): HistoryParser {
  const pieces: string[] = [];
  let chars = 0;
  return {
    push(text) {
      chars += text.length;
      if (chars > charsAtMost) {
        throw new HistoryError(
          0,
          `a JSON document has more than ${charsAtMost} characters; NDJSON may be longer`,
        );
      }
      pieces.push(text);
    },
    end() {
      const text = pieces.join("");
      const document = parsed(text);
      const records = recordsOf(document, builder);
      records.forEach((record, at) => takeRecord(builder, record, at + 1));
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const { message } = error as Error;
    const position = Number(/at position (\d+)/.exec(message)?.[1] ?? text.length);
    const line = text.slice(0, position).split("\n").length;
    throw new HistoryError(line, `it is no JSON: ${message}`);
  }
}

function recordsOf(document: unknown, builder: HistoryBuilder): readonly unknown[] {
  if (Array.isArray(document)) return document;
  const { operations } = (document ?? {}) as Given;
  if (!Array.isArray(operations)) {
    throw new HistoryError(
      1,
      `it is ${shown(document)}; it must be a list, or an object with the list "operations"`,
    );
  }
  builder.describe(metaIn({ ...(document as Given), history: 1 }, 1));
  return operations;
}
