import { type Fault, type History, levelNames, outcome } from "./history.ts";
import type { Prepared } from "./prepared.ts";
import { held, undecided, type Verdict, violated, type Witness, witnessOf } from "./verdict.ts";
import { durationText, operationText } from "./words.ts";

/** What was promised of answers. */
export interface Promises {
  /** Every request is answered or refused within it. */
  readonly operationTimeoutMs: number | null;
  /** CP: strong requests to an isolated replica are refused. AP: all others are answered. */
  readonly mode: "CP" | "AP" | null;
}

const roundingMs = 1e-6;

/**
 * Availability (Gilbert and Lynch, "Brewer's conjecture", SIGACT News 33(2), 2002), O(n × faults):
 * every request comes back within its deadline; in CP, a strong one to a replica that could not
 * reach a majority from its call to its end is refused, not answered; in AP, any to a replica that
 * was not isolated meanwhile is answered.
 */
export function checkAvailability(prepared: Prepared, promises: Promises): Verdict {
  const { history } = prepared;
  const { operationTimeoutMs, mode } = promises;
  if (operationTimeoutMs === null && mode === null) return undecided(0, "no promise was given");
  if (history.meta.clock !== "ms") return undecided(0, "the history has no times in ms");
  let [checked, found] = [0, 0];
  let first: Witness | null = null;
  for (const at of prepared.byCall) {
    if (history.isFinal[at]) continue;
    checked += 1;
    const sentence = faultOf(history, at, promises);
    if (sentence === null) continue;
    found += 1;
    first ??= witnessOf(history, [at], sentence);
  }
  return first ? violated(checked, first, found) : held(checked);
}

function faultOf(history: History, at: number, { operationTimeoutMs, mode }: Promises) {
  const text = operationText(history, at);
  const ms = history.answered[at]! - history.call[at]!;
  if (operationTimeoutMs !== null && Number.isNaN(ms)) return `${text} never came back.`;
  if (operationTimeoutMs !== null && ms > operationTimeoutMs + roundingMs) {
    return `${text} took ${durationText(ms)}; ${durationText(operationTimeoutMs)} are allowed.`;
  }
  const replica = history.replicas[history.replica[at]!];
  if (mode === null || replica === undefined) return null;
  const level = levelNames[history.level[at]!] ?? "strong";
  const isOk = history.outcome[at] === outcome.ok;
  const isolation = history.faults.find(
    (fault) => fault.isolated.includes(replica) && meets(history, at, fault),
  );
  if (mode === "CP" && level === "strong" && isOk && isolation && covers(history, at, isolation)) {
    return `${text} was answered by ${replica}, which could not reach a majority all the while.`;
  }
  if (mode === "AP" && !isOk && !isolation) {
    return `${text} was not answered by ${replica}, although no fault kept it from it.`;
  }
  return null;
}

const endOf = (fault: Fault): number => fault.return ?? Number.POSITIVE_INFINITY;

function meets({ call, answered }: History, at: number, fault: Fault): boolean {
  const end = Number.isNaN(answered[at]) ? Number.POSITIVE_INFINITY : answered[at]!;
  return fault.call <= end && call[at]! <= endOf(fault);
}

const covers = ({ call, answered }: History, at: number, fault: Fault): boolean =>
  fault.call <= call[at]! && answered[at]! <= endOf(fault);
