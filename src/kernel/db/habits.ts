/** On average so many turns of the event loop or more: slow. */
const SLOW_TICKS = 4;
/** How much one run weighs in the average: a few late answers make no text slow. */
const WEIGHT = 1 / 16;
/** More than these say nothing more. */
const TICKS_MAX = 200;
/** The first run is parsed and planned, and says little. */
const FIRST_TICKS_MAX = 2 * SLOW_TICKS;
/** Texts remembered; one that was forgotten flies alone once more. */
const TEXTS_MAX = 2_000;

/** What is known of statements that were run before: whether others may wait behind them. */
export interface Habits {
  /** A text that was never seen may not: it could be anything. */
  mayShare(text: string): boolean;
  learn(text: string, tookTicks: number): void;
}

/** Knows nothing yet. */
export function createHabits(): Habits {
  /** How long each text takes, as a moving average. */
  const ticksOf = new Map<string, number>();

  function remember(text: string, ticks: number): void {
    ticksOf.set(text, Math.min(ticks, FIRST_TICKS_MAX));
    if (ticksOf.size <= TEXTS_MAX) return;
    for (const oldest of ticksOf.keys()) {
      ticksOf.delete(oldest);
      return;
    }
  }

  return {
    mayShare(text) {
      const ticks = ticksOf.get(text);
      return ticks !== undefined && ticks < SLOW_TICKS;
    },
    learn(text, tookTicks) {
      const before = ticksOf.get(text);
      if (before === undefined) return remember(text, tookTicks);
      ticksOf.set(text, before + (Math.min(tookTicks, TICKS_MAX) - before) * WEIGHT);
    },
  };
}
