import { checkAvailability } from "./availability.ts";
import { checkBreakers } from "./breaker.ts";
import { checkCausal } from "./causal.ts";
import { checkConvergence, type Loss } from "./convergence.ts";
import { type History, type LevelName, levelNames, noLevel } from "./history.ts";
import { checkIntegrity } from "./integrity.ts";
import { isAnsweredRead, isUpdate, type Prepared, prepare } from "./prepared.ts";
import { checkPrefix } from "./prefix.ts";
import { checkReceipts } from "./receipts.ts";
import { checkSession, type SessionGuarantee } from "./session.ts";
import { type Bounds, checkStaleness, type Staleness } from "./staleness.ts";
import { checkStrong, type SearchLimits } from "./strong.ts";
import { held, undecided, type Verdict, worstOf } from "./verdict.ts";
import { orderVersions, type VersionOrder } from "./version-order.ts";
import { listText } from "./words.ts";

/** Everything that is looked at, over all operations whatever they asked for. */
export const checkNames = [
  "integrity",
  "receipts",
  "strong",
  "bounded",
  "readYourWrites",
  "monotonicReads",
  "monotonicWrites",
  "writesFollowReads",
  "token",
  "causal",
  "prefix",
  "agreement",
  "durability",
  "availability",
  "breakers",
] as const;
export type CheckName = (typeof checkNames)[number];

/** Something that the history was held to, and whether it kept it. */
export interface Claim {
  readonly name: LevelName | "integrity" | "receipts" | "prefix" | "availability" | "breakers";
  readonly verdict: Verdict;
}

export interface CheckOptions {
  /** Holds all operations to this level, instead of each to the one that it asked for. */
  readonly level?: LevelName | null;
  /** Instead of the bounds that the history names. */
  readonly bounds?: Partial<Bounds>;
  readonly limits?: SearchLimits;
}

/** What a check found. */
export interface Report {
  readonly operations: number;
  readonly keys: number;
  readonly sessions: number;
  /** The worst of the claims: what the exit code and the badge say. */
  readonly status: Verdict["status"];
  /** Each operation held to the level that it asked for; to strong where it asked for none. */
  readonly claims: readonly Claim[];
  /** All operations held to everything. */
  readonly checks: Readonly<Record<CheckName, Verdict>>;
  /** The strongest level that the whole history satisfied; null when not even the weakest. */
  readonly strongest: { readonly level: LevelName | null; readonly sentence: string };
  readonly staleness: Omit<Staleness, "verdict">;
  readonly lost: Loss;
}

/** Checks a history at every level. Pure: the same history gives the same report. */
export function checkHistory(history: History, options: CheckOptions = {}): Report {
  const prepared = prepare(history);
  const order = orderVersions(prepared);
  const bounds: Bounds = {
    maxStalenessMs: options.bounds?.maxStalenessMs ?? history.meta.maxStalenessMs,
    maxStalenessVersions: options.bounds?.maxStalenessVersions ?? history.meta.maxStalenessVersions,
  };
  const levels = createLevels(prepared, order, bounds, options);
  const { agreement, durability, lost } = checkConvergence(prepared);
  const { verdict: bounded, ...staleness } = levels.staleness(null);
  const strong = levels.strong(null);
  const session = levels.session(null);
  const isContradicted = Object.values(session).some(({ status }) => status === "violation");
  const follows = strong.status === "ok" && !isContradicted && !hasTies(prepared);
  const implied = (verdict: Verdict): Verdict =>
    follows && verdict.status === "unknown"
      ? held(verdict.checked, "follows from strong")
      : verdict;
  const checks: Record<CheckName, Verdict> = {
    integrity: checkIntegrity(prepared),
    receipts: checkReceipts(prepared, order),
    strong,
    bounded: implied(bounded),
    readYourWrites: implied(session.readYourWrites),
    monotonicReads: implied(session.monotonicReads),
    monotonicWrites: implied(session.monotonicWrites),
    writesFollowReads: implied(session.writesFollowReads),
    token: implied(session.token),
    causal: implied(session.causal),
    prefix: checkPrefix(prepared, order),
    agreement,
    durability,
    availability: checkAvailability(prepared, history.meta),
    breakers: breakerVerdict(history),
  };
  const claims = claimsOf(prepared, checks, levels, options.level ?? null);
  return {
    operations: history.count,
    keys: history.keys.length,
    sessions: history.sessions.length,
    status: worstOf(claims.map(({ verdict }) => verdict)).status,
    claims,
    checks,
    strongest: strongestOf(checks),
    staleness,
    lost,
  };
}

type SessionVerdicts = Record<SessionGuarantee | "causal", Verdict>;
const sessionNames = [
  "readYourWrites",
  "monotonicReads",
  "monotonicWrites",
  "writesFollowReads",
  "token",
  "causal",
] as const satisfies readonly CheckName[];

interface Levels {
  strong(level: LevelName | null): Verdict;
  staleness(level: LevelName | null): Staleness;
  session(level: LevelName | null): SessionVerdicts;
}

/** The checks that go by level, each made once for all operations and for those of a level. */
function createLevels(
  prepared: Prepared,
  order: VersionOrder,
  bounds: Bounds,
  { limits }: CheckOptions,
): Levels {
  const { history } = prepared;
  const isAlone = new Map<LevelName, boolean>();
  const once = <Result>(check: (wanted?: (at: number) => boolean) => Result) => {
    const known = new Map<LevelName | null, Result>();
    return (level: LevelName | null): Result => {
      const named = level !== null && asksOnly(level) ? null : level;
      if (!known.has(named)) known.set(named, check(named ? asks(history, named) : undefined));
      return known.get(named)!;
    };
  };
  const asksOnly = (level: LevelName) => {
    const isOnly = isAlone.get(level) ?? levelsOf(prepared).every((one) => one === level);
    isAlone.set(level, isOnly);
    return isOnly;
  };
  return {
    strong: once((wanted) => checkStrong(prepared, wanted, limits)),
    staleness: once((wanted) => checkStaleness(prepared, order, bounds, wanted)),
    session: once((wanted) => ({
      ...checkSession(prepared, order, wanted),
      causal: checkCausal(prepared, order, wanted),
    })),
  };
}

