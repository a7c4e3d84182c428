import { createMemo, type Memo, type MemoryBudget } from "./memo.ts";
import type { Model } from "./model.ts";
import type { Problem } from "./problem.ts";
import { orderOf } from "./sorting.ts";

/** Where a search stands: what took effect so far, in which order, and what is left. */
export interface Walk {
  readonly problem: Problem;
  readonly model: Model;
  /** Calls and ends that are left, by time: nodes 0 … are calls, count … are ends. */
  readonly next: Int32Array;
  readonly previous: Int32Array;
  readonly head: number;
  readonly bitOf: Int32Array;
  /** Which of the operations that are under way took effect; with windows, one word more. */
  readonly mask: Int32Array;
  readonly memo: Memo;
  /** Operations that may be left out once their time is over, by their end. */
  readonly windows: Int32Array;
  readonly isDone: Uint8Array;
  /** The order so far, and what was before each step. */
  readonly path: Int32Array;
  readonly isForced: Uint8Array;
  readonly stateBefore: Int32Array;
  readonly frontierBefore: Int32Array;
  readonly lastCallBefore: Float64Array;
  depth: number;
  state: number;
  /** How many ends are passed, and the most that ever were. */
  frontier: number;
  furthest: number;
  /** The latest call of what took effect: nothing that ended before can follow. */
  lastCall: number;
  /** How many windows are over. */
  expired: number;
}

/** A walk that stands at the beginning. */
export function beginWalk(problem: Problem, model: Model, budget: MemoryBudget): Walk {
  const { count, end, isOptional } = problem;
  const { bitOf, words } = assignBits(problem);
  const windows = orderOf(end, count).filter((one) => isOptional[one] && end[one]! < Infinity);
  const mask = new Int32Array(windows.length > 0 ? words + 1 : words);
  return {
    problem,
    model,
    ...linkEvents(problem),
    bitOf,
    mask,
    memo: createMemo(mask.length, budget),
    windows,
    isDone: new Uint8Array(count),
    path: new Int32Array(count),
    isForced: new Uint8Array(count),
    stateBefore: new Int32Array(count),
    frontierBefore: new Int32Array(count),
    lastCallBefore: new Float64Array(count),
    depth: 0,
    state: model.initial,
    frontier: 0,
    furthest: 0,
    lastCall: Number.NEGATIVE_INFINITY,
    expired: 0,
  };
}

/** The events as one list that is linked both ways. */
function linkEvents({ count, call, end, byEnd }: Problem) {
  const head = count * 2;
  const next = new Int32Array(head + 1);
  const previous = new Int32Array(head + 1);
  let last = head;
  const link = (node: number) => {
    next[last] = node;
    previous[node] = last;
    last = node;
  };
  let ended = 0;
  for (let one = 0; one < count; one += 1) {
    // What ends as another begins is concurrent with it.
    for (; ended < byEnd.length && end[byEnd[ended]!]! < call[one]!; ended += 1) {
      link(count + byEnd[ended]!);
    }
    link(one);
  }
  for (; ended < byEnd.length; ended += 1) link(count + byEnd[ended]!);
  link(head);
  return { next, previous, head };
}

/** A bit for each operation, free again for another once it has ended. */
function assignBits({ count, call, end }: Problem) {
  const bitOf = new Int32Array(count);
  const byAnyEnd = orderOf(end, count);
  const free: number[] = [];
  let [bits, ended] = [0, 0];
  for (let one = 0; one < count; one += 1) {
    for (; ended < count && end[byAnyEnd[ended]!]! < call[one]!; ended += 1) {
      free.push(bitOf[byAnyEnd[ended]!]!);
    }
    const reused = free.pop();
    bitOf[one] = reused ?? bits;
    if (reused === undefined) bits += 1;
  }
  return { bitOf, words: (bits + 31) >> 5 };
}

function setBit({ mask, bitOf }: Walk, one: number, isOn: boolean): void {
  const bit = 1 << (bitOf[one]! & 31);
  if (isOn) mask[bitOf[one]! >> 5]! |= bit;
  else mask[bitOf[one]! >> 5]! &= ~bit;
}

function lift({ next, previous }: Walk, node: number): void {
  next[previous[node]!] = next[node]!;
  previous[next[node]!] = previous[node]!;
}

function restore({ next, previous }: Walk, node: number): void {
  next[previous[node]!] = node;
  previous[next[node]!] = node;
}

/**
 * Lets an operation take effect, after which the state is another; `isForced`: it was no choice.
 */
export function take(walk: Walk, one: number, after: number, isForced: boolean): void {
  const { problem, depth } = walk;
  const { byEnd, call, end, isOptional, count } = problem;
  walk.path[depth] = one;
  walk.isForced[depth] = isForced ? 1 : 0;
  walk.stateBefore[depth] = walk.state;
  walk.frontierBefore[depth] = walk.frontier;
  walk.lastCallBefore[depth] = walk.lastCall;
  walk.depth = depth + 1;
  walk.state = after;
  if (call[one]! > walk.lastCall) walk.lastCall = call[one]!;
  // Of windows that are over it makes no difference any more whether they were used.
  const { windows } = walk;
  for (; walk.expired < windows.length; walk.expired += 1) {
    if (end[windows[walk.expired]!]! >= walk.lastCall) break;
    setBit(walk, windows[walk.expired]!, false);
  }
  // Not earlier: its bit may be one that a window had.
  walk.isDone[one] = 1;
  setBit(walk, one, true);
  while (walk.frontier < byEnd.length && walk.isDone[byEnd[walk.frontier]!]) {
    setBit(walk, byEnd[walk.frontier]!, false);
    walk.frontier += 1;
  }
  lift(walk, one);
  if (!isOptional[one]) lift(walk, count + one);
  if (walk.frontier > walk.furthest) walk.furthest = walk.frontier;
}

/** Takes back what took effect last; returns it. */
export function undo(walk: Walk): number {
  const { byEnd, end, isOptional, count } = walk.problem;
  walk.depth -= 1;
  const one = walk.path[walk.depth]!;
  if (!isOptional[one]) restore(walk, count + one);
  restore(walk, one);
  for (const before = walk.frontierBefore[walk.depth]!; walk.frontier > before; ) {
    walk.frontier -= 1;
    setBit(walk, byEnd[walk.frontier]!, true);
  }
  setBit(walk, one, false);
  walk.isDone[one] = 0;
  walk.state = walk.stateBefore[walk.depth]!;
  walk.lastCall = walk.lastCallBefore[walk.depth]!;
  for (; walk.expired > 0; walk.expired -= 1) {
    const window = walk.windows[walk.expired - 1]!;
    if (end[window]! < walk.lastCall) break;
    if (walk.isDone[window]) setBit(walk, window, true);
  }
  return one;
}

/** Remembers where the walk stands; false when it was there before, or when memory is used up. */
export function isNewPlace(walk: Walk): boolean {
  const { problem, mask, memo, windows, frontier, state, path, depth } = walk;
  if (windows.length > 0) mask[mask.length - 1] = firstCalledAt(problem, walk.lastCall);
  // What may follow depends on whether the last one must still be seen by somebody.
  const isUnseen = problem.isOptional[path[depth - 1]!]!;
  return memo.add(frontier * 2 + isUnseen, state, mask);
}

/** The position of the first operation that was called no earlier. */
function firstCalledAt({ call, count }: Problem, atMs: number): number {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (call[middle]! >= atMs) high = middle;
    else low = middle + 1;
  }
  return low;
}
