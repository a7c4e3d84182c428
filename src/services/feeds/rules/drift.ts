import { decimalOf } from "./decimals.ts";
import { canonicalJson } from "./records.ts";
import { type ColumnType, jsonTypes } from "./schema.ts";
import { nameSimilarity, vetoOf } from "./names.ts";

/** A name this alike makes a pair a candidate. */
export const nameScoreMin = 0.7;
/** Values of so many records with the same key have to be there to say anything. */
export const evidenceKeysMin = 30;
/** The share of keys whose values agree: enough to map, enough to propose alone, too few. */
export const valueScoreMin = 0.7;
export const valueScoreAlone = 0.95;
export const valueScoreContradicts = 0.3;
/** How far a pair must be ahead of the next one with either of its columns. */
export const marginMin = 0.1;
/** How far numbers may lie apart: the values of two pages, or of pages long apart. */
const toleranceFresh = 0.05;
const toleranceStale = 0.2;

/** A column on one side of a rename; its values are by record key. */
export interface DriftColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly values: ReadonlyMap<string, unknown>;
}

export type DriftVerdict = "auto" | "proposed" | "no";

/** One pair of a removed and an added column with everything that its verdict rests on. */
export interface DriftPair {
  readonly from: string;
  readonly to: string;
  readonly verdict: DriftVerdict;
  readonly nameScore: number;
  /** Null where too few keys are shared to say. */
  readonly valueScore: number | null;
  readonly sharedKeys: number;
  readonly isSameType: boolean;
  readonly isMutualBest: boolean;
  /** The lead over the next best pair with one of the two columns; 1 where there is none. */
  readonly margin: number;
  readonly veto: string | null;
  readonly reason: string;
}

export interface DriftInput {
  readonly removed: readonly DriftColumn[];
  readonly added: readonly DriftColumn[];
  /** Whether the removed columns' values are old: then numbers may have moved further. */
  readonly isStale: boolean;
}

type Scored = Omit<DriftPair, "verdict" | "reason" | "isMutualBest" | "margin">;

/**
 * Judges each removed column against each added one. Names only make candidates: a name can't tell
 * `ath_date` from `atl_date`, values can. The list holds the pairs that are mapped or proposed, and
 * those that a name suggested and a veto or values refused, the best first.
 */
export function judgeDrift({ removed, added, isStale }: DriftInput): DriftPair[] {
  const scored = removed.flatMap((from) => added.map((to) => scorePair(from, to, isStale)));
  return scored
    .map((pair) => judge(pair, scored))
    .filter(({ verdict, nameScore }) => verdict !== "no" || nameScore >= nameScoreMin)
    .sort((a, b) => rank(b) - rank(a) || (a.from + a.to < b.from + b.to ? -1 : 1));
}

/** What is mapped without asking anybody: new name to column, as `planPage` takes it. */
export const autoRenames = (pairs: readonly DriftPair[]): Record<string, string> =>
  Object.fromEntries(
    pairs.filter(({ verdict }) => verdict === "auto").map(({ from, to }) => [to, from]),
  );

function scorePair(from: DriftColumn, to: DriftColumn, isStale: boolean): Scored {
  const { sharedKeys, valueScore } = compareValues(from.values, to.values, isStale);
  const isSameType =
    jsonTypes.widen(from.type, to.type) !== null || jsonTypes.widen(to.type, from.type) !== null;
  return {
    from: from.name,
    to: to.name,
    nameScore: nameSimilarity(from.name, to.name),
    valueScore,
    sharedKeys,
    isSameType,
    veto: vetoOf(from.name, to.name),
  };
}

/** The score that pairs compete by; what is vetoed does not compete. */
const rank = ({ nameScore, valueScore, veto }: Scored) =>
  veto === null ? (nameScore + (valueScore ?? nameScore)) / 2 : 0;

function judge(pair: Scored, all: readonly Scored[]): DriftPair {
  const rivals = all.filter(
    (other) => other !== pair && (other.from === pair.from || other.to === pair.to),
  );
  const best = Math.max(0, ...rivals.map(rank));
  const isMutualBest = rank(pair) > best;
  const margin = rivals.length === 0 ? 1 : Math.round((rank(pair) - best) * 1_000) / 1_000;
  return { ...pair, isMutualBest, margin, ...verdictOf(pair, isMutualBest, margin) };
}

function verdictOf(
  { nameScore, valueScore, sharedKeys, isSameType, veto }: Scored,
  isMutualBest: boolean,
  margin: number,
): { verdict: DriftVerdict; reason: string } {
  const no = (reason: string) => ({ verdict: "no" as const, reason });
  const proposed = (reason: string) => ({ verdict: "proposed" as const, reason });
  if (veto !== null) return no(`The names exclude each other: ${veto}.`);
  if (!isSameType) return no("The values are of different types.");
  if (nameScore < nameScoreMin) {
    return valueScore !== null && valueScore >= valueScoreAlone
      ? proposed("The names differ, yet the values agree.")
      : no("Neither the names nor the values are alike enough.");
  }
  if (valueScore === null) {
    return proposed(`Only ${sharedKeys} keys are shared; ${evidenceKeysMin} are needed.`);
  }
  if (valueScore < valueScoreContradicts)
    return no("The names are alike, but the values disagree.");
  if (valueScore < valueScoreMin) return proposed("Too few of the values agree.");
  if (!isMutualBest || margin < marginMin) return proposed("Another pair is nearly as good.");
  return { verdict: "auto", reason: "Names, values and types agree, and no other pair is near." };
}

/** How many keys both sides have a value for, and the share of them whose values agree. */
export function compareValues(
  from: ReadonlyMap<string, unknown>,
  to: ReadonlyMap<string, unknown>,
  isStale: boolean,
): { sharedKeys: number; valueScore: number | null } {
  const tolerance = isStale ? toleranceStale : toleranceFresh;
  let sharedKeys = 0;
  let agreeing = 0;
  for (const [key, before] of from) {
    const after = to.get(key);
    if (isNothing(before) || isNothing(after)) continue;
    sharedKeys += 1;
    if (agree(before, after, tolerance)) agreeing += 1;
  }
  const isEnough = sharedKeys >= evidenceKeysMin;
  const valueScore = isEnough ? Math.round((agreeing / sharedKeys) * 1_000) / 1_000 : null;
  return { sharedKeys, valueScore };
}

const isNothing = (value: unknown) => value === null || value === undefined;

function agree(before: unknown, after: unknown, tolerance: number): boolean {
  const [a, b] = [decimalOf(before), decimalOf(after)];
  if (a === null || b === null) return canonicalJson(before) === canonicalJson(after);
  if (a === b) return true;
  const [x, y] = [Number(a), Number(b)];
  return Math.abs(x - y) <= tolerance * Math.max(Math.abs(x), Math.abs(y));
}
