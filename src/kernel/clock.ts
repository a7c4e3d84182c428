import { setTimeout as delay } from "node:timers/promises";

/** The only source of time for decisions made in the process; tests hold one of their own. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Milliseconds that never run backwards, for measuring durations. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Milliseconds since the Unix epoch as ISO-8601 in UTC, as statements take it and answers give it:
 * with microseconds, as PostgreSQL has them, so that texts compare as the moments do.
 */
export const isoOf = (epochMs: number): string =>
  new Date(epochMs).toISOString().replace("Z", "000Z");

/** The process clock's moment as ISO-8601 in UTC. */
export const isoNow = (clock: Pick<Clock, "nowMs">): string => isoOf(clock.nowMs());

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, { signal }),
};

/** A clock that stands still until told otherwise. */
export interface ManualClock extends Clock {
  /** Moves time forward and wakes every sleeper whose moment has come. */
  advance(ms: number): void;
  set(epochMs: number): void;
}

interface Sleeper {
  dueMs: number;
  wake: () => void;
}

/** A clock for tests, starting at `startMs` (default 2026-01-01T00:00:00Z). */
export function manualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let now = startMs;
  let sleepers: Sleeper[] = [];
  const wakeDue = () => {
    const due = sleepers.filter((sleeper) => sleeper.dueMs <= now);
    sleepers = sleepers.filter((sleeper) => sleeper.dueMs > now);
    for (const sleeper of due) sleeper.wake();
  };
  return {
    nowMs: () => now,
    monotonicMs: () => now - startMs,
    advance(ms) {
      now += ms;
      wakeDue();
    },
    set(epochMs) {
      now = epochMs;
      wakeDue();
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        if (ms <= 0) return resolve();
        const sleeper = { dueMs: now + ms, wake: resolve };
        sleepers.push(sleeper);
        signal?.addEventListener(
          "abort",
          () => {
            sleepers = sleepers.filter((other) => other !== sleeper);
            reject(signal.reason);
          },
          { once: true },
        );
      }),
  };
}
