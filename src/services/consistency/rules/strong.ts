import { checkChain, type ChainFinding } from "./chain.ts";
import { isCertified } from "./certificate.ts";
import { impossibleRead, isImpossibleRead } from "./integrity.ts";
import type { MemoryBudget } from "./memo.ts";
import { modelOf } from "./model.ts";
import { isAnsweredRead, isUpdate, type Prepared, trait } from "./prepared.ts";
import { createProblem, matters, type Problem } from "./problem.ts";
import { createSearch, type Search } from "./search.ts";
import { shrinkProblem } from "./shrink.ts";
import { held, undecided, type Verdict, violated, type Witness, witnessOf } from "./verdict.ts";
import { keyText, operationsText, operationText } from "./words.ts";
import { countWrites, findZoneConflicts, markReads } from "./zones.ts";
import { zoneWitness } from "./zone-witness.ts";

/** How far a search goes before it says that it does not know. */
export interface SearchLimits {
  readonly stepsAtMost: number;
  readonly memoryBytesAtMost: number;
}

export const usualLimits: SearchLimits = {
  stepsAtMost: 30_000_000,
  memoryBytesAtMost: 256 * 2 ** 20,
};

const firstSteps = 2_000;
const stepsGrow = 4;
const betweenAtMost = 3;

/**
 * Linearizability: for each key, all writes and the reads that `wanted` takes have an order that
 * explains every answer and keeps to real time (Herlihy and Wing, "Linearizability", ACM TOPLAS
 * 12(3), 1990; it is local, so that keys can be looked at one by one). Zones where values are
 * unique; else versions as a certificate, a chain of cas, and last the search, within its limits.
 */
export function checkStrong(
  prepared: Prepared,
  wanted?: (at: number) => boolean,
  limits: SearchLimits = usualLimits,
): Verdict {
  const { isRead, reads } = markReads(prepared, wanted);
  const checked = reads + countWrites(prepared);
  const isEasy = prepared.traits.map((bits) => ((bits & ~trait.plainWrite) === 0 ? 1 : 0));
  const findings = findZoneConflicts(prepared, isRead, isEasy);
  const found = findings.conflicts.length + findings.impossible.length;
  const witness = zoneWitness(prepared, findings);
  if (witness) return violated(checked, witness, found);
  const open: number[] = [];
  for (let key = 0; key < isEasy.length; key += 1) {
    if (isEasy[key]) continue;
    const broken = decideKey(prepared, key, isRead);
    if (broken === "open") open.push(key);
    else if (broken) return violated(checked, broken);
  }
  if (open.length === 0) return held(checked);
  return searchKeys(prepared, open, isRead, { checked, limits });
}

/** A counterexample, null when the key is linearizable, or "open" when only a search can tell. */
function decideKey(prepared: Prepared, key: number, isRead: Uint8Array): Witness | null | "open" {
  const { history, byKey } = prepared;
  for (let next = byKey.starts[key]!; next < byKey.starts[key + 1]!; next += 1) {
    const at = byKey.order[next]!;
    if (!isRead[at] || !isAnsweredRead(history, at)) continue;
    if (isImpossibleRead(history, prepared.source[at]!, at)) return impossibleRead(prepared, at);
  }
  if (mixesTexts(prepared, key)) return "open";
  if (isCertified(prepared, key, isRead)) return null;
  return chainWitness(prepared, checkChain(prepared, key, isRead));
}

function chainWitness({ history }: Prepared, finding: ChainFinding): Witness | null | "open" {
  if (finding === null) return "open";
  if (finding.isLinearizable) return null;
  if ("rivals" in finding) {
    const [first, second] = finding.rivals.map((at) => operationText(history, at));
    const where = keyText(history, finding.rivals[0]);
    const sentence = `${first} and ${second}${where} both found the same value, written only once.`;
    return witnessOf(history, finding.rivals, sentence);
  }
  const { early, late } = finding.outOfOrder;
  const through = finding.between.filter((at) => at !== early && at !== late);
  const shown = through.length <= betweenAtMost ? through : [];
  const by = shown.length > 0 ? `: ${operationsText(history, shown)}` : "";
  const sentence =
    `${operationText(history, late)}${keyText(history, late)} was called after ` +
    `${operationText(history, early)} had ended, yet comes before it in the only order${by}.`;
  return witnessOf(history, [early, late, ...shown], sentence);
}

interface Running {
  readonly key: number;
  readonly problem: Problem;
  readonly search: Search;
}

/** The problem of one key: all its writes and the reads that count. */
export function problemOfKey(
  { history, byKey }: Prepared,
  key: number,
  isRead: Uint8Array,
): Problem {
  const operations = byKey.order.subarray(byKey.starts[key], byKey.starts[key + 1]);
  return createProblem(history, { at: operations.filter((at) => matters(history, isRead, at)) });
}

/** Whether a key is appended to that may hold what is no text: nobody says what comes of that. */
function mixesTexts({ history, byKey, traits }: Prepared, key: number): boolean {
  if ((traits[key]! & trait.append) === 0) return false;
  const isOdd = (value: unknown) => value !== null && typeof value !== "string";
  if (isOdd(history.values[history.initial])) return true;
  const operations = byKey.order.subarray(byKey.starts[key], byKey.starts[key + 1]);
  return operations.some(
    (at) => isUpdate(history, at) && isOdd(history.values[history.value[at]!]),
  );
}

/**
 * Searches keys in turn, each with few steps at first and ever more, so that a hard key keeps no
 * easy one from telling what it knows. The first key without an order decides.
 */
export function searchKeys(
  prepared: Prepared,
  keys: readonly number[],
  isRead: Uint8Array,
  { checked, limits }: { checked: number; limits: SearchLimits },
): Verdict {
  const budget: MemoryBudget = { leftBytes: limits.memoryBytesAtMost };
  let stepsLeft = limits.stepsAtMost;
  let running: Running[] = [];
  const begin = (key: number): Running => {
    const problem = problemOfKey(prepared, key, isRead);
    return { key, problem, search: createSearch(problem, modelOf(problem), budget) };
  };
  const mixed = new Set(keys.filter((key) => mixesTexts(prepared, key)));
  const pure = keys.filter((key) => !mixed.has(key));
  let outOfMemory = 0;
  for (let steps = firstSteps; ; steps *= stepsGrow) {
    const isFirst = steps === firstSteps;
    const paused: Running[] = [];
    for (const one of isFirst ? pure : running) {
      const now = typeof one === "number" ? begin(one) : one;
      const before = now.search.steps;
      const outcome = now.search.run(Math.min(steps, stepsLeft));
      stepsLeft -= now.search.steps - before;
      if (outcome === "none") {
        return violated(checked, shrinkProblem(prepared.history, now.problem, now.search.stuckAt));
      }
      if (outcome === "paused") paused.push(now);
      else now.search.release();
      if (outcome === "memory") outOfMemory += 1;
    }
    running = paused;
    if (running.length === 0 || stepsLeft <= 0) break;
  }
  const [first] = [...mixed];
  if (first !== undefined) {
    const name = JSON.stringify(prepared.history.keys[first]);
    return undecided(checked, `key ${name} is appended to, and holds what is no text`);
  }
  const left = running.length + outOfMemory;
  if (left === 0) return held(checked);
  const why =
    outOfMemory > 0
      ? `${limits.memoryBytesAtMost / 2 ** 20} MiB of memory`
      : `${limits.stepsAtMost} steps`;
  const which = left === 1 ? "1 key" : `${left} keys`;
  return undecided(checked, `${why} were not enough to find or rule out an order for ${which}`);
}
