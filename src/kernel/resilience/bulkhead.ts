/** At most so many at once, and at most so many waiting in line. */
export interface Bulkhead {
  readonly active: number;
  readonly waiting: number;
  /** Waits for a place; rejects with `BulkheadFull`, or with the signal's reason. */
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export class BulkheadFull extends Error {
  constructor() {
    super("as many calls are under way and waiting as may be");
    this.name = "BulkheadFull";
  }
}

interface Waiter {
  enter: () => void;
  leave: () => void;
}

/**
 * First come, first served: a place that gets free is handed to who waits longest, not to whoever
 * happens to ask next. (Cockatiel's bulkhead frees the place first, so that a newcomer can take it
 * and the waiter is turned away.)
 */
export function createBulkhead(concurrent: number, queued: number): Bulkhead {
  const line = new Set<Waiter>();
  let active = 0;

  const place = (signal?: AbortSignal): Promise<void> | void => {
    signal?.throwIfAborted();
    if (active < concurrent) {
      active += 1;
      return;
    }
    if (line.size >= queued) throw new BulkheadFull();
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        line.delete(waiter);
        reject(signal?.reason);
      };
      const leave = () => signal?.removeEventListener("abort", giveUp);
      const waiter = { enter: resolve, leave };
      line.add(waiter);
      signal?.addEventListener("abort", giveUp, { once: true });
    });
  };

  const free = () => {
    const [next] = line;
    if (!next) {
      active -= 1;
      return;
    }
    line.delete(next);
    next.leave();
    next.enter();
  };

  return {
    get active() {
      return active;
    },
    get waiting() {
      return line.size;
    },
    async run(work, signal) {
      await place(signal);
      try {
        return await work();
      } finally {
        free();
      }
    },
  };
}
