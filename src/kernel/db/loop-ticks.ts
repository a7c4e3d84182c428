const TICK_MS = 1;

/** Turns of the event loop, counted at most once a millisecond and only while somebody looks. */
export interface LoopTicks {
  /** Starts the count; call `unwatch` once for each. */
  watch(): void;
  unwatch(): void;
  readonly count: number;
}

/**
 * Tells how long something took in turns of the event loop. Milliseconds would blame the other
 * side for the time in which this process itself was busy: an answer that came meanwhile is read in
 * the very next turn. `onTick` runs at each turn.
 */
export function createLoopTicks(onTick: () => void): LoopTicks {
  let count = 0;
  let watchers = 0;
  let timer: NodeJS.Timeout | null = null;

  function turn(): void {
    count += 1;
    onTick();
    if (watchers > 0) timer?.refresh();
    else timer = null;
  }

  return {
    watch() {
      watchers += 1;
      timer ??= setTimeout(turn, TICK_MS);
    },
    unwatch() {
      watchers -= 1;
    },
    get count() {
      return count;
    },
  };
}
