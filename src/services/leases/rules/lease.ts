import type { Egress, Isolation, RuntimeName } from "../runtimes/types.ts";
import type { Price } from "./money.ts";
import type { Desired, LeaseState, TerminationReason } from "./lifecycle.ts";

/** A command that is run in a container before it is stopped. */
export interface PreStop {
  readonly command: readonly string[];
  readonly timeoutSeconds: number;
}

/** What was agreed on when a lease was asked for; it never changes. */
export interface LeaseTerms {
  readonly id: string;
  readonly ownerId: string;
  readonly name: string | null;
  readonly templateId: string | null;
  readonly templateName: string | null;
  /** The snapshot that it was made of. */
  readonly restoredFrom: string | null;
  readonly image: string;
  /** Null: the image's own. */
  readonly command: readonly string[] | null;
  readonly preStop: PreStop | null;
  /** Of environment variables; their values are sealed, and shown to nobody. */
  readonly envNames: readonly string[];
  readonly runtime: RuntimeName;
  /** Which engine, where the tenant has one of its own; else empty. */
  readonly runtimePlace: string;
  readonly cpuMillis: number;
  readonly memoryMb: number;
  readonly diskMb: number | null;
  readonly pidsMax: number;
  readonly runAs: string | null;
  readonly writable: boolean;
  readonly egress: Egress;
  readonly ociRuntime: string | null;
  readonly ports: readonly number[];
  readonly idleTtlSeconds: number | null;
  /** For how long it may be paused. */
  readonly pauseSeconds: number;
  /** How long before its end its owner is warned. */
  readonly warnSeconds: number;
  readonly snapshotOnEnd: boolean;
  readonly maxRestarts: number;
  readonly price: Price;
  /** In 1/1024 of a millionth of the minor unit per hour: see `money.ts`. */
  readonly rate: bigint;
  readonly flatMicros: bigint;
  readonly currency: string;
  readonly createdAtMs: number;
  readonly hardExpiresAtMs: number;
}

/** A lease as it is stored. Moments are the database's, in whole milliseconds. */
export interface Lease extends LeaseTerms {
  readonly state: LeaseState;
  readonly desired: Desired;
  readonly generation: number;
  readonly version: number;
  /** Who works on it, until when nobody else may. */
  readonly stepToken: string | null;
  readonly stepUntilMs: number | null;
  /** Of the step that it is at; back to 0 when that is done. */
  readonly attempts: number;
  readonly retryAtMs: number | null;
  /** Of a state that must not last. */
  readonly deadlineMs: number | null;
  readonly containerId: string | null;
  readonly isolation: Isolation | null;
  readonly ttlSeconds: number;
  readonly updatedAtMs: number;
  /** When it ran first. */
  readonly startedAtMs: number | null;
  /** When the interval began that is being paid for; null unless it runs. */
  readonly runningSinceMs: number | null;
  readonly expiresAtMs: number;
  readonly lastActivityAtMs: number;
  readonly pausedAtMs: number | null;
  readonly pausedUntilMs: number | null;
  /** When it will end as far as is known, or has ended. */
  readonly endsAtMs: number;
  /** The end of which its owner was warned. */
  readonly warnedForMs: number | null;
  /** When its container was last known to be alive. */
  readonly seenAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly reason: TerminationReason | null;
  readonly exitCode: number | null;
  readonly message: string | null;
  /** How often it was started again by itself. */
  readonly restarts: number;
  readonly preStopDone: boolean;
  /** Taken by itself at the end. */
  readonly snapshotId: string | null;
  /** Of the intervals that are closed. */
  readonly costMicros: bigint;
}

/** The container's name: whoever makes it twice finds it there. */
export const containerName = (installId: string, leaseId: string, generation: number): string =>
  `plm-${installId}-${leaseId}-${generation}`;
