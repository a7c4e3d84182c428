/** What an operation did; the position is its number in the column `op`. */
export const opNames = ["read", "write", "cas", "append", "delete"] as const;
export type OpName = (typeof opNames)[number];
/** Numbers of `opNames`. */
export const op = { read: 0, write: 1, cas: 2, append: 3, delete: 4 } as const;

/**
 * How an operation ended. `ok`: it took effect between its call and its return. `fail`: it never
 * took effect and must never be seen. `info`: nobody knows; it may take effect at any time after
 * its call, or never (a timeout, or a write that too few replicas acknowledged).
 */
export const outcomeNames = ["ok", "fail", "info"] as const;
export type OutcomeName = (typeof outcomeNames)[number];
/** Numbers of `outcomeNames`. */
export const outcome = { ok: 0, fail: 1, info: 2 } as const;

/** The guarantees that a request may ask for, the strongest first. */
export const levelNames = ["strong", "bounded", "session", "eventual"] as const;
export type LevelName = (typeof levelNames)[number];
/** In the column `level`: the operation asked for none in particular. */
export const noLevel = 255;

/** What a history's operations may do. */
export const modelNames = ["register", "cas-register", "kv"] as const;
export type ModelName = (typeof modelNames)[number];
/** The operations of each model; a delete is a write of nothing. */
export const modelOps: Record<ModelName, readonly OpName[]> = {
  register: ["read", "write", "delete"],
  "cas-register": ["read", "write", "delete", "cas"],
  kv: ["read", "write", "delete", "cas", "append"],
};

/** Where a write stands in its store's log: compared by term, then by seq. */
export interface Version {
  readonly term: number;
  readonly seq: number;
}

/** Anything that JSON can say; null means that there is nothing under the key. */
export type Value = unknown;

/**
 * One operation of a history, as a line of NDJSON has it. What must hold:
 * - `id` is unique; `call` <= `return`, both of one monotonic clock that all clients share, in ms.
 * - `value` is what a write wrote, a read returned, an append added, and [expected, new] of a cas.
 * - An `ok` has a return. A `session`'s operations follow each other, in the order of their calls.
 * - Written values are best unique per key: then, and only then, the fast algorithms apply.
 */
export interface Operation {
  readonly id: string;
  /** Whose own writes must be seen; the process where it is left out. */
  readonly session?: string;
  /** The client that waited for the answer; a lane of the timeline. */
  readonly process: string;
  readonly key: string;
  readonly op: OpName;
  readonly value: Value;
  readonly level?: LevelName | null;
  readonly call: number;
  /** When it was answered or given up; null when it never was. */
  readonly return: number | null;
  readonly outcome: OutcomeName;
  readonly replica?: string | null;
  /** The write's own, or that of the write that was read. */
  readonly version?: Version | null;
  /** The minimum version that a read was given as its barrier. */
  readonly token?: Version | null;
  /** Reads that were made as one, of several keys at one moment, share its name. */
  readonly snapshot?: string | null;
  /** Read straight from its replica, after faults were healed and all was quiet. */
  readonly final?: boolean;
  /** A failed cas that failed because it found another value than the expected one. */
  readonly mismatch?: boolean;
}

/** Where a new term's log took over: what the earlier terms had after `after` is gone. */
export interface Fork {
  readonly term: number;
  readonly after: Version;
}

/** Something that was done to the replicas, from `call` to `return`, in ms. */
export interface Fault {
  readonly fault: string;
  readonly call: number;
  readonly return: number | null;
  /** The replicas that could not reach a majority meanwhile. */
  readonly isolated: readonly string[];
}

/** What holds for a history as a whole; the first line of an NDJSON file may say it. */
export interface HistoryMeta {
  readonly name: string | null;
  /** `order`: times are only positions in the file, and have no length. */
  readonly clock: "ms" | "order";
  /** Whether versions are positions in one log of the store, or in one per key. */
  readonly versions: "global" | "key";
  /** What every key holds at first. */
  readonly initial: Value;
  readonly maxStalenessMs: number | null;
  readonly maxStalenessVersions: number | null;
  readonly operationTimeoutMs: number | null;
  readonly mode: "CP" | "AP" | null;
  readonly forks: readonly Fork[];
  /** How the breakers were set whose events the history has. */
  readonly breaker: BreakerSettings | null;
}

/** How a breaker was set; the trace checker holds it to this. */
export interface BreakerSettings {
  /** Failures in its current epoch without which it must not open from closed. */
  readonly failures: number;
  /** How long it must stay open before it lets probes through. */
  readonly openMs: number;
  /** How many probes may be under way at once. */
  readonly probes: number;
}

export const breakerStates = ["closed", "half-open", "open"] as const;
export type BreakerState = (typeof breakerStates)[number];

/**
 * One step of a breaker's life. `call` and `result` are of a call to what it protects, `reject` is
 * a call that it refused; `transition` goes to `state` and begins `epoch`.
 */
export interface BreakerEvent {
  readonly breaker: string;
  readonly at: number;
  readonly event: "call" | "result" | "reject" | "transition";
  /** The epoch in which the call was made, or that the transition begins. */
  readonly epoch: number;
  readonly state?: BreakerState;
  /** Of a transition: what came before it was forgotten; the trace of this breaker begins here. */
  readonly begins?: boolean;
  readonly call?: string;
  readonly outcome?: "ok" | "fail";
}

/**
 * A history as columns: entry i of each belongs to operation i. Times are in ms, or positions when
 * `meta.clock` is "order". Numbers in `key`, `session`, … are positions in the list of names; in
 * `value` and `expected`, positions in `values`, of which entry 0 is null: nothing there.
 */
export interface History {
  readonly count: number;
  readonly meta: HistoryMeta;
  readonly call: Float64Array;
  /** The return; infinite for `info`, which may take effect later than any time. */
  readonly end: Float64Array;
  /** When the client had an answer or gave up; NaN when neither. */
  readonly answered: Float64Array;
  readonly op: Uint8Array;
  readonly outcome: Uint8Array;
  readonly level: Uint8Array;
  readonly isFinal: Uint8Array;
  readonly isMismatch: Uint8Array;
  readonly key: Int32Array;
  readonly session: Int32Array;
  readonly process: Int32Array;
  /** -1 where it is not known. */
  readonly replica: Int32Array;
  readonly value: Int32Array;
  /** What a cas compared with; -1 for the others. */
  readonly expected: Int32Array;
  /** -1 for a read that stands alone. */
  readonly snapshot: Int32Array;
  /** Versions; a term of -1 where there is none. */
  readonly term: Float64Array;
  readonly seq: Float64Array;
  readonly tokenTerm: Float64Array;
  readonly tokenSeq: Float64Array;
  readonly ids: readonly string[];
  readonly keys: readonly string[];
  readonly sessions: readonly string[];
  readonly processes: readonly string[];
  readonly replicas: readonly string[];
  readonly snapshots: readonly string[];
  readonly values: readonly Value[];
  /** The number of `meta.initial` in `values`. */
  readonly initial: number;
  readonly faults: readonly Fault[];
  readonly breakers: readonly BreakerEvent[];
}

/** The history can't be read: which line (from 1; 0 when none is to blame), and what is wrong. */
export class HistoryError extends Error {
  readonly line: number;
  readonly reason: string;

  constructor(line: number, reason: string) {
    super(line > 0 ? `line ${line}: ${reason}` : reason);
    this.line = line;
    this.reason = reason;
  }
}
