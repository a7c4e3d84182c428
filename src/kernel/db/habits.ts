import type { Clock } from "../clock.ts";

/** A read that took more turns of the event loop than these is slow. */
const SLOW_TICKS = 20;
/** How long a text flies alone after it was slow; twice as long each time that it is slow again. */
const ALONE_MS = 250;
const ALONE_MAX_MS = 16_000;
/** Texts remembered; one that was forgotten flies alone once more. */
const TEXTS_MAX = 2_000;

interface Habit {
  /** How long it has to fly alone when it was slow; less again each time that it was not. */
  aloneMs: number;
  /** On the monotonic clock; 0 when it was never slow. */
  untilMs: number;
}

/** What is known of statements that were run before: whether others may wait behind them. */
export interface Habits {
  /** A text that was never seen may not: it could be anything. */
  mayShare(text: string): boolean;
  learn(text: string, tookTicks: number): void;
}

/** Knows nothing yet. */
export function createHabits(clock: Pick<Clock, "monotonicMs">): Habits {
  const habits = new Map<string, Habit>();

  function remember(text: string): void {
    habits.set(text, { aloneMs: 0, untilMs: 0 });
    if (habits.size <= TEXTS_MAX) return;
    for (const oldest of habits.keys()) {
      habits.delete(oldest);
      return;
    }
  }

  return {
    mayShare(text) {
      const habit = habits.get(text);
      if (!habit) return false;
      return habit.untilMs === 0 || clock.monotonicMs() >= habit.untilMs;
    },
    learn(text, tookTicks) {
      if (!habits.has(text)) remember(text);
      const habit = habits.get(text) as Habit;
      if (tookTicks > SLOW_TICKS) {
        habit.aloneMs = Math.min(ALONE_MAX_MS, Math.max(ALONE_MS, habit.aloneMs * 2));
        habit.untilMs = clock.monotonicMs() + habit.aloneMs;
      } else if (habit.aloneMs > 0 && clock.monotonicMs() >= habit.untilMs) {
        habit.aloneMs = habit.aloneMs > ALONE_MS ? habit.aloneMs / 2 : 0;
      }
    },
  };
}
