import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";

export interface RetryOptions {
  /** Attempts after the first. */
  retries: number;
  initialDelayMs: number;
  maxDelayMs: number;
  clock: Clock;
  random: Random;
  /** Whether another attempt may help. */
  isWorthwhile: (error: unknown) => boolean;
  onRetry?: (error: unknown) => void;
  signal?: AbortSignal;
}

/**
 * How long to wait before attempt `attempt` + 1: anything between nothing and a ceiling that
 * doubles, so that callers who failed together don't come back together. "Full jitter": M. Brooker,
 * "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function backoffMs(
  attempt: number,
  initialDelayMs: number,
  maxDelayMs: number,
  random: Random,
): number {
  const ceilingMs = Math.min(maxDelayMs, initialDelayMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(random.float() * ceilingMs);
}

/**
 * Runs `attempt` until it succeeds, isn't worthwhile any more or has had all its retries; rejects
 * with the last error. Waits by the clock that it is given, so that tests can hold it.
 */
export async function retry<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { retries, initialDelayMs, maxDelayMs, clock, random, signal } = options;
  for (let number = 1; ; number += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (number > retries || signal?.aborted || !options.isWorthwhile(error)) throw error;
      options.onRetry?.(error);
      await clock.sleep(backoffMs(number, initialDelayMs, maxDelayMs, random), signal);
    }
  }
}
