import type { BreakerEvent, BreakerState } from "../rules/history.ts";

/** How a breaker behaves. */
export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** How long it stays open; twice as long after each failed probe, up to 8 times. */
  readonly openMs: number;
  /** Probes under way at once while half-open, and good ones in a row that close it. */
  readonly probes: number;
  /** A call that takes longer counts as a failure, however it ends. */
  readonly slowMs: number;
}

/** How the breakers of a store are set; every engine sets them like this. */
export const breakerOf = (
  spec: Readonly<{
    operationTimeoutMs: number;
    breaker: Readonly<{ failures: number; openMs: number }>;
  }>,
): BreakerOptions => ({ ...spec.breaker, probes: 2, slowMs: spec.operationTimeoutMs / 2 });

/** One breaker, as data. */
export interface Breaker {
  readonly name: string;
  readonly options: BreakerOptions;
  state: BreakerState;
  /** Counts the states it has been in: results of an earlier one change nothing. */
  epoch: number;
  sinceMs: number;
  openForMs: number;
  failures: number;
  probing: number;
  passed: number;
  /** How many calls it refused. */
  rejected: number;
  readonly trace: ((event: BreakerEvent) => void) | null;
}

/** What `admit` answers instead of an epoch. */
export const rejected = -1;
const longestTimes = 8;

/** A closed breaker; `trace` hears every step, for the checker of traces. */
export const createBreaker = (
  name: string,
  options: BreakerOptions,
  trace: Breaker["trace"] = null,
): Breaker => ({
  name,
  options,
  state: "closed",
  epoch: 0,
  sinceMs: 0,
  openForMs: options.openMs,
  failures: 0,
  probing: 0,
  passed: 0,
  rejected: 0,
  trace,
});

function turn(breaker: Breaker, state: BreakerState, nowMs: number): void {
  breaker.state = state;
  breaker.epoch += 1;
  breaker.sinceMs = nowMs;
  breaker.failures = 0;
  breaker.probing = 0;
  breaker.passed = 0;
  const { name, epoch } = breaker;
  breaker.trace?.({ breaker: name, at: nowMs, event: "transition", epoch, state });
}

/**
 * The epoch of a call that may be made, to be given back with its result; `rejected` when it must
 * not be made (Nygard, "Release It!", 2007). A refusal is a number, since an error with its stack
 * would cost more than many a call.
 */
export function admit(breaker: Breaker, nowMs: number, call: string): number {
  if (breaker.state === "open" && nowMs - breaker.sinceMs >= breaker.openForMs) {
    turn(breaker, "half-open", nowMs);
  }
  const { name, epoch, state, options } = breaker;
  if (state === "open" || (state === "half-open" && breaker.probing >= options.probes)) {
    breaker.rejected += 1;
    breaker.trace?.({ breaker: name, at: nowMs, event: "reject", epoch, call });
    return rejected;
  }
  if (state === "half-open") breaker.probing += 1;
  breaker.trace?.({ breaker: name, at: nowMs, event: "call", epoch, call });
  return epoch;
}

/** Takes the result of a call that was admitted in `epoch` and took `tookMs`. */
export function settleCall(
  breaker: Breaker,
  { epoch, call, isOk, tookMs }: { epoch: number; call: string; isOk: boolean; tookMs: number },
  nowMs: number,
): void {
  const isGood = isOk && tookMs <= breaker.options.slowMs;
  const outcome = isGood ? "ok" : "fail";
  breaker.trace?.({ breaker: breaker.name, at: nowMs, event: "result", epoch, call, outcome });
  if (epoch !== breaker.epoch) return;
  const { options } = breaker;
  if (breaker.state === "closed") {
    breaker.failures = isGood ? 0 : breaker.failures + 1;
    if (breaker.failures >= options.failures) turn(breaker, "open", nowMs);
  } else if (breaker.state === "half-open") {
    breaker.probing -= 1;
    if (!isGood) {
      breaker.openForMs = Math.min(breaker.openForMs * 2, options.openMs * longestTimes);
      turn(breaker, "open", nowMs);
      return;
    }
    breaker.passed += 1;
    if (breaker.passed < options.probes) return;
    breaker.openForMs = options.openMs;
    turn(breaker, "closed", nowMs);
  }
}
