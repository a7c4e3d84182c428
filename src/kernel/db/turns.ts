import { createFairQueue } from "./fair-queue.ts";
import { ConnectionError } from "./pg-errors.ts";

export interface TurnLimits {
  /** How many may have a turn at a time. */
  readonly atOnceMax: number;
  /** How long to wait for one. */
  readonly waitMs: number;
}

/** How many may wait; beyond that it is better to answer 503 at once. */
const WAITING_MAX = 1_000;
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
  const queue = createFairQueue<Waiter>({
    itemsMax: WAITING_MAX,
    itemsPerKeyMax: WAITING_PER_KEY_MAX,
  });
  let taken = 0;

  function wait(key: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = () => {
        queue.remove(key, waiter);
        reject(new ConnectionError(`No database connection was free within ${waitMs} ms`));
      };
      const waiter: Waiter = { start: resolve, timer: setTimeout(late, waitMs) };
      if (queue.add(key, waiter)) return;
      clearTimeout(waiter.timer);
      reject(new ConnectionError(`No database connection: ${queue.size} wait for one already`));
    });
  }

  return {
    async take(key) {
      if (taken >= atOnceMax) return wait(key);
      taken += 1;
    },
    done() {
      const next = queue.take();
      if (!next) {
        taken -= 1;
        return;
      }
      clearTimeout(next.timer);
      next.start();
    },
    get waiting() {
      return queue.size;
    },
  };
}
