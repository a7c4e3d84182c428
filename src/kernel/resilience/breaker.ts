import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from "cockatiel";
import type { Clock } from "../clock.ts";

export type BreakerState = "CLOSED" | "OPEN" | "HALF_OPEN" | "ISOLATED";

export interface BreakerOptions {
  /** 5 by default. */
  consecutiveFailures?: number;
  /** How long to leave the dependency alone before one call may try; 10 s by default. */
  halfOpenAfterMs?: number;
}

export interface Breaker {
  execute<T>(call: () => Promise<T>): Promise<T>;
  readonly state: BreakerState;
  /** When the state last changed, since the Unix epoch. */
  changedAtMs: number | null;
  /** By the monotonic clock. */
  halfOpenAtMs: number;
  /** Holds it open until `reset`. */
  isolate(): void;
  /** Closes it and forgets its failures. */
  reset(): void;
}

const states: Record<CircuitState, BreakerState> = {
  [CircuitState.Closed]: "CLOSED",
  [CircuitState.Open]: "OPEN",
  [CircuitState.HalfOpen]: "HALF_OPEN",
  [CircuitState.Isolated]: "ISOLATED",
};
/**
 * Stops asking a dependency that fails again and again (M. Nygard, "Release It!", 2007):
 * cockatiel's breaker, made to read the time from our clock and to be reset by hand.
 */
export function createBreaker(
  options: BreakerOptions,
  clock: Clock,
  isFailure: (error: unknown) => boolean,
  onChange: (state: BreakerState) => void,
): Breaker {
  const { consecutiveFailures = 5, halfOpenAfterMs = 10_000 } = options;
  const counter = new ConsecutiveBreaker(consecutiveFailures);
  // Cockatiel asks whether `duration` has passed since it opened, by Date.now; so `duration`
  // answers nothing or forever, by the clock that we were given.
  const untilHalfOpen = {
    get duration() {
      return clock.monotonicMs() >= breaker.halfOpenAtMs ? 0 : Number.POSITIVE_INFINITY;
    },
    next() {
      breaker.halfOpenAtMs = clock.monotonicMs() + halfOpenAfterMs;
      return untilHalfOpen;
    },
  };
  const policy = circuitBreaker(handleWhen(isFailure), {
    breaker: counter,
    halfOpenAfter: untilHalfOpen,
  });
  const held: { dispose(): void }[] = [];
  const breaker: Breaker = {
    execute: (call) => policy.execute(call),
    get state() {
      return states[policy.state];
    },
    changedAtMs: null,
    halfOpenAtMs: 0,
    isolate() {
      if (held.length === 0) held.push(policy.isolate());
    },
    reset() {
      if (held.length === 0) held.push(policy.isolate());
      for (const one of held.splice(0)) one.dispose();
      counter.state = 0;
    },
  };
  policy.onStateChange((state) => {
    breaker.changedAtMs = clock.nowMs();
    onChange(states[state]);
  });
  return breaker;
}
