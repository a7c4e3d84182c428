import { ConnectionError } from "./pg-errors.ts";

export interface TurnLimits {
  /** How many may have a turn at a time. */
  readonly atOnceMax: number;
  /** How long to wait for one. */
  readonly waitMs: number;
}

/** How many may wait; beyond that it is better to answer 503 at once. */
const WAITING_MAX = 1_000;
/** One tenant's share of that, so that its burst leaves room for the others to wait. */
const WAITING_PER_KEY_MAX = 250;

interface Waiter {
  readonly start: () => void;
  readonly timer: NodeJS.Timeout;
}

/** Turns at something scarce, given in a circle of keys: a tenant in a hurry passes nobody. */
export interface Turns {
  /** Rejects with `ConnectionError` when none comes up in time, or too many wait. */
  take(key: string): Promise<void>;
  /** Gives a turn back, to be called once for each that was taken. */
  done(): void;
  readonly waiting: number;
}

/** Hands out turns, one key after the other, so that no tenant can take all of them. */
export function createTurns({ atOnceMax, waitMs }: TurnLimits): Turns {
  // The first key is the next one served; it then goes to the end of the circle.
  const circle = new Map<string, Set<Waiter>>();
  let taken = 0;
  let waiting = 0;

  function leave(key: string, queue: Set<Waiter>, waiter: Waiter): void {
    clearTimeout(waiter.timer);
    queue.delete(waiter);
    waiting -= 1;
    if (queue.size === 0) circle.delete(key);
  }

  function wait(key: string): Promise<void> {
    const queue = circle.get(key) ?? new Set<Waiter>();
    if (waiting >= WAITING_MAX || queue.size >= WAITING_PER_KEY_MAX) {
      throw new ConnectionError(`No database connection: ${queue.size} wait for one already`);
    }
    circle.set(key, queue);
    waiting += 1;
    return new Promise((resolve, reject) => {
      const late = () => {
        leave(key, queue, waiter);
        reject(new ConnectionError(`No database connection was free within ${waitMs} ms`));
      };
      const waiter: Waiter = { start: resolve, timer: setTimeout(late, waitMs) };
      queue.add(waiter);
    });
  }

  return {
    async take(key) {
      if (taken >= atOnceMax) return wait(key);
      taken += 1;
    },
    done() {
      for (const [key, queue] of circle) {
        for (const waiter of queue) {
          leave(key, queue, waiter);
          if (queue.size > 0) {
            circle.delete(key);
            circle.set(key, queue);
          }
          waiter.start();
          return;
        }
      }
      taken -= 1;
    },
    get waiting() {
      return waiting;
    },
  };
}
