import type { Hub } from "../types.ts";

/** Nobody is woken across processes: who waits looks by itself now and then. */
export function createHub(): Hub {
  const waiting = new Map<string, Set<() => void>>();
  return {
    tell(id) {
      const wakes = waiting.get(id);
      waiting.delete(id);
      for (const wake of wakes ?? []) wake();
    },
    next(id, signal) {
      return new Promise((resolve) => {
        const wakes = waiting.get(id) ?? new Set();
        waiting.set(id, wakes);
        const wake = () => {
          wakes.delete(wake);
          if (wakes.size === 0 && waiting.get(id) === wakes) waiting.delete(id);
          resolve();
        };
        wakes.add(wake);
        if (signal.aborted) wake();
        else signal.addEventListener("abort", wake, { once: true });
      });
    },
  };
}
