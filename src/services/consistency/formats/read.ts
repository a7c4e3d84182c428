import {
  type BuilderOptions,
  createHistoryBuilder,
  type HistoryBuilder,
} from "../rules/builder.ts";
import { type History, HistoryError, type HistoryMeta } from "../rules/history.ts";
import { createJepsenLogParser, logLine } from "./jepsen-log.ts";
import { createEdnParser } from "./jepsen.ts";
import { createJsonParser } from "./json.ts";
import { createNdjsonParser } from "./ndjson.ts";
import type { FormatName, HistoryParser } from "./types.ts";

/** Reads the text of a history as it comes; what is kept is the history, not its text. */
export interface HistoryReader {
  /** The next piece of text, cut anywhere. Throws HistoryError. */
  push(text: string): void;
  /** The history, when all was pushed. Throws HistoryError. */
  end(): { history: History; format: FormatName };
}

export interface ReaderOptions extends BuilderOptions {
  /** Without it, told by how the text begins. */
  format?: FormatName | null;
  /** What holds for the history, whatever it says itself. */
  meta?: Partial<HistoryMeta>;
}

const parsers: Record<FormatName, (builder: HistoryBuilder) => HistoryParser> = {
  ndjson: createNdjsonParser,
  json: createJsonParser,
  edn: (builder) => createEdnParser(builder, { isPorcupine: false }),
  porcupine: (builder) => createEdnParser(builder, { isPorcupine: true }),
  "jepsen-log": createJepsenLogParser,
};

/** So much is looked at before a format has to be recognised. */
const headChars = 64 * 1_024;

/** The format that a text begins like, or null. Reads no more than its first records. */
export function detectFormat(head: string): FormatName | null {
  const text = head.replace(/^\uFEFF/, "").trimStart();
  if (/^\{\s*:process\s+\d+[^}]*:key\s/.test(text)) return "porcupine";
  if (/^(;|#jepsen|[[(]?\s*(#jepsen\S*\s*)?\{\s*:)/.test(text)) return "edn";
  if (text.startsWith("[") || text.startsWith("{"))
    return looksLikeNdjson(text) ? "ndjson" : "json";
  return logLine.test(
    text
      .slice(0, text.lastIndexOf("\n") + 1)
      .split("\n")
      .find(isLog) ?? "",
  )
    ? "jepsen-log"
    : null;
}

const isLog = (line: string): boolean => logLine.test(line);

/** Whether the first line is a whole object, and no document on one line. */
function looksLikeNdjson(text: string): boolean {
  const [first = ""] = text.split("\n", 1);
  if (!first.startsWith("{")) return false;
  try {
    return !Array.isArray(JSON.parse(first).operations);
  } catch {
    // An object that ends on a later line.
    return first.length < headChars && /^\{"(id|history|session|process|op)"/.test(first);
  }
}

/** A reader of one history. */
export function createHistoryReader(options: ReaderOptions = {}): HistoryReader {
  const builder = createHistoryBuilder(options);
  let format = options.format ?? null;
  let parser = format ? parsers[format](builder) : null;
  let head = "";

  function begin(): HistoryParser {
    format = detectFormat(`${head}\n`);
    if (format === null) {
      const known = Object.keys(parsers).join(", ");
      throw new HistoryError(1, `no known format begins like this; say which it is: ${known}`);
    }
    const begun = parsers[format](builder);
    begun.push(head.replace(/^\uFEFF/, ""));
    head = "";
    return begun;
  }

  return {
    push(text) {
      if (parser) return parser.push(text);
      head += text;
      if (head.length >= headChars) parser = begin();
    },
    end() {
      parser ??= begin();
      parser.end();
      if (options.meta) builder.describe(options.meta);
      if (builder.count === 0) throw new HistoryError(0, "there is no operation in it");
      return { history: builder.finish(), format: format! };
    },
  };
}
