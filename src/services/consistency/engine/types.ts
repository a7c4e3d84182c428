import type { LevelName, Version } from "../rules/history.ts";
import type { Timer } from "./scheduler.ts";
import type { Chance } from "./chance.ts";
import type { Protocol } from "./protocol.ts";

/** What stands under a key: null was deleted, and its version is the deletion's. */
export interface Cell {
  readonly value: unknown;
  readonly version: Version;
}

/** A change that a client wants. */
export interface Write {
  /** Unique: a write that arrives twice takes effect once. */
  readonly id: string;
  readonly op: "write" | "delete" | "cas";
  readonly key: string;
  readonly value: unknown;
  /** Of a cas: the version that it expects; null for nothing there. */
  readonly expected: Version | null;
  /**
   * How far the log was applied somewhere before the write was first asked for: none of its entries
   * stands at or before it. It tells when a copy comes too late to be recognized.
   */
  readonly since?: number;
}

/** One entry of the replicated log. */
export interface Entry {
  readonly term: number;
  readonly seq: number;
  /** Null begins a leader's term and changes nothing. */
  readonly write: Write | null;
}

/** What became of a write. */
export interface Applied {
  readonly isMatch: boolean;
  readonly version: Version;
  /** Of a cas that found another version: what it found. */
  readonly found: Cell | null;
}

/** The clocks and sizes of a cluster. */
export interface Settings {
  readonly replicas: 3 | 5;
  readonly heartbeatMs: number;
  /**
   * Without a word from a leader for this long, up to twice of it, a replica stands for
   * election.
   */
  readonly electionMs: number;
  readonly operationTimeoutMs: number;
  readonly maxStalenessMs: number | null;
  readonly maxStalenessVersions: number | null;
  /**
   * The most applied entries that a log keeps for replicas that lag, before a snapshot replaces
   * them.
   */
  readonly logEntriesAtMost: number;
  readonly keysAtMost: number;
}

/** What a request asks of a replica. */
export interface Ask {
  /** Unique in its cluster; of a write the write's own. */
  readonly id: string;
  readonly level: LevelName;
  readonly key: string;
  /** Null for a read. */
  readonly write: Write | null;
  readonly token: Token | null;
  /** How long the replica has; the store's operation timeout where it is left out. */
  readonly withinMs?: number;
}

/** What a session has seen: in CP a version, in AP also how much of each replica's writes. */
export interface Token {
  readonly version: Version;
  readonly vector: readonly number[] | null;
}

/** Why a replica did not answer; `unknown`: a write that may yet take effect. */
export type Refusal = "refused" | "unknown";

/** A replica's answer. */
export interface Answer {
  readonly status: "ok" | "mismatch" | Refusal;
  /** In plain words, where it is a refusal. */
  readonly reason: string | null;
  /** Of a refusal: whether the request asked for what no replica would have given. */
  readonly isRequests: boolean;
  /** What was read or written; of a cas that found another version, what it found. */
  readonly value: unknown;
  readonly version: Version | null;
  readonly acknowledgements: number;
  readonly stalenessMs: number | null;
  readonly stalenessVersions: number | null;
  readonly token: Token | null;
}

/** What a replica has of the world. All of it is given, so that a seed decides everything. */
export interface Env<Message> {
  readonly settings: Settings;
  readonly protocol: Protocol;
  readonly chance: Chance;
  nowMs(): number;
  /** The replica's own clock on the wall, which may be wrong and may jump. */
  wallMs(replica: number): number;
  after(ms: number, run: () => void): Timer;
  send(from: number, to: number, message: Message): void;
}
