import { isUpdate, mayApply, type Prepared } from "./prepared.ts";
import { groupBy } from "./sorting.ts";
import { type Witness, witnessOf } from "./verdict.ts";
import { keyText, listText, operationText } from "./words.ts";

/** The shortest chain from an update that a read missed to that read; O(n). */
export function causalWitness(prepared: Prepared, read: number): Witness {
  const { history, rank, source } = prepared;
  const { session, call, end, key } = history;
  const { starts, order } = groupBy(session, history.sessions.length, prepared.byCall);
  const visited = new Set<number>([read]);
  const cause = new Map<number, number>();
  const queue = [read];
  const isMissed = (at: number) =>
    mayApply(history, at) && key[at] === key[read] && rank[at]! > rank[read]!;
  // Each session is walked through once; what had not ended yet is looked at again.
  const walkedTo = starts.slice();
  const later: number[][] = history.sessions.map(() => []);
  function* causesOf(at: number): Generator<number> {
    if (!isUpdate(history, at) && at !== read && source[at]! >= 0) yield source[at]!;
    const own = session[at]!;
    for (; walkedTo[own]! < starts[own + 1]!; walkedTo[own]! += 1) {
      const before = order[walkedTo[own]!]!;
      if (call[before]! > call[at]!) break;
      later[own]!.push(before);
    }
    const waiting = later[own]!;
    later[own] = waiting.filter((one) => end[one]! > call[at]!);
    yield* waiting.filter((one) => end[one]! <= call[at]!);
  }
  let missed = -1;
  for (let next = 0; next < queue.length && missed < 0; next += 1) {
    for (const one of causesOf(queue[next]!)) {
      if (visited.has(one)) continue;
      visited.add(one);
      cause.set(one, queue[next]!);
      queue.push(one);
      if (missed < 0 && isMissed(one)) missed = one;
    }
  }
  const chain: number[] = [];
  for (let at: number | undefined = missed; at !== undefined; at = cause.get(at)) chain.push(at);
  const between = chain.slice(1, -1).map((at) => operationText(history, at));
  const sentence =
    `${operationText(history, read)}${keyText(history, read)} missed ` +
    `${operationText(history, missed)}, which it depends on` +
    (between.length > 0 ? ` through ${listText(between)}.` : ".");
  return witnessOf(history, chain, sentence);
}
