import type { EngineAnswer, EngineAsk } from "../engines/types.ts";
import type { OutcomeName, Operation, Value, Version } from "./history.ts";

const outcomes: Record<EngineAnswer["status"], OutcomeName> = {
  ok: "ok",
  mismatch: "fail",
  refused: "fail",
  unknown: "info",
};

const noVersion: Version = { term: 0, seq: 0 };
const microseconds = (ms: number): number => Math.round(ms * 1_000) / 1_000;

/** What is known of a request besides itself. */
export interface Asked {
  readonly ask: EngineAsk;
  readonly session: string;
  readonly callMs: number;
  readonly endMs: number;
  readonly mode: "CP" | "AP";
  /** The value that the expected version has; undefined where nobody remembers. */
  readonly expectedValue: Value;
}

/** A request and its answer as one operation of a history. */
export function recordedOperation(asked: Asked, answer: EngineAnswer): Operation {
  const { ask, session, mode, expectedValue } = asked;
  const isRead = ask.op === "read";
  // Without the value that it compared, all that is known of a cas is that it wrote.
  const isCas = ask.op === "cas" && expectedValue !== undefined;
  const write = ask.value === null ? "delete" : "write";
  const isTold = expectedValue !== null || ask.expected === null;
  return {
    id: ask.id,
    session,
    process: session,
    key: ask.key,
    op: isCas ? "cas" : ask.op === "cas" ? write : ask.op,
    value: isRead ? answer.value : isCas ? [expectedValue, ask.value] : ask.value,
    level: ask.level,
    call: microseconds(asked.callMs),
    return: microseconds(asked.endMs),
    outcome: outcomes[answer.status],
    ...(answer.replica !== null && { replica: answer.replica }),
    version: answer.status === "ok" ? (answer.version ?? absent(answer, isRead)) : null,
    ...(ask.token &&
      isRead &&
      mode === "CP" &&
      ask.level === "session" && { token: ask.token.version }),
    ...(isCas && answer.status === "mismatch" && isTold && { mismatch: true }),
  };
}

const absent = ({ value }: EngineAnswer, isRead: boolean): Version | null =>
  isRead && value === null ? noVersion : null;

/**
 * Tells of writes whose end nobody heard which version they have, where a read found their value
 * and no other write is known to have it: their clients still don't know, but reads of them are
 * understood.
 */
export function withFoundVersions(operations: readonly Operation[]): Operation[] {
  const placeOf = (key: string, what: unknown) => `${JSON.stringify(what)} ${key}`;
  const known = new Set<string>();
  const found = new Map<string, Version | null>();
  for (const { op, key, outcome, version } of operations) {
    if (op !== "read" && outcome === "ok" && version) known.add(placeOf(key, version));
  }
  for (const { op, key, outcome, version, value } of operations) {
    if (op !== "read" || outcome !== "ok" || !version || value === null) continue;
    if (known.has(placeOf(key, version))) continue;
    const place = placeOf(key, value);
    const before = found.get(place);
    const isSame = before?.term === version.term && before.seq === version.seq;
    found.set(place, before === undefined || isSame ? version : null);
  }
  const writtenOf = ({ op, value }: Operation) => (op === "cas" ? (value as Value[])[1] : value);
  return operations.map((one) => {
    if (one.op === "read" || one.outcome !== "info") return one;
    const version = found.get(placeOf(one.key, writtenOf(one)));
    return version ? { ...one, version } : one;
  });
}
