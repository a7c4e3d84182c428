import { type History, op, outcome } from "./history.ts";
import { orderOf } from "./sorting.ts";

/** The operations of one key that an order is sought for, by their call. */
export interface Problem {
  readonly history: History;
  readonly count: number;
  /** Positions in the history. */
  readonly at: Int32Array;
  readonly op: Uint8Array;
  readonly value: Int32Array;
  readonly expected: Int32Array;
  /** Operations that change nothing: reads, and cas that found another value. */
  readonly isPassive: Uint8Array;
  /** Operations that may have taken effect between call and end, or never. */
  readonly isOptional: Uint8Array;
  readonly call: Float64Array;
  readonly end: Float64Array;
  /** Operations that must take effect, by their end. */
  readonly byEnd: Int32Array;
}

/** What a problem is made of: operations of one key by their call. */
export interface Chosen {
  readonly at: Int32Array;
  /** Updates of which it is left open whether they took effect. */
  readonly isLoose?: (at: number) => boolean;
  /** What ends later counts as not answered. */
  readonly until?: number;
}

/** Whether an operation has any say in the order: failed ones and unanswered reads have none. */
export function matters(history: History, isRead: Uint8Array, at: number): boolean {
  if (history.op[at] === op.read) return isRead[at] === 1;
  return history.outcome[at] !== outcome.fail || history.isMismatch[at] === 1;
}

/** Makes a problem of chosen operations. */
export function createProblem(history: History, chosen: Chosen): Problem {
  const { isLoose, until = Number.POSITIVE_INFINITY } = chosen;
  const endOf = (at: number) =>
    history.end[at]! > until ? Number.POSITIVE_INFINITY : history.end[at]!;
  const isOptional = (at: number) =>
    endOf(at) === Number.POSITIVE_INFINITY || isLoose?.(at) === true;
  const kept = withoutUnseen(history, chosen.at, isOptional);
  const count = kept.length;
  const problem = {
    history,
    count,
    at: kept,
    op: new Uint8Array(count),
    value: new Int32Array(count),
    expected: new Int32Array(count),
    isPassive: new Uint8Array(count),
    isOptional: new Uint8Array(count),
    call: new Float64Array(count),
    end: new Float64Array(count),
  };
  for (let one = 0; one < count; one += 1) {
    const at = kept[one]!;
    problem.op[one] = history.op[at]!;
    problem.value[one] = history.value[at]!;
    problem.expected[one] = history.expected[at]!;
    problem.isPassive[one] = isPassive(history, at) ? 1 : 0;
    problem.isOptional[one] = isOptional(at) ? 1 : 0;
    problem.call[one] = history.call[at]!;
    problem.end[one] = endOf(at);
  }
  const byEnd = orderOf(problem.end, count).filter((one) => problem.isOptional[one] === 0);
  return { ...problem, byEnd };
}

/** Whether an operation changes nothing: a read, or a cas that found another value. */
export const isPassive = (history: History, at: number): boolean =>
  history.op[at] === op.read || history.isMismatch[at] === 1;

/**
 * Leaves out what need not take effect and whose effect nobody saw: it only makes the search
 * longer. Where a cas tells that it did not find its value, or texts grow, any write can have been
 * seen.
 */
function withoutUnseen(
  history: History,
  chosen: Int32Array,
  isOptional: (at: number) => boolean,
): Int32Array {
  const all = chosen.filter((at) => !isPassive(history, at) || !isOptional(at));
  const sees = (at: number) => history.op[at] === op.append || history.isMismatch[at] === 1;
  if (!all.some(isOptional) || all.some(sees)) return all;
  const seen = new Set<number>();
  for (const at of all) {
    if (history.op[at] === op.read) seen.add(history.value[at]!);
    if (history.op[at] === op.cas) seen.add(history.expected[at]!);
  }
  return all.filter((at) => !isOptional(at) || seen.has(history.value[at]!));
}
