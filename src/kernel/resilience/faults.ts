export type FaultKind = "latency" | "error" | "timeout" | "corruption" | "crash";

export interface FaultSetting {
  kind: FaultKind;
  /** 0 to 1; 1 by default. */
  probability?: number;
  /** How many times it strikes before it clears itself; without limit by default. */
  count?: number;
  /** How long "latency" waits, and "timeout" at most. */
  latencyMs?: number;
}

export interface FaultStatus {
  point: string;
  kind: FaultKind;
  probability: number;
  /** Strikes left; null when without limit. */
  remaining: number | null;
  latencyMs: number;
  /** Strikes so far. */
  struck: number;
}

/** Places in the code that can be told to go wrong, to see what happens then. */
export interface Faults {
  /** Does nothing until told otherwise; a settled promise when nothing is set anywhere. */
  at(point: string, signal?: AbortSignal): Promise<void>;
  /** The data itself unless "corruption" strikes; then a copy with one byte or character changed. */
  corrupt<T extends Buffer | string>(point: string, data: T): T;
  list(): FaultStatus[];
  set(point: string, setting: FaultSetting): FaultStatus;
  /** Whether there was one. */
  clear(point: string): boolean;
  clearAll(): void;
}
