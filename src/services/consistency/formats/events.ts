import { HistoryError } from "../rules/history.ts";
import { type Given, shown } from "../rules/members.ts";
import type { AddOperation } from "./types.ts";

/** One of the two events of an operation: its call, or how it ended. */
export interface HistoryEvent {
  readonly type: "invoke" | "ok" | "fail" | "info";
  readonly process: string;
  /** read, write, cas, append, … as the source names it. */
  readonly f: string;
  readonly key: unknown;
  readonly value: unknown;
  /** When, in ms; or the event's position. */
  readonly at: number;
  /** A failed cas that failed because it found another value. */
  readonly isMismatch: boolean;
}

const opOf: Readonly<Record<string, string>> = {
  read: "read",
  get: "read",
  r: "read",
  write: "write",
  put: "write",
  w: "write",
  cas: "cas",
  "compare-and-set": "cas",
  append: "append",
  delete: "delete",
};

interface Waiting {
  readonly event: HistoryEvent;
  readonly line: number;
}

/**
 * Makes operations of events: a call and the next event of the same process are one. What has no
 * second event was never answered. `end` hands over those.
 */
export function createEventPairing(add: AddOperation) {
  const waiting = new Map<string, Waiting>();

  function finish({ event, line }: Waiting, ended: HistoryEvent | null): void {
    const op = opOf[event.f];
    if (op === undefined) {
      const known = Object.keys(opOf).join(", ");
      throw new HistoryError(line, `the operation is ${shown(event.f)}; known are ${known}`);
    }
    const outcome = ended === null || ended.type === "invoke" ? "info" : ended.type;
    const isRead = op === "read";
    const given: Given = {
      process: event.process,
      key: event.key ?? "x",
      op,
      value: isRead ? (outcome === "ok" ? ended?.value : null) : event.value,
      call: event.at,
      return: ended?.at ?? null,
      outcome,
      mismatch: op === "cas" && outcome === "fail" && ended?.isMismatch === true,
    };
    add(given, line);
  }

  return {
    take(event: HistoryEvent, line: number): void {
      const before = waiting.get(event.process);
      if (event.type === "invoke") {
        if (before) {
          throw new HistoryError(
            line,
            `process ${event.process} calls while its call of line ${before.line} has no end`,
          );
        }
        waiting.set(event.process, { event, line });
        return;
      }
      if (!before) {
        throw new HistoryError(line, `process ${event.process} ends what it never called`);
      }
      waiting.delete(event.process);
      finish(before, event);
    },
    end(): void {
      for (const one of waiting.values()) finish(one, null);
      waiting.clear();
    },
  };
}
