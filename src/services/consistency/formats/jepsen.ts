import type { HistoryBuilder } from "../rules/builder.ts";
import { HistoryError } from "../rules/history.ts";
import { shown } from "../rules/members.ts";
import {
  type Edn,
  type EdnCursor,
  type EdnMap,
  EdnWord,
  peekEdn,
  readEdn,
  unfinished,
} from "./edn.ts";
import { createEventPairing, type HistoryEvent } from "./events.ts";
import type { HistoryParser } from "./types.ts";

const formCharsAtMost = 2 ** 20;
const nsPerMs = 1e6;

/** How a history in EDN is to be read. */
export interface EdnDialect {
  /** Porcupine's key-value texts: "" is what a key holds that was never written. */
  readonly isPorcupine: boolean;
}

/**
 * Jepsen's history.edn: maps with :process :type :f :value and perhaps :time (ns) or :key, one
 * after the other or in one vector. Values of jepsen.independent are [key value]; so are all
 * values when the first is. What the nemesis did is left out.
 */
export function createEdnParser(builder: HistoryBuilder, dialect: EdnDialect): HistoryParser {
  const take = createEventTaker(builder, dialect);
  let rest = "";
  let line = 1;

  function readForms(isLast: boolean): void {
    // A blank ends the last word.
    const cursor: EdnCursor = { text: isLast ? `${rest}\n` : rest, at: 0, line };
    for (;;) {
      // Vectors and lists around the whole are looked through.
      for (let char = peekEdn(cursor); char !== "" && "()[]".includes(char); ) {
        cursor.at += 1;
        char = peekEdn(cursor);
      }
      const begins = { at: cursor.at, line: cursor.line };
      const form = readEdn(cursor);
      if (form !== unfinished) {
        take.event(form, begins.line);
        continue;
      }
      const left = cursor.text.slice(begins.at);
      if (isLast && !/^\s*(;.*)?$/.test(left)) {
        throw new HistoryError(begins.line, "it ends in the middle of a form");
      }
      rest = left;
      line = begins.line;
      return;
    }
  }

  return {
    push(text) {
      rest += text;
      readForms(false);
      if (rest.length > formCharsAtMost) {
        throw new HistoryError(line, `a form has more than ${formCharsAtMost} characters`);
      }
    },
    end() {
      readForms(true);
      take.end();
    },
  };
}

const eventTypes = new Set(["invoke", "ok", "fail", "info"]);

function createEventTaker(builder: HistoryBuilder, { isPorcupine }: EdnDialect) {
  const pairing = createEventPairing((given, line) => builder.add(given, line));
  let position = 0;
  let hasTime: boolean | null = null;
  let isKeyed: boolean | null = null;

  function timeOf(form: EdnMap, line: number): number {
    position += 1;
    const time = form.time;
    hasTime ??= typeof time === "number";
    if (position === 1) builder.describe({ clock: hasTime ? "ms" : "order" });
    if (!hasTime) return position;
    if (typeof time === "number") return time / nsPerMs;
    throw new HistoryError(line, `":time" is ${shown(plain(time ?? null))}; others have a number`);
  }

  function event(form: Edn, line: number): void {
    if (typeof form !== "object" || form === null || Array.isArray(form)) {
      throw new HistoryError(line, `it is ${shown(plain(form))}; each form must be a map`);
    }
    if (form instanceof EdnWord) throw new HistoryError(line, `:${form.name} is no map`);
    const { process, type, f } = form as EdnMap;
    const typeName = type instanceof EdnWord ? type.name : "";
    if (!eventTypes.has(typeName)) {
      const must = ":invoke, :ok, :fail or :info";
      throw new HistoryError(line, `":type" is ${shown(plain(type ?? null))}; it must be ${must}`);
    }
    if (process instanceof EdnWord) return;
    if (typeof process !== "number") {
      throw new HistoryError(line, `":process" is ${shown(plain(process ?? null))}, no number`);
    }
    const name = f instanceof EdnWord ? f.name : "";
    const { key, value } = partsOf(form as EdnMap, name, typeName, line);
    pairing.take(
      {
        type: typeName as HistoryEvent["type"],
        process: String(process),
        f: name,
        key,
        value: isPorcupine && value === "" ? null : value,
        at: timeOf(form as EdnMap, line),
        isMismatch: false,
      },
      line,
    );
  }

  function partsOf(form: EdnMap, name: string, type: string, line: number) {
    const given = plain(form.value ?? null);
    if (form.key !== undefined) return { key: plain(form.key) ?? "x", value: given };
    isKeyed ??= looksKeyed(given, name);
    if (!isKeyed) return { key: "x", value: given };
    if (Array.isArray(given) && given.length === 2) return { key: given[0], value: given[1] };
    if (type !== "invoke") return { key: "x", value: null };
    throw new HistoryError(line, `":value" is ${shown(given)}; others are [key value]`);
  }

  return { event, end: () => pairing.end() };
}

/** Whether a value is [key value]: for a cas, whose own is a pair, the second must be one again. */
function looksKeyed(value: unknown, name: string): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false;
  return name !== "cas" || Array.isArray(value[1]);
}

function plain(value: Edn): unknown {
  if (value instanceof EdnWord) return `:${value.name}`;
  return Array.isArray(value) ? value.map(plain) : value;
}
