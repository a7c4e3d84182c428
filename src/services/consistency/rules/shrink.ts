import { type History, op } from "./history.ts";
import { modelOf } from "./model.ts";
import { createProblem, isPassive, type Problem } from "./problem.ts";
import { createSearch } from "./search.ts";
import { type Witness, witnessOf } from "./verdict.ts";
import { keyText, lengthText, operationsText, operationText } from "./words.ts";

const stepsPerTry = 200_000;
const stepsAtMost = 4_000_000;
const memoryBytesPerTry = 16 * 2 ** 20;
const namedAtMost = 12;

/**
 * The smallest counterexample that can be found in little time: operations of one key that no
 * order explains, whatever the others did. Those are set loose, which can only make an order
 * easier to find: reads go, updates may have taken effect in their own time or never, and what had
 * ended before the first that is kept may have left any value. First the shortest window before
 * the end that no order gets past; then, by ever smaller pieces, as in Zeller and Hildebrandt,
 * "Simplifying and isolating failure-inducing input", IEEE TSE 28(2), 2002. `stuckAt` is the
 * operation of the problem whose end no order gets past, or -1.
 */
export function shrinkProblem(history: History, problem: Problem, stuckAt: number): Witness {
  const until = problem.end[stuckAt] ?? Number.POSITIVE_INFINITY;
  const prefix = problem.at.filter((_, one) => problem.call[one]! <= until);
  const isBroken = createJudge(history, prefix, until);
  let kept = shortestWindow(history, prefix, until, isBroken);
  for (let piece = kept.length >> 1; piece >= 1; piece >>= 1) {
    kept = withoutPieces(kept, piece, isBroken);
    if (piece === 1) kept = withoutPieces(kept, piece, isBroken);
  }
  return kept.length <= namedAtMost
    ? describe(history, kept)
    : describeStuck(history, prefix, problem.at[stuckAt] ?? problem.at[problem.byEnd.at(-1)!]!);
}

/** Tells whether operations are a counterexample by themselves; false as well where it gives up. */
function createJudge(history: History, prefix: Int32Array, until: number): IsBroken {
  const { call, end } = history;
  const hasTexts = prefix.some((at) => history.op[at] === op.append);
  let stepsLeft = stepsAtMost;

  function hasNoOrder(problem: Problem, initial: number): boolean {
    const model = modelOf(problem, initial);
    const search = createSearch(problem, model, { leftBytes: memoryBytesPerTry });
    const outcome = search.run(Math.min(stepsPerTry, stepsLeft));
    stepsLeft -= search.steps;
    return outcome === "none";
  }

  return (kept) => {
    if (stepsLeft <= 0) return false;
    let from = Number.POSITIVE_INFINITY;
    for (const at of kept) from = Math.min(from, call[at]!);
    if (hasTexts) from = Number.NEGATIVE_INFINITY;
    const isInReach = (at: number) => kept.has(at) || (!isPassive(history, at) && end[at]! >= from);
    const chosen = prefix.filter(isInReach);
    const problem = createProblem(history, { at: chosen, isLoose: (at) => !kept.has(at), until });
    stepsLeft -= chosen.length;
    const before = prefix.filter((at) => !isPassive(history, at) && !isInReach(at));
    const firsts = before.length === 0 ? [history.initial] : firstValues(problem, before);
    return firsts.every((initial) => hasNoOrder(problem, initial));
  };
}

/**
 * What updates before may have left: the values that somebody looks for, and one that nobody does.
 */
function firstValues(problem: Problem, before: Int32Array): number[] {
  const { history, op: kind, value, expected } = problem;
  const left = new Set<number>([history.initial]);
  for (const at of before) left.add(history.value[at]!);
  const firsts = new Set<number>([history.values.length]);
  for (let one = 0; one < problem.count; one += 1) {
    const looked = kind[one] === op.read ? value[one]! : expected[one]!;
    if (left.has(looked)) firsts.add(looked);
  }
  return [...firsts];
}

type IsBroken = (kept: ReadonlySet<number>) => boolean;

/** The last few answers before `until` that are broken by themselves; all where none are. */
function shortestWindow(
  { end }: History,
  prefix: Int32Array,
  until: number,
  isBroken: IsBroken,
): number[] {
  const ended = [...prefix]
    .filter((at) => end[at]! <= until)
    .sort((a, b) => end[a]! - end[b]! || a - b);
  for (let window = 1; window < ended.length; window *= 2) {
    const tried = ended.slice(-window);
    if (isBroken(new Set(tried))) return tried;
  }
  return [...prefix];
}

function withoutPieces(all: number[], piece: number, isBroken: IsBroken): number[] {
  let kept = all;
  for (let from = 0; from < kept.length && kept.length > 1; ) {
    const fewer = [...kept.slice(0, from), ...kept.slice(from + piece)];
    if (fewer.length > 0 && isBroken(new Set(fewer))) kept = fewer;
    else from += piece;
  }
  return kept;
}

/** Where nothing small was found: the operation whose end no order gets past, and its like. */
function describeStuck(history: History, prefix: Int32Array, stuck: number): Witness {
  const meets = (at: number) =>
    history.call[at]! <= history.end[stuck]! && history.end[at]! >= history.call[stuck]!;
  const around = [...prefix].filter((at) => at !== stuck && meets(at)).slice(0, namedAtMost - 1);
  const sentence =
    `No order of the ${prefix.length} operations${keyText(history, stuck)} that were called ` +
    `before ${operationText(history, stuck)} had ended explains what they returned.`;
  return witnessOf(history, [...around, stuck], sentence);
}

function describe(history: History, kept: readonly number[]): Witness {
  const [first, last] = [...kept].sort((a, b) => history.call[a]! - history.call[b]!) as [
    number,
    number,
  ];
  const where = keyText(history, first);
  if (kept.length === 1) {
    const text = operationText(history, first);
    const found = `what it found was never there while it ran`;
    return witnessOf(history, kept, `${text}${where} fits no order: ${found}.`);
  }
  if (kept.length === 2 && history.end[first]! < history.call[last]!) {
    const since = lengthText(history, history.call[last]! - history.end[first]!);
    const isAnswer = isPassive(history, first);
    const sentence =
      `${operationText(history, last)}${where} was called${since} after ` +
      `${operationText(history, first)} ${isAnswer ? "had ended" : "was acknowledged"}, ` +
      "and nothing that happened since explains it.";
    return witnessOf(history, kept, sentence);
  }
  const sentence =
    `No order of ${operationsText(history, kept)}${where} fits real time and what each returned, ` +
    "whatever the others did.";
  return witnessOf(history, kept, sentence);
}