/** Whether an operation asked for the level; for strong where it asked for none. */
const asks =
  ({ level }: History, wanted: LevelName) =>
  (at: number): boolean =>
    level[at] === levelNames.indexOf(wanted) || (level[at] === noLevel && wanted === "strong");

/** The levels that answered operations asked for, the strongest first. */
function levelsOf({ history }: Prepared): LevelName[] {
  const found = new Set<number>();
  for (let at = 0; at < history.count; at += 1) {
    if (history.isFinal[at] || !(isAnsweredRead(history, at) || isUpdate(history, at))) continue;
    found.add(history.level[at] === noLevel ? 0 : history.level[at]!);
  }
  return levelNames.filter((_, level) => found.has(level));
}

function claimsOf(
  prepared: Prepared,
  checks: Record<CheckName, Verdict>,
  levels: Levels,
  forced: LevelName | null,
): Claim[] {
  const claims: Claim[] = [{ name: "integrity", verdict: checks.integrity }];
  if (prepared.versions.count > 0) claims.push({ name: "receipts", verdict: checks.receipts });
  const asked = forced ? [forced] : levelsOf(prepared);
  for (const name of asked) {
    claims.push({ name, verdict: levelVerdict(checks, levels, name, forced ? null : name) });
  }
  const { snapshots, meta, isFinal } = prepared.history;
  if (snapshots.length > 0) claims.push({ name: "prefix", verdict: checks.prefix });
  if (!asked.includes("eventual") && isFinal.includes(1)) {
    claims.push({ name: "eventual", verdict: worstOf([checks.agreement, checks.durability]) });
  }
  if (meta.mode !== null || meta.operationTimeoutMs !== null) {
    claims.push({ name: "availability", verdict: checks.availability });
  }
  if (meta.breaker) claims.push({ name: "breakers", verdict: checks.breakers });
  return claims;
}

/** What a level asks, of the operations that asked for it; of all where `of` is null. */
function levelVerdict(
  checks: Record<CheckName, Verdict>,
  levels: Levels,
  name: LevelName,
  of: LevelName | null,
): Verdict {
  if (name === "eventual") return worstOf([checks.agreement, checks.durability]);
  if (of === null) return rungOf(checks, name);
  const whole = rungOf(checks, name);
  // What holds for all operations holds for some of them.
  if (whole.status === "ok") return whole;
  if (name === "strong") return levels.strong(of);
  if (name === "bounded") return levels.staleness(of).verdict;
  return worstOf(Object.values(levels.session(of)));
}

/** What all operations together are at a rung of the ladder. */
function rungOf(checks: Record<CheckName, Verdict>, name: LevelName): Verdict {
  if (name === "strong" || name === "bounded") return checks[name];
  if (name === "eventual") return worstOf([checks.agreement, checks.durability]);
  return worstOf(sessionNames.map((one) => checks[one]));
}

function strongestOf(checks: Record<CheckName, Verdict>): Report["strongest"] {
  if (checks.integrity.status === "violation") {
    return { level: null, sentence: "No level holds: answers came from nowhere." };
  }
  if (checks.durability.status === "violation") {
    return { level: null, sentence: "No level holds: acknowledged updates are gone." };
  }
  const statusOf = (name: LevelName) => rungOf(checks, name).status;
  // Where versions contradict the answers, what a level contains can be broken although it holds.
  const isSound = (name: LevelName) =>
    statusOf(name) === "ok" && contained[name].every((one) => statusOf(one) !== "violation");
  const level = levelNames.find(isSound) ?? null;
  const best = level === null ? levelNames.length : levelNames.indexOf(level);
  const others = levelNames.filter((name, rung) => rung < best || statusOf(name) === "violation");
  const words = others.map(
    (name) => `${name} is ${statusOf(name) === "violation" ? "violated" : "not shown"}`,
  );
  if (level === null) return { level, sentence: `No level is shown to hold: ${listText(words)}.` };
  const but = words.length === 0 ? "" : `; ${listText(words)}`;
  return { level, sentence: `The strongest level of the whole history is ${level}${but}.` };
}

/** What else holds where a level does. How stale a read may be says nothing about sessions. */
const contained: Record<LevelName, readonly LevelName[]> = {
  strong: ["bounded", "session", "eventual"],
  bounded: ["eventual"],
  session: ["eventual"],
  eventual: [],
};

/** Whether a session called in the very moment of an answer: then order in time says less. */
function hasTies({ history, byCall }: Prepared): boolean {
  const lastEnd = new Float64Array(history.sessions.length).fill(Number.NEGATIVE_INFINITY);
  for (const at of byCall) {
    const session = history.session[at]!;
    if (lastEnd[session] === history.call[at]) return true;
    const end = history.end[at]!;
    if (end < Number.POSITIVE_INFINITY) lastEnd[session] = Math.max(lastEnd[session]!, end);
  }
  return false;
}

function breakerVerdict({ breakers, meta }: History): Verdict {
  if (!meta.breaker) {
    return undecided(breakers.length, "the history does not say how its breakers were set");
  }
  const faults = checkBreakers(breakers, meta.breaker);
  const [first] = faults;
  if (!first) return held(breakers.length);
  return {
    status: "violation",
    checked: breakers.length,
    found: faults.length,
    witness: { sentence: first.sentence, operations: [], at: [], key: null },
  };
}
