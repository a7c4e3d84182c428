import { createHash } from "node:crypto";
import type {
  BreakerEvent,
  Fault,
  HistoryMeta,
  LevelName,
  Operation,
  OutcomeName,
  Version,
} from "../rules/history.ts";
import { noVersion } from "./member.ts";
import type { Answer, Write } from "./types.ts";

/** What a request asked, and the value that its cas expected. */
export interface Asked {
  readonly id: string;
  readonly process: string;
  readonly replica: string;
  readonly key: string;
  readonly level: LevelName;
  readonly write: Write | null;
  readonly expectedValue: unknown;
  readonly token: Version | null;
  readonly call: number;
}

/** Everything that happened to a store, in the terms of the checker. */
export interface Recording {
  readonly meta: Partial<HistoryMeta>;
  readonly operations: readonly Operation[];
  readonly faults: readonly Fault[];
  readonly breakers: readonly BreakerEvent[];
}

/** Times are told in whole microseconds, which text keeps exactly. */
export const microseconds = (ms: number): number => Math.round(ms * 1_000) / 1_000;

/** What a request whose breaker was open, and so was never sent, comes to. */
export const rejection: Pick<Answer, "status" | "value" | "version"> = {
  status: "refused",
  value: null,
  version: null,
};

const outcomes: Record<Answer["status"], OutcomeName> = {
  ok: "ok",
  mismatch: "fail",
  refused: "fail",
  unknown: "info",
};

/** A request and its answer as one operation of a history. */
export function operationOf(
  asked: Asked,
  answer: Pick<Answer, "status" | "value" | "version">,
  endMs: number,
): Operation {
  const { write, expectedValue } = asked;
  const isRead = write === null;
  const isCas = write?.op === "cas";
  // A deleted key looks like one that never was; only its version tells, which a cas may compare.
  const isTold = expectedValue !== null || write?.expected === null;
  return {
    id: asked.id,
    session: asked.process,
    process: asked.process,
    key: asked.key,
    op: write?.op ?? "read",
    value: isRead ? answer.value : isCas ? [expectedValue, write.value] : write.value,
    level: asked.level,
    call: microseconds(asked.call),
    return: microseconds(endMs),
    outcome: outcomes[answer.status],
    replica: asked.replica,
    version: answer.status === "ok" ? (answer.version ?? noVersion) : null,
    ...(asked.token && isRead && asked.level === "session" && { token: asked.token }),
    ...(isCas && answer.status === "mismatch" && isTold && { mismatch: true }),
  };
}

/**
 * Tells of writes whose end nobody heard which version they have, where a replica applied them:
 * their clients still don't know, but reads of them are understood (as etcd's own checks do).
 */
export const withVersions = (
  operations: readonly Operation[],
  versionOf: (id: string) => Version | null,
): Operation[] =>
  operations.map((one) => (one.outcome === "info" ? { ...one, version: versionOf(one.id) } : one));

/** A recording as the lines of an NDJSON history. */
export function* linesOf({ meta, operations, faults, breakers }: Recording): Generator<string> {
  yield JSON.stringify({ history: 1, ...meta });
  for (const fault of faults) yield JSON.stringify(fault);
  for (const event of breakers) yield JSON.stringify(event);
  for (const operation of operations) yield JSON.stringify(operation);
}

/** Two runs are the same when every byte of their histories is. */
export function hashOf(recording: Recording): string {
  const hash = createHash("sha256");
  for (const line of linesOf(recording)) hash.update(`${line}\n`);
  return hash.digest("hex");
}
