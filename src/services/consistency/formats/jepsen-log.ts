import type { HistoryBuilder } from "../rules/builder.ts";
import { HistoryError } from "../rules/history.ts";
import { createEventPairing, type HistoryEvent } from "./events.ts";
import { createLineParser } from "./lines.ts";
import type { HistoryParser } from "./types.ts";

/** A line of a Jepsen run's log: `INFO  jepsen.util - 3	:invoke	:cas	[1 2]`. */
export const logLine = /jepsen\.util\s+-\s+(\S+)\s+:(invoke|ok|fail|info)\s+:(\S+)\s+(.*\S)\s*$/;

/**
 * The log of a Jepsen test of one register or cas-register. Lines that are none of its operations
 * are left out. A cas that failed found another value; a write that failed never happened.
 */
export function createJepsenLogParser(builder: HistoryBuilder): HistoryParser {
  builder.describe({ clock: "order" });
  const pairing = createEventPairing((given, line) => builder.add(given, line));
  let position = 0;
  const lines = createLineParser((text, from, to, line) => {
    const found = logLine.exec(text.slice(from, to));
    const [, process = "", type = "", f = "", value = ""] = found ?? [];
    if (type === "" || !/^\d+$/.test(process)) return;
    position += 1;
    const isCall = type === "invoke";
    pairing.take(
      {
        type: type as HistoryEvent["type"],
        process,
        f,
        key: "x",
        value: isCall || type === "ok" ? valueOf(value, line) : null,
        at: position,
        isMismatch: type === "fail" && !value.startsWith(":"),
      },
      line,
    );
  });
  return {
    push: (text) => lines.push(text),
    end() {
      lines.end();
      pairing.end();
    },
  };
}

function valueOf(text: string, line: number): unknown {
  if (text === "nil") return null;
  const [, from, to] = /^\[(-?\d+) (-?\d+)\]$/.exec(text) ?? [];
  if (from !== undefined) return [Number(from), Number(to)];
  if (/^-?\d+$/.test(text)) return Number(text);
  throw new HistoryError(line, `its value is ${text}; it must be nil, a number or [number number]`);
}
