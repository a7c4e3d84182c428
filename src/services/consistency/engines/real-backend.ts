import type { Clock } from "#kernel/clock.ts";
import type { Random } from "#kernel/random.ts";
import type { Version } from "../rules/history.ts";
import type { Allow } from "./proxy.ts";
import type { PeerLink } from "./real-links.ts";
import type { Engine, EngineAsk, ReplicaStatus } from "./types.ts";

/** What a real engine needs besides its store's settings. */
export interface RealAround {
  readonly clock: Clock;
  readonly random: Pick<Random, "float">;
  /** Begins every key, so that a store touches nothing else of the servers that it is given. */
  readonly storeId: string;
  /**
   * Gives the address to dial, or rejects: hosts come from tenants. Left out, all may be dialled.
   */
  readonly allow?: Allow;
  /** Links between nodes that lead through proxies of ours; partitions and cuts go for them too. */
  readonly peers?: readonly PeerLink[];
}

/** An engine whose nodes are servers of their own. */
export interface RealEngine extends Engine {
  /** Connections that could not be made or that broke, by replica, since the store was opened. */
  connectionFailures(): Readonly<Record<string, number>>;
}

/** What a node had under a key, and how far it had got with the store's writes. */
export interface Found {
  readonly position: Version;
  readonly value: unknown;
  /** Null where nothing was ever written. */
  readonly version: Version | null;
  /** What the token had seen is gone: a later term's log did not take it over. */
  readonly isLost: boolean;
}

/** What became of a write that a node took. */
export interface Written {
  /** `unknown`: it stands on fewer nodes than its level asks for. */
  readonly status: "ok" | "mismatch" | "unknown";
  readonly reason: string | null;
  /** Its own, or that of what stands there after a mismatch. */
  readonly version: Version | null;
  readonly value: unknown;
  readonly acknowledgements: number;
}

export interface NodeState {
  readonly role: ReplicaStatus["role"];
  readonly term: number | null;
  readonly position: Version;
}

/** What differs between one kind of server and another. Calls reject as real-guard.ts says. */
export interface Backend {
  readonly name: "redis" | "etcd";
  readonly nodes: readonly string[];
  /** Where the newest is read and writes go, the best first. */
  newest(): readonly string[];
  /** Where weaker reads go, any of them. */
  anywhere(): readonly string[];
  readNewest(node: string, key: string, signal: AbortSignal): Promise<Found>;
  readHere(node: string, key: string, token: Version | null, signal: AbortSignal): Promise<Found>;
  /** How far the store has got, as of a moment after the call. */
  position(node: string, signal: AbortSignal): Promise<Version>;
  write(node: string, ask: EngineAsk, deadlineMs: number, signal: AbortSignal): Promise<Written>;
  state(node: string, signal: AbortSignal): Promise<NodeState>;
  /** Hears of every call that failed, and when it began. */
  onTrouble(node: string, error: Error, startedMs: number): void;
  connectionFailures(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}
