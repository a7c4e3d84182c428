import { op } from "./history.ts";
import type { MemoryBudget } from "./memo.ts";
import type { Model } from "./model.ts";
import type { Problem } from "./problem.ts";
import { beginWalk, isNewPlace, take, undo, type Walk } from "./search-walk.ts";

export type SearchOutcome = "found" | "none" | "paused" | "memory";

/** A search for an order that explains every answer; it can be interrupted and go on later. */
export interface Search {
  /**
   * Goes on for so many steps at most. `found`: there is an order. `none`: there is none. `paused`:
   * not known yet. `memory`: the memory is used up, and it will never be known.
   */
  run(steps: number): SearchOutcome;
  /** Steps taken so far. */
  readonly steps: number;
  /**
   * When there is none: the operation of the problem whose end no order gets past. What was called
   * before that end has no order even without everything later. -1 where that can't be said.
   */
  readonly stuckAt: number;
  /** Gives its memory back. */
  release(): void;
}

/**
 * Searches for a legal order of one key's operations that keeps to real time: Wing and Gong,
 * "Testing and verifying concurrent objects", J. Parallel and Distributed Computing 17, 1993, with
 * the memory of places of Lowe, "Testing for linearizability", Concurrency and Computation 29(4),
 * 2017. A place is the earliest end that is not passed, the state, and which of the operations
 * that are under way there took effect: no more bits than operations at once, and still exact.
 * What changes nothing takes effect as soon as it can: that takes no choice away. Exponential at
 * worst: NP-complete.
 */
export function createSearch(problem: Problem, model: Model, budget: MemoryBudget): Search {
  const walk = beginWalk(problem, model, budget);
  const progress: Progress = { steps: 0, node: 0, isFresh: true };
  return {
    run: (steps) => advance(walk, progress, progress.steps + steps),
    get steps() {
      return progress.steps;
    },
    get stuckAt() {
      return model.looksAhead ? -1 : (problem.byEnd[walk.furthest] ?? -1);
    },
    release: () => {
      budget.leftBytes += walk.memo.bytes;
    },
  };
}

interface Progress {
  steps: number;
  /** The next event to look at. */
  node: number;
  /** Something took effect and nothing was looked at since. */
  isFresh: boolean;
}

function advance(walk: Walk, progress: Progress, until: number): SearchOutcome {
  const { next, head, problem, memo } = walk;
  const { count, byEnd } = problem;
  while (progress.steps < until) {
    if (progress.isFresh) {
      takePassive(walk, progress);
      progress.node = next[head]!;
      progress.isFresh = false;
    }
    if (walk.frontier === byEnd.length) return "found";
    progress.steps += 1;
    const one = progress.node;
    if (one >= count) {
      // An end that is not passed: what was taken before it was taken wrongly.
      if (!turnBack(walk, progress)) return "none";
      continue;
    }
    const after = stateAfter(walk, one);
    if (after >= 0) {
      take(walk, one, after, false);
      progress.isFresh = isNewPlace(walk);
      if (progress.isFresh) continue;
      if (memo.isFull) return "memory";
      undo(walk);
    }
    progress.node = next[one]!;
  }
  return "paused";
}

/**
 * What changes nothing and can take effect now, does; unless that would go beyond the time of
 * something that may be left out.
 */
function takePassive(walk: Walk, progress: Progress): void {
  const { next, previous, head, problem, model } = walk;
  const { count, call, end, isPassive } = problem;
  const hasWindows = walk.windows.length > 0;
  let firstMissed = Number.POSITIVE_INFINITY;
  for (let at = next[head]!; at < count; ) {
    const before = previous[at]!;
    if (isPassive[at]) {
      progress.steps += 1;
      if (call[at]! <= firstMissed && model.step(walk.state, at) >= 0) {
        take(walk, at, walk.state, true);
      }
    } else if (hasWindows && end[at]! >= walk.lastCall && end[at]! < firstMissed) {
      firstMissed = end[at]!;
    }
    // What was taken is out of the list, its end as well, so that more calls may come in reach.
    at = walk.isDone[at] ? next[before]! : next[at]!;
  }
}

/** The state after an operation that is there to choose; -1 when it can't take effect now. */
function stateAfter(walk: Walk, one: number): number {
  const { problem, model, windows } = walk;
  if (problem.isPassive[one] && windows.length === 0) return -1;
  if (problem.end[one]! < walk.lastCall || coversUnseen(walk, one)) return -1;
  return model.step(walk.state, one);
}

/** Whether a write would cover what need not have happened before anybody saw it. */
function coversUnseen({ problem, depth, path }: Walk, one: number): boolean {
  const what = problem.op[one];
  if (depth === 0 || (what !== op.write && what !== op.delete)) return false;
  return problem.isOptional[path[depth - 1]!] === 1;
}

/** Back to the last choice, and on to the next one; false when there is none left. */
function turnBack(walk: Walk, progress: Progress): boolean {
  while (walk.depth > 0) {
    const one = undo(walk);
    if (walk.isForced[walk.depth]) continue;
    progress.node = walk.next[one]!;
    return true;
  }
  return false;
}
