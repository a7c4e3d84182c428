export type BreakerState = "CLOSED" | "OPEN" | "HALF_OPEN" | "ISOLATED";

export interface PolicyOptions {
  /** Limit of one attempt; the attempt's signal is aborted with it. */
  timeoutMs: number;
  /** Attempts after the first, 0 by default. Only for what may be done twice. */
  retries?: number;
  retryInitialDelayMs?: number;
  retryMaxDelayMs?: number;
  /** Whether an error is the dependency's failure; by default everything but a `Problem` below 500. */
  isFailure?: (error: unknown) => boolean;
  /** When to stop asking; `false` for no breaker. */
  breaker?: { consecutiveFailures?: number; halfOpenAfterMs?: number } | false;
  /** How many calls may be under way, and how many may wait for a place. */
  bulkhead?: { concurrent: number; queued: number };
}

export interface Policy {
  readonly name: string;
  /**
   * Calls the dependency. Rejects with `ERR_DEPENDENCY_BROKEN`, `_OVERLOADED` or `_TIMEOUT` where the
   * policy decided, else with what `call` threw last. Aborting `signal` ends waiting and retrying.
   */
  execute<T>(call: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export interface BreakerStatus {
  name: string;
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

/** One composed policy per dependency name, shared by everyone who asks for the name. */
export interface Policies {
  /** The first caller's options hold; asking again with others throws. */
  for(name: string, options: PolicyOptions): Policy;
  list(): BreakerStatus[];
  /** Holds the breaker open until `reset`; false when there is no such policy or breaker. */
  isolate(name: string): boolean;
  /** Closes the breaker and forgets its failures. */
  reset(name: string): boolean;
}
