/** Something that happens later; `isOff` keeps it from happening. */
export interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  isOff: boolean;
}

/**
 * One line of time on which everything of a cluster happens, in an order that nothing else
 * decides.
 */
export interface Scheduler {
  /** The time of the event that is happening, in ms from the start. */
  nowMs(): number;
  /**
   * Runs it after `ms`; events of the same moment run in the order in which they were asked for.
   */
  after(ms: number, run: () => void): Timer;
  /** When the next event is due; infinite when there is none. */
  nextMs(): number;
  /** How many events are kept, some of which may be off. */
  readonly size: number;
  /** Lets everything up to and including `ms` happen, and moves time there. */
  runUntil(ms: number): void;
}

/** With so many events, and twice as many as were left the last time, those that are off go. */
const sweptFrom = 1_024;

const isBefore = (a: Timer, b: Timer): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/**
 * A queue of events in virtual time (a binary heap). Who calls `runUntil` decides how time passes:
 * at once in tests and experiments, with the clock on the wall where a server holds a store.
 */
export function createScheduler(): Scheduler {
  const heap: Timer[] = [];
  let [now, orders, sweepAt] = [0, 0, sweptFrom];
  return {
    nowMs: () => now,
    after(ms, run) {
      const timer = { atMs: now + Math.max(0, ms), order: orders, run, isOff: false };
      orders += 1;
      if (heap.length >= sweepAt) {
        sweep(heap);
        sweepAt = Math.max(sweptFrom, heap.length * 2);
      }
      push(heap, timer);
      return timer;
    },
    get size() {
      return heap.length;
    },
    nextMs: () => heap[0]?.atMs ?? Number.POSITIVE_INFINITY,
    runUntil(ms) {
      while (heap.length > 0 && heap[0]!.atMs <= ms) {
        const timer = pop(heap);
        now = timer.atMs;
        if (!timer.isOff) timer.run();
      }
      now = Math.max(now, ms);
    },
  };
}

function sweep(heap: Timer[]): void {
  const left = heap.filter(({ isOff }) => !isOff);
  heap.length = 0;
  for (const timer of left) push(heap, timer);
}

function push(heap: Timer[], timer: Timer): void {
  let at = heap.length;
  heap.push(timer);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(timer, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = timer;
}

function pop(heap: Timer[]): Timer {
  const first = heap[0]!;
  const last = heap.pop()!;
  if (heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
