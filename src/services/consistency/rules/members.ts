import {
  type BreakerEvent,
  type BreakerSettings,
  breakerStates,
  type Fault,
  type Fork,
  HistoryError,
  type HistoryMeta,
  type Version,
} from "./history.ts";

/** A record as it came, before anything is known of it. */
export type Given = Readonly<Record<string, unknown>>;

const shownChars = 60;

/** A value as a message shows it: JSON, shortened. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > shownChars ? `${text.slice(0, shownChars)}…` : text;
}

/** Refuses a member of a record: what it is, and what it must be. Throws HistoryError. */
export function refuse(line: number, name: string, value: unknown, must: string): never {
  const is = value === undefined ? "is missing" : `is ${shown(value)}`;
  throw new HistoryError(line, `"${name}" ${is}; it must be ${must}`);
}

const numberAtMost = 2 ** 53;

/** A finite number within ±2^53, or HistoryError. */
export function numberIn(given: Given, name: string, line: number): number {
  const value = given[name];
  if (typeof value === "number" && Math.abs(value) <= numberAtMost) return value;
  return refuse(line, name, value, "a number within ±2^53");
}

/** A name: text or a number, or HistoryError. */
export function nameIn(value: unknown, name: string, line: number): string {
  if (typeof value === "string" && value !== "") return value;
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  return refuse(line, name, value, "a text or a number");
}

/** The position of a word in a list of words, or HistoryError. */
export function wordIn(given: Given, name: string, words: readonly string[], line: number): number {
  const at = words.indexOf(given[name] as string);
  if (at >= 0) return at;
  return refuse(line, name, given[name], `one of ${words.join(", ")}`);
}

/** A version `{term, seq}` of whole numbers from 0, null where there is none, or HistoryError. */
export function versionIn(given: Given, name: string, line: number): Version | null {
  const value = given[name];
  if (value === undefined || value === null) return null;
  const { term, seq } = value as Partial<Version>;
  const isGood = (part: unknown) => Number.isSafeInteger(part) && (part as number) >= 0;
  if (typeof value === "object" && isGood(term) && isGood(seq)) return value as Version;
  return refuse(line, name, value, 'null or {"term": …, "seq": …} of whole numbers from 0');
}

function optionalNumber(given: Given, name: string, line: number): number | null {
  const value = given[name];
  return value === undefined || value === null ? null : numberIn(given, name, line);
}

/** What a history is when nothing says anything else. */
export const usualMeta: HistoryMeta = {
  name: null,
  clock: "ms",
  versions: "global",
  initial: null,
  maxStalenessMs: null,
  maxStalenessVersions: null,
  operationTimeoutMs: null,
  mode: null,
  forks: [],
  breaker: null,
};

/** The first line of an NDJSON history, `{"history": 1, …}`. Throws HistoryError. */
export function metaIn(given: Given, line: number): HistoryMeta {
  if (given.history !== 1) refuse(line, "history", given.history, "1, the version of the format");
  const word = (name: string, words: readonly string[]) =>
    given[name] === undefined || given[name] === null
      ? null
      : words[wordIn(given, name, words, line)]!;
  return {
    name: given.name === undefined ? null : nameIn(given.name, "name", line),
    clock: (word("clock", ["ms", "order"]) ?? "ms") as HistoryMeta["clock"],
    versions: (word("versions", ["global", "key"]) ?? "global") as HistoryMeta["versions"],
    initial: given.initial ?? null,
    maxStalenessMs: optionalNumber(given, "maxStalenessMs", line),
    maxStalenessVersions: optionalNumber(given, "maxStalenessVersions", line),
    operationTimeoutMs: optionalNumber(given, "operationTimeoutMs", line),
    mode: word("mode", ["CP", "AP"]) as HistoryMeta["mode"],
    forks: forksIn(given, line),
    breaker: settingsIn(given, line),
  };
}

function listIn(given: Given, name: string, line: number): readonly Given[] {
  const value = given[name];
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value as Given[];
  return refuse(line, name, value, "a list");
}

function forksIn(given: Given, line: number): Fork[] {
  return listIn(given, "forks", line).map((fork) => {
    const after = versionIn(fork, "after", line);
    if (after === null) return refuse(line, "after", null, "the version that a fork came after");
    return { term: numberIn(fork, "term", line), after };
  });
}

function settingsIn(given: Given, line: number): BreakerSettings | null {
  if (given.breaker === undefined || given.breaker === null) return null;
  const settings = given.breaker as Given;
  return {
    failures: numberIn(settings, "failures", line),
    openMs: numberIn(settings, "openMs", line),
    probes: numberIn(settings, "probes", line),
  };
}

/** A line `{"fault": "partition", "call", "return", "isolated": [replica …]}`. */
export function faultIn(given: Given, line: number): Fault {
  const call = numberIn(given, "call", line);
  const end = optionalNumber(given, "return", line);
  if (end !== null && end < call) refuse(line, "return", end, `at or after the call, ${call}`);
  const isolated = listIn(given, "isolated", line).map((one) => nameIn(one, "isolated", line));
  return { fault: nameIn(given.fault, "fault", line), call, return: end, isolated };
}

/** A line `{"breaker": "n1", "at", "event", "epoch", …}`. */
export function breakerIn(given: Given, line: number): BreakerEvent {
  const events = ["call", "result", "reject", "transition"] as const;
  const event = events[wordIn(given, "event", events, line)]!;
  return {
    breaker: nameIn(given.breaker, "breaker", line),
    at: numberIn(given, "at", line),
    event,
    epoch: numberIn(given, "epoch", line),
    ...(event === "transition" && {
      state: breakerStates[wordIn(given, "state", breakerStates, line)]!,
      ...(given.begins === true && { begins: true }),
    }),
    ...(given.call !== undefined && { call: nameIn(given.call, "call", line) }),
    ...(event === "result" && {
      outcome: (["ok", "fail"] as const)[wordIn(given, "outcome", ["ok", "fail"], line)]!,
    }),
  };
}
