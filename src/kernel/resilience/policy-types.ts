import { defineErrors, Problem } from "../errors.ts";
import type { BreakerOptions, BreakerState } from "./breaker.ts";

export interface PolicyOptions {
  /**
   * Limit of one attempt; the attempt's signal is aborted with it. Null where the call has a
   * deadline of its own.
   */
  timeoutMs: number | null;
  /** Attempts after the first, 0 by default. Only for what may be done twice. */
  retries?: number;
  /** 100 by default; doubles with each attempt, and the wait is anything up to it. */
  retryInitialDelayMs?: number;
  /** 5,000 by default. */
  retryMaxDelayMs?: number;
  /**
   * Whether an error is the dependency's failure; by default everything but a `Problem` below 500.
   */
  isFailure?: (error: unknown) => boolean;
  /** When to stop asking: after 5 failures in a row for 10 s by default; `false` for no breaker. */
  breaker?: BreakerOptions | false;
  /** How many calls may be under way and how many may wait for a place; 50 and 200 by default. */
  bulkhead?: { concurrent: number; queued: number };
  /**
   * One of many of a kind whose names others choose, such as hosts: metrics are the group's, and
   * the one that was asked for longest ago is forgotten when there are too many.
   */
  group?: string;
}

export interface CallOptions {
  /** Instead of the policy's own: not all that goes to one dependency may be done twice. */
  retries?: number;
  /** Asked before each retry: whether there is still time for one. */
  mayRetry?: () => boolean;
}

export interface Policy {
  readonly name: string;
  /**
   * Calls the dependency. Rejects with `ERR_DEPENDENCY_BROKEN`, `_OVERLOADED` or `_TIMEOUT` where
   * the policy decided, else with what `call` threw last. Aborting `signal` ends waiting and
   * retrying, and counts as nobody's failure. A timeout ends with the answer: it does not abort a
   * body that is read later.
   */
  execute<T>(
    call: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
    options?: CallOptions,
  ): Promise<T>;
  /** Whether a call would be refused right now, for callers who know another way. */
  refuses(): boolean;
}

export interface BreakerStatus {
  name: string;
  /** Null for a dependency that the code names. */
  group: string | null;
  /** Always CLOSED where there is no breaker. */
  state: BreakerState;
  /** Calls under way and waiting now. */
  active: number;
  waiting: number;
  successes: number;
  failures: number;
  rejected: number;
  /** ISO-8601; when the state last changed. */
  changedAt: string | null;
}

export const dependencyErrors = defineErrors("dependency", {
  broken: { status: 503, title: "A dependency has failed repeatedly and is not asked for now" },
  overloaded: { status: 503, title: "Too many calls to a dependency are waiting already" },
  timeout: { status: 504, title: "A dependency did not answer in time" },
});

/** How long to wait where a policy refused a call without making it; null for any other error. */
export function refusedForMs(error: unknown): number | null {
  if (!(error instanceof Problem)) return null;
  const { broken, overloaded } = dependencyErrors;
  if (error.code !== broken.code && error.code !== overloaded.code) return null;
  return Number(error.options.headers?.["retry-after"] ?? 1) * 1_000;
}
