import type { History } from "./history.ts";
import { impossibleRead } from "./integrity.ts";
import type { Prepared } from "./prepared.ts";
import { type Witness, witnessOf } from "./verdict.ts";
import { deedText, keyText, lengthText, operationText, valueOf } from "./words.ts";
import type { ZoneConflict, ZoneFindings, Zones } from "./zones.ts";

const operationsAtMost = 5;

/** Why cluster `old` must come before `young` and after it; -1 stands for the beginning of time. */
interface Contradiction {
  /** Of the old cluster, and had ended when `youngLate` was called. */
  readonly oldEarly: number;
  readonly youngLate: number;
  /** Of the young cluster, and had ended when `oldLate` was called. */
  readonly youngEarly: number;
  readonly oldLate: number;
  /** Everything that a reader needs to see it, the writes of both values included. */
  readonly at: readonly number[];
}

/** The smallest and earliest counterexample among what zones found; null when they found none. */
export function zoneWitness(prepared: Prepared, findings: ZoneFindings): Witness | null {
  const { history } = prepared;
  const impossible = findings.impossible.map((at) => impossibleRead(prepared, at));
  const contradictions = findings.conflicts.map((conflict) =>
    smallestOf(history, findings.zones, conflict),
  );
  const found = [
    ...impossible.filter((one) => one !== null),
    ...contradictions.map((one) => describe(history, one)),
  ];
  const lastCall = ({ at }: Witness) => Math.max(...at.map((one) => history.call[one]!));
  found.sort((a, b) => a.at.length - b.at.length || lastCall(a) - lastCall(b));
  return found[0] ?? null;
}

function smallestOf(history: History, zones: Zones, { first, second }: ZoneConflict) {
  const all = [
    ...contradictionsOf(history, zones, first, second),
    ...contradictionsOf(history, zones, second, first),
  ];
  // Of equal ones that is told best in which both writes say which value is older.
  const isPlain = (one: Contradiction) =>
    isWrite(history, one.youngLate) && (one.oldEarly < 0 || isWrite(history, one.oldEarly));
  all.sort((a, b) => a.at.length - b.at.length || Number(isPlain(b)) - Number(isPlain(a)));
  return all[0]!;
}

const isWrite = ({ op }: History, at: number) => op[at] !== 0;

function contradictionsOf(
  { count, call, end }: History,
  { firstEndAt, lastCallAt }: Zones,
  old: number,
  young: number,
): Contradiction[] {
  // Of a cluster the write is tried first, then the operation that proves the most.
  const members = (cluster: number, extreme: number) =>
    cluster < count && cluster !== extreme ? [cluster, extreme] : [extreme];
  const isBefore = (early: number, late: number) => early < 0 || end[early]! < call[late]!;
  const found: Contradiction[] = [];
  for (const oldEarly of members(old, firstEndAt[old]!)) {
    for (const youngLate of members(young, lastCallAt[young]!)) {
      if (youngLate < 0 || !isBefore(oldEarly, youngLate)) continue;
      for (const youngEarly of members(young, firstEndAt[young]!)) {
        for (const oldLate of members(old, lastCallAt[old]!)) {
          if (youngEarly < 0 || oldLate < 0 || !isBefore(youngEarly, oldLate)) continue;
          const needed = new Set(
            [oldEarly, youngLate, youngEarly, oldLate].filter((at) => at >= 0),
          );
          const writes = [old, young].filter((cluster) => cluster < count);
          const complete = new Set([...needed, ...writes]);
          const at = [...(complete.size > operationsAtMost ? needed : complete)];
          found.push({ oldEarly, youngLate, youngEarly, oldLate, at });
        }
      }
    }
  }
  return found;
}

function describe(history: History, one: Contradiction): Witness {
  const { oldEarly, youngLate, youngEarly, oldLate } = one;
  const { call, end } = history;
  const young = valueOf(history, history.value[youngEarly]!);
  const since = lengthText(history, call[oldLate]! - end[youngEarly]!);
  const where = keyText(history, oldLate);
  const late = operationText(history, oldLate);
  const early = operationText(history, youngEarly);
  const ended = isWrite(history, youngEarly) ? "was acknowledged" : "had ended";
  let sentence = `${late}${where} was called${since} after ${early} ${ended}`;
  if (oldEarly < 0) sentence += ", yet it found what was there before any write.";
  else if (oldEarly === oldLate) {
    sentence += `, yet had itself ended before ${operationText(history, youngLate)} was called.`;
  } else if (isWrite(history, oldEarly) && isWrite(history, youngLate)) {
    const newer = youngLate === youngEarly ? "" : ` (${deedText(history, youngLate)})`;
    const write = `${history.ids[oldEarly]} (${deedText(history, oldEarly)})`;
    sentence += `, though ${write} had ended before ${history.ids[youngLate]}${newer} was called.`;
  } else {
    const before = operationText(history, oldEarly);
    sentence += `, though ${before} had ended before ${operationText(history, youngLate)} was`;
    sentence += ` called: ${young} can be neither the older nor the newer value.`;
  }
  return witnessOf(history, one.at, sentence);
}
