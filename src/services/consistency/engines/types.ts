import type { BreakerEvent, Fault, Fork, LevelName, Version } from "../rules/history.ts";

/** Which kind of replicated store stands behind a store. */
export type EngineName = "embedded" | "redis" | "etcd";

/** What a session has seen, as the engine that made it writes it; clients hand it back unread. */
export interface EngineToken {
  readonly version: Version;
  /** Of an embedded AP store: how much of each replica's writes was seen. */
  readonly vector: readonly number[] | null;
}

/** One request, as an engine gets it: checked, with its level decided. */
export interface EngineAsk {
  /** Unique; a write that arrives twice takes effect once where the engine can see to it. */
  readonly id: string;
  readonly op: "read" | "write" | "delete" | "cas";
  readonly key: string;
  /** Any JSON; null for read and delete. */
  readonly value: unknown;
  /** Of a cas, the version expected; null for a key that is not there. */
  readonly expected: Version | null;
  readonly level: LevelName;
  readonly token: EngineToken | null;
  /** The replica to ask; null lets the engine route by level, role and breakers. */
  readonly replica: string | null;
}

/**
 * What became of a request. `ok` took effect; `mismatch` is a cas that found another version;
 * `refused` never took effect; `unknown` may have or may yet (a timeout, a WAIT shortfall).
 */
export interface EngineAnswer {
  readonly status: "ok" | "mismatch" | "refused" | "unknown";
  /** In plain words, where it is refused or unknown: what happened and what to do. */
  readonly reason: string | null;
  /** What was read, or stands there now after a mismatch; null for nothing there. */
  readonly value: unknown;
  readonly version: Version | null;
  /** The replica that answered; null where none was asked. */
  readonly replica: string | null;
  readonly acknowledgements: number;
  /** Never above the one asked for by being silently lowered: null where nothing was achieved. */
  readonly achieved: LevelName | null;
  readonly stalenessMs: number | null;
  readonly stalenessVersions: number | null;
  readonly token: EngineToken | null;
}

/** A fault to inject; `replicas` are names as in the status. */
export type FaultSpec =
  | { readonly kind: "partition"; readonly groups: readonly (readonly string[])[] }
  | { readonly kind: "cut"; readonly from: string; readonly to: string }
  | { readonly kind: "delay"; readonly replicas: readonly string[]; readonly delayMs: number }
  | { readonly kind: "loss"; readonly replicas: readonly string[]; readonly ratio: number }
  | { readonly kind: "crash"; readonly replicas: readonly string[] }
  | { readonly kind: "clock_jump"; readonly replicas: readonly string[]; readonly jumpMs: number }
  | { readonly kind: "slow_disk"; readonly replicas: readonly string[]; readonly delayMs: number };

export interface ReplicaStatus {
  readonly name: string;
  readonly role: "leader" | "follower" | "candidate" | "peer" | "primary" | "replica" | "unknown";
  readonly isUp: boolean;
  /** Whether the server reaches it at this moment. */
  readonly isReachable: boolean;
  readonly term: number | null;
  readonly version: Version | null;
  readonly lagVersions: number | null;
  readonly stalenessMs: number | null;
  readonly breaker: {
    readonly state: "closed" | "half-open" | "open";
    readonly epoch: number;
    readonly sinceMs: number;
    readonly failures: number;
    readonly rejected: number;
  };
}

/** A store that is open in this process. */
export interface Engine {
  readonly name: EngineName;
  readonly replicas: readonly string[];
  /** Which faults it can inject; another is refused by `inject` with a plain reason. */
  readonly faultKinds: readonly FaultSpec["kind"][];
  /** Never rejects for what a store can do: failures are answers. Bounded by operationTimeoutMs. */
  ask(ask: EngineAsk): Promise<EngineAnswer>;
  /** Throws `EngineFault` with a reason in words where this engine can't do it. */
  inject(fault: FaultSpec): Promise<void>;
  /** Ends every fault: links mended, what was stopped started. */
  heal(): Promise<void>;
  status(): Promise<readonly ReplicaStatus[]>;
  /** What the history needs besides operations, since the store was opened. */
  faults(): readonly Fault[];
  breakerEvents(): readonly BreakerEvent[];
  /** Where later terms took over, of engines that can lose what earlier ones had. */
  forks?(): Promise<readonly Fork[]>;
  /** The cell of one replica, read straight from it, for final reads once all is quiet. */
  peek(replica: string, key: string): Promise<{ value: unknown; version: Version | null } | null>;
  /** Milliseconds on the one monotonic clock of this store's history. */
  nowMs(): number;
  close(): Promise<void>;
}

export interface StoreSpec {
  readonly mode: "CP" | "AP";
  readonly replicas: 3 | 5;
  readonly maxStalenessMs: number | null;
  readonly maxStalenessVersions: number | null;
  readonly operationTimeoutMs: number;
  readonly breaker: { readonly failures: number; readonly openMs: number };
  readonly topology: Topology;
}

/** Where a real engine's nodes are; the embedded one needs nothing. */
export type Topology =
  | { readonly kind: "embedded"; readonly seed: number }
  | {
      readonly kind: "redis";
      readonly primary: string;
      readonly replicas: readonly string[];
      readonly password: string | null;
    }
  | {
      readonly kind: "etcd";
      readonly endpoints: readonly string[];
    };

/** An engine can't inject this fault. */
export class EngineFault extends Error {}
