import { BrokenCircuitError, TaskCancelledError, TimeoutStrategy, timeout } from "cockatiel";
import type { Clock } from "../clock.ts";
import { Problem } from "../errors.ts";
import type { Random } from "../random.ts";
import type { Logger } from "../telemetry/logger.ts";
import { createBreaker } from "./breaker.ts";
import type { Breaker, BreakerState } from "./breaker.ts";
import { BulkheadFull, createBulkhead } from "./bulkhead.ts";
import type { Bulkhead } from "./bulkhead.ts";
import type { Instruments, Outcome } from "./policy-metrics.ts";
import { dependencyErrors } from "./policy-types.ts";
import type { CallOptions, Policy, PolicyOptions } from "./policy-types.ts";
import { retry } from "./retry.ts";

/** A policy with what can be seen of it. */
export interface Entry extends Policy {
  readonly group: string | null;
  readonly bulkhead: Bulkhead;
  readonly breaker: Breaker | null;
  readonly counts: { successes: number; failures: number; rejected: number };
}

/** Nobody knows when it ends. */
const isolatedWaitMs = 60_000;

function isFailureByDefault(error: unknown): boolean {
  return !(error instanceof Problem) || error.status >= 500;
}

function toProblem(name: string, cause: unknown, breaker: Breaker | null, clock: Clock): unknown {
  if (cause instanceof TaskCancelledError) {
    return dependencyErrors.timeout({ cause, detail: `"${name}" did not answer in time.` });
  }
  if (cause instanceof BulkheadFull) {
    const detail = `As many calls to "${name}" are under way and waiting as may be.`;
    return dependencyErrors.overloaded({ cause, detail, headers: { "retry-after": "1" } });
  }
  if (cause instanceof BrokenCircuitError) {
    const isHeld = breaker?.state === "ISOLATED";
    const waitMs = isHeld ? isolatedWaitMs : (breaker?.halfOpenAtMs ?? 0) - clock.monotonicMs();
    const waitSeconds = Math.max(1, Math.ceil(waitMs / 1_000));
    const detail = isHeld
      ? `A platform admin has taken "${name}" out of use for now.`
      : `"${name}" has failed again and again; it is tried anew in ${waitSeconds} s.`;
    const headers = { "retry-after": String(waitSeconds) };
    return dependencyErrors.broken({ cause, detail, headers });
  }
  return cause;
}

function outcomeOf(error: unknown, isFailure: (error: unknown) => boolean): Outcome {
  if (error instanceof TaskCancelledError) return "timeout";
  if (error instanceof BulkheadFull) return "overloaded";
  if (error instanceof BrokenCircuitError) return "broken";
  return isFailure(error) ? "failure" : "refused";
}

const never = new AbortController().signal;

type Attempt = <T>(call: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal) => Promise<T>;

/** One attempt: breaker around timeout. Nobody is to blame where the caller has given up. */
function attemptWith(timeoutMs: number | null, breaker: Breaker | null): Attempt {
  // abortOnReturn would cut off a body that the caller goes on reading.
  const aggressive = { strategy: TimeoutStrategy.Aggressive, abortOnReturn: false };
  const limit = timeoutMs === null ? null : timeout(timeoutMs, aggressive);
  return async (call, signal) => {
    const limited = async () => {
      try {
        if (!limit) return await call(signal ?? never);
        return await limit.execute((context) => call(context.signal), signal);
      } catch (error) {
        throw signal?.aborted ? new CallerGaveUp(signal.reason) : error;
      }
    };
    return breaker ? breaker.execute(limited) : limited();
  };
}

/** Makes a policy; `instruments` are told what becomes of its calls. */
export function createPolicy(
  name: string,
  options: PolicyOptions,
  { clock, random, log }: { clock: Clock; random: Random; log: Logger },
  instruments: Instruments,
): Entry {
  const { isFailure = isFailureByDefault, group = null } = options;
  const label = group ?? name;
  const isFailureOrTimeout = (error: unknown): boolean => {
    if (error instanceof CallerGaveUp) return false;
    return error instanceof TaskCancelledError || isFailure(error);
  };
  const onChange = (state: BreakerState) => {
    if (group === null) instruments.state(name, state);
    log.warn({ dependency: name, state }, "breaker changed");
  };
  const breaker =
    options.breaker === false
      ? null
      : createBreaker(options.breaker ?? {}, clock, isFailureOrTimeout, onChange);
  if (breaker && group === null) instruments.state(name, "CLOSED");
  const { concurrent, queued } = options.bulkhead ?? { concurrent: 50, queued: 200 };
  const bulkhead = createBulkhead(concurrent, queued);
  const counts = { successes: 0, failures: 0, rejected: 0 };
  const attempt = attemptWith(options.timeoutMs, breaker);

  const count = (outcome: Outcome, startMs: number) => {
    instruments.call(label, outcome, clock.monotonicMs() - startMs);
    if (outcome === "success") counts.successes += 1;
    else if (outcome === "failure" || outcome === "timeout") counts.failures += 1;
    else if (outcome === "broken" || outcome === "overloaded") counts.rejected += 1;
  };

  const repeat = <T>(
    call: (signal: AbortSignal) => Promise<T>,
    { retries = options.retries ?? 0, mayRetry = () => true }: CallOptions,
    signal?: AbortSignal,
  ) =>
    retry(() => attempt(call, signal), {
      retries,
      initialDelayMs: options.retryInitialDelayMs ?? 100,
      maxDelayMs: options.retryMaxDelayMs ?? 5_000,
      clock,
      random,
      signal,
      isWorthwhile: (error) =>
        isFailureOrTimeout(error) && !(error instanceof BrokenCircuitError) && mayRetry(),
      onRetry: () => instruments.retried(label),
    });

  const execute: Policy["execute"] = async (call, signal, callOptions = {}) => {
    const startMs = clock.monotonicMs();
    try {
      const answer = await bulkhead.run(() => repeat(call, callOptions, signal), signal);
      count("success", startMs);
      return answer;
    } catch (error) {
      const gaveUp = signal?.aborted === true;
      count(gaveUp ? "cancelled" : outcomeOf(error, isFailure), startMs);
      throw gaveUp ? signal.reason : toProblem(name, error, breaker, clock);
    }
  };

  const refuses = () => {
    if (breaker === null || breaker.state === "CLOSED") return false;
    return breaker.state !== "OPEN" || clock.monotonicMs() < breaker.halfOpenAtMs;
  };

  return { name, group, bulkhead, breaker, counts, execute, refuses };
}

/** Wraps the reason why the caller stopped waiting, which is nobody's failure. */
class CallerGaveUp extends Error {
  constructor(reason: unknown) {
    super("the caller gave up", { cause: reason });
    this.name = "CallerGaveUp";
  }
}
