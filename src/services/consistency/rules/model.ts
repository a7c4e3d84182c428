import { op } from "./history.ts";
import type { Problem } from "./problem.ts";

/** States as small numbers, and how operations lead from one to the next. */
export interface Model {
  readonly initial: number;
  /**
   * Whether it rules states out for what is read later: then it gets stuck earlier than it must.
   */
  readonly looksAhead: boolean;
  /** The state after operation `one` of the problem, or -1 when it can't take effect in `state`. */
  step(state: number, one: number): number;
}

/**
 * The model that fits a problem's operations: a state is a value, or a text that grows. `initial`
 * is the number of another value to begin with; only for problems without appends.
 */
export function modelOf(problem: Problem, initial = problem.history.initial): Model {
  let [appends, others] = [0, 0];
  for (let one = 0; one < problem.count; one += 1) {
    if (problem.op[one] === op.append) appends += 1;
    else if (problem.op[one] !== op.read) others += 1;
  }
  if (appends === 0) return registerModel(problem, initial);
  const first = problem.history.values[problem.history.initial];
  const isText = first === null || typeof first === "string";
  return others === 0 && isText ? growingModel(problem) : textModel(problem);
}

/** Reads, writes, deletes and cas: the state is the number of a value. */
function registerModel({ op: kind, value, expected, isPassive }: Problem, initial: number): Model {
  return {
    initial,
    looksAhead: false,
    step(state, one) {
      const what = kind[one]!;
      if (what === op.read) return value[one] === state ? state : -1;
      if (what !== op.cas) return value[one]!;
      if (isPassive[one]) return expected[one] === state ? -1 : state;
      return expected[one] === state ? value[one]! : -1;
    },
  };
}

const textOf = (value: unknown): string | null =>
  value === null ? "" : typeof value === "string" ? value : null;

/**
 * A text that only grows is always a beginning of the longest one that was read, until that was
 * read: the state is its length. So one read tells the order of all appends before it, the idea of
 * Kingsbury and Alvaro, "Elle: inferring isolation anomalies from experimental observations",
 * PVLDB 14(3), 2020.
 */
function growingModel({ history, count, op: kind, value }: Problem): Model {
  const texts = Array.from({ length: count }, (_, one) => textOf(history.values[value[one]!]));
  let longest = textOf(history.values[history.initial]) ?? "";
  const initial = longest.length;
  for (let one = 0; one < count; one += 1) {
    const text = texts[one];
    if (kind[one] === op.read && text && text.length > longest.length) longest = text;
  }
  const beyond = longest.length + 1;
  const isPossible = texts.map((text) => text !== null && longest.startsWith(text));
  return {
    initial,
    looksAhead: true,
    step(state, one) {
      const text = texts[one] ?? "";
      if (kind[one] === op.read) return isPossible[one] && text.length === state ? state : -1;
      if (state >= longest.length) return text === "" ? state : beyond;
      return longest.startsWith(text, state) ? state + text.length : -1;
    },
  };
}

/**
 * Texts that are written anew and grow: a state is a value, or an older state with a text behind.
 */
function textModel({ history, op: kind, value, expected, isPassive }: Problem): Model {
  const { values } = history;
  const parents: number[] = [];
  const pieces: number[] = [];
  const lengths: number[] = [];
  const known = new Map<number, number>();
  const first = values.length;
  const lengthOf = (state: number) =>
    state < first ? (textOf(values[state]) ?? "").length : lengths[state - first]!;

  function grown(state: number, piece: number): number {
    if (state < first && textOf(values[state]) === null) return -1;
    if (lengthOf(piece) === 0 && state !== 0) return state;
    const name = state * first + piece;
    let next = known.get(name);
    if (next === undefined) {
      next = first + parents.length;
      known.set(name, next);
      parents.push(state);
      pieces.push(piece);
      lengths.push(lengthOf(state) + lengthOf(piece));
    }
    return next;
  }

  function isText(state: number, wanted: number): boolean {
    if (state < first) return state === wanted;
    const text = values[wanted];
    if (typeof text !== "string" || text.length !== lengthOf(state)) return false;
    let end = text.length;
    let rest = state;
    while (rest >= first) {
      const piece = values[pieces[rest - first]!] as string;
      if (!text.endsWith(piece, end)) return false;
      end -= piece.length;
      rest = parents[rest - first]!;
    }
    return text.startsWith(textOf(values[rest]) ?? "") && lengthOf(rest) === end;
  }

  return {
    initial: history.initial,
    looksAhead: false,
    step(state, one) {
      const what = kind[one]!;
      if (what === op.read) return isText(state, value[one]!) ? state : -1;
      if (what === op.append) return grown(state, value[one]!);
      if (what !== op.cas) return value[one]!;
      const isFound = isText(state, expected[one]!);
      if (isPassive[one]) return isFound ? -1 : state;
      return isFound ? value[one]! : -1;
    },
  };
}
