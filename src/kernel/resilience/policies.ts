import { BrokenCircuitError, TaskCancelledError, TimeoutStrategy, timeout } from "cockatiel";
import type { Clock } from "../clock.ts";
import { defineErrors, Problem } from "../errors.ts";
import type { Random } from "../random.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createBreaker } from "./breaker.ts";
import type { Breaker, BreakerOptions, BreakerState } from "./breaker.ts";
import { BulkheadFull, createBulkhead } from "./bulkhead.ts";
import type { Bulkhead } from "./bulkhead.ts";
import { retry } from "./retry.ts";

export interface PolicyOptions {
  /** Limit of one attempt; the attempt's signal is aborted with it. */
  timeoutMs: number;
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
}

export interface Policy {
  readonly name: string;
  /**
   * Calls the dependency. Rejects with `ERR_DEPENDENCY_BROKEN`, `_OVERLOADED` or `_TIMEOUT` where
   * the policy decided, else with what `call` threw last. Aborting `signal` ends waiting and
   * retrying, and counts as nobody's failure. A timeout ends with the answer: it does not abort a
   * body that is read later.
   */
  execute<T>(call: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export interface BreakerStatus {
  name: string;
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

export interface PoliciesOptions {
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  /** 1,000 by default; beyond, policies that rest are forgotten. */
  maxPolicies?: number;
}

export const dependencyErrors = defineErrors("dependency", {
  broken: { status: 503, title: "A dependency has failed repeatedly and is not asked for now" },
  overloaded: { status: 503, title: "Too many calls to a dependency are waiting already" },
  timeout: { status: 504, title: "A dependency did not answer in time" },
});

type Outcome =
  | "success"
  | "failure"
  | "timeout"
  | "broken"
  | "overloaded"
  | "cancelled"
  | "refused";

const stateValues: Record<BreakerState, number> = { CLOSED: 0, HALF_OPEN: 1, OPEN: 2, ISOLATED: 3 };

interface Instruments {
  state: (name: string, state: BreakerState) => void;
  call: (name: string, outcome: Outcome, durationMs: number) => void;
  retried: (name: string) => void;
  forget: (name: string) => void;
}

interface Entry extends Policy {
  readonly agreed: string;
  readonly bulkhead: Bulkhead;
  readonly breaker: Breaker | null;
  readonly counts: { successes: number; failures: number; rejected: number };
}

function instrument(metrics: Metrics): Instruments {
  const state = metrics.gauge(
    "breaker_state",
    "State of a dependency's breaker: 0 closed, 1 half-open, 2 open, 3 isolated",
    ["dependency"],
  );
  const calls = metrics.counter("dependency_calls_total", "Calls to dependencies", [
    "dependency",
    "outcome",
  ]);
  const duration = metrics.histogram("dependency_call_duration_seconds", "Calls with retries", [
    "dependency",
  ]);
  const retries = metrics.counter("dependency_retries_total", "Repeated calls", ["dependency"]);
  return {
    state: (name, value) => state.set({ dependency: name }, stateValues[value]),
    call(name, outcome, durationMs) {
      calls.inc({ dependency: name, outcome });
      duration.observe({ dependency: name }, durationMs / 1_000);
    },
    retried: (name) => retries.inc({ dependency: name }),
    forget: (name) => state.remove({ dependency: name }),
  };
}

function isFailureByDefault(error: unknown): boolean {
  return !(error instanceof Problem) || error.status >= 500;
}

function toProblem(name: string, error: unknown, breaker: Breaker | null, clock: Clock): unknown {
  if (error instanceof TaskCancelledError) {
    return dependencyErrors.timeout({ cause: error, extensions: { dependency: name } });
  }
  if (error instanceof BulkheadFull) {
    const headers = { "retry-after": "1" };
    return dependencyErrors.overloaded({ cause: error, headers, extensions: { dependency: name } });
  }
  if (error instanceof BrokenCircuitError) {
    const waitMs = Math.max(0, (breaker?.halfOpenAtMs ?? 0) - clock.monotonicMs());
    const headers = { "retry-after": String(Math.max(1, Math.ceil(waitMs / 1_000))) };
    return dependencyErrors.broken({ cause: error, headers, extensions: { dependency: name } });
  }
  return error;
}

function outcomeOf(error: unknown, isFailure: (error: unknown) => boolean): Outcome {
  if (error instanceof TaskCancelledError) return "timeout";
  if (error instanceof BulkheadFull) return "overloaded";
  if (error instanceof BrokenCircuitError) return "broken";
  return isFailure(error) ? "failure" : "refused";
}

type Attempt = <T>(call: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal) => Promise<T>;

/** One attempt: breaker around timeout. Nobody is to blame where the caller has given up. */
function attemptWith(timeoutMs: number, breaker: Breaker | null): Attempt {
  // abortOnReturn would cut off a body that the caller goes on reading.
  const limit = timeout(timeoutMs, {
    strategy: TimeoutStrategy.Aggressive,
    abortOnReturn: false,
  });
  return async (call, signal) => {
    const limited = async () => {
      try {
        return await limit.execute((context) => call(context.signal), signal);
      } catch (error) {
        throw signal?.aborted ? new CallerGaveUp(signal.reason) : error;
      }
    };
    return breaker ? breaker.execute(limited) : limited();
  };
}

function createPolicy(
  name: string,
  options: PolicyOptions,
  { clock, random, log }: PoliciesOptions,
  instruments: Instruments,
): Entry {
  const { isFailure = isFailureByDefault } = options;
  const isFailureOrTimeout = (error: unknown): boolean => {
    if (error instanceof CallerGaveUp) return false;
    return error instanceof TaskCancelledError || isFailure(error);
  };
  const onChange = (state: BreakerState) => {
    instruments.state(name, state);
    log.warn({ dependency: name, state }, "breaker changed");
  };
  const breaker =
    options.breaker === false
      ? null
      : createBreaker(options.breaker ?? {}, clock, isFailureOrTimeout, onChange);
  if (breaker) instruments.state(name, "CLOSED");
  const { concurrent, queued } = options.bulkhead ?? { concurrent: 50, queued: 200 };
  const bulkhead = createBulkhead(concurrent, queued);
  const counts = { successes: 0, failures: 0, rejected: 0 };
  const attempt = attemptWith(options.timeoutMs, breaker);

  const count = (outcome: Outcome, startMs: number) => {
    instruments.call(name, outcome, clock.monotonicMs() - startMs);
    if (outcome === "success") counts.successes += 1;
    else if (outcome === "failure" || outcome === "timeout") counts.failures += 1;
    else if (outcome === "broken" || outcome === "overloaded") counts.rejected += 1;
  };

  const withRetries: Attempt = (call, signal) =>
    retry(() => attempt(call, signal), {
      retries: options.retries ?? 0,
      initialDelayMs: options.retryInitialDelayMs ?? 100,
      maxDelayMs: options.retryMaxDelayMs ?? 5_000,
      clock,
      random,
      signal,
      isWorthwhile: (error) => isFailureOrTimeout(error) && !(error instanceof BrokenCircuitError),
      onRetry: () => instruments.retried(name),
    });

  const execute: Attempt = async (call, signal) => {
    const startMs = clock.monotonicMs();
    try {
      const answer = await bulkhead.run(() => withRetries(call, signal), signal);
      count("success", startMs);
      return answer;
    } catch (error) {
      const gaveUp = signal?.aborted === true;
      count(gaveUp ? "cancelled" : outcomeOf(error, isFailure), startMs);
      throw gaveUp ? signal.reason : toProblem(name, error, breaker, clock);
    }
  };

  return { name, agreed: agreement(options), bulkhead, breaker, counts, execute };
}

/** Wraps the reason why the caller stopped waiting, which is nobody's failure. */
class CallerGaveUp extends Error {
  constructor(reason: unknown) {
    super("the caller gave up", { cause: reason });
    this.name = "CallerGaveUp";
  }
}

/** What two callers have to agree about; functions can't be compared. */
function agreement({ isFailure: _, ...plain }: PolicyOptions): string {
  return JSON.stringify(Object.entries(plain).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function rests({ bulkhead, breaker }: Entry): boolean {
  const closed = !breaker || breaker.state === "CLOSED";
  return closed && bulkhead.active === 0 && bulkhead.waiting === 0;
}

function statusOf({ name, bulkhead, breaker, counts }: Entry): BreakerStatus {
  const changedAtMs = breaker?.changedAtMs ?? null;
  return {
    name,
    state: breaker?.state ?? "CLOSED",
    active: bulkhead.active,
    waiting: bulkhead.waiting,
    ...counts,
    changedAt: changedAtMs === null ? null : new Date(changedAtMs).toISOString(),
  };
}

/**
 * From the outside in: bulkhead, retries, breaker, timeout. So a call holds its place while it
 * waits to be repeated, each attempt counts for the breaker, and each has its own time. Breaker and
 * timeout are cockatiel's.
 */
export function createPolicies(options: PoliciesOptions): Policies {
  const { maxPolicies = 1_000 } = options;
  const entries = new Map<string, Entry>();
  const instruments = instrument(options.metrics);

  const makeRoom = () => {
    if (entries.size < maxPolicies) return;
    const resting = [...entries.values()].find(rests);
    if (!resting) throw dependencyErrors.overloaded({ detail: "Too many dependencies at once." });
    entries.delete(resting.name);
    instruments.forget(resting.name);
  };

  return {
    for(name, policyOptions) {
      const existing = entries.get(name);
      if (!existing) {
        makeRoom();
        const made = createPolicy(name, policyOptions, options, instruments);
        entries.set(name, made);
        return made;
      }
      if (existing.agreed === agreement(policyOptions)) return existing;
      throw new Error(`The policy ${name} exists with other options`);
    },
    list: () => [...entries.values()].map(statusOf).sort((a, b) => (a.name < b.name ? -1 : 1)),
    isolate(name) {
      const breaker = entries.get(name)?.breaker;
      breaker?.isolate();
      return breaker !== null && breaker !== undefined;
    },
    reset(name) {
      const breaker = entries.get(name)?.breaker;
      breaker?.reset();
      return breaker !== null && breaker !== undefined;
    },
  };
}
