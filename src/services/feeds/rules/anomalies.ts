import { median, quantile, robustZ, stabilityIndex } from "./statistics.ts";

/** What is known of a finished run; null where the stream does not have it. */
export interface RunFacts {
  readonly id: string;
  readonly trigger: "schedule" | "manual" | "backfill";
  readonly state: "succeeded" | "succeeded_with_warnings" | "failed" | "cancelled";
  /** A fault was injected into it, so that it says nothing about its source. */
  readonly isInjected: boolean;
  /** It had an anomaly itself. */
  readonly isAnomalous: boolean;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly fetched: number;
  /** Records that nobody accounts for. */
  readonly unaccounted: number;
  readonly requests: number;
  readonly rateLimited: number;
  readonly schemaHash: string;
  readonly isKeyLost: boolean;
  /** How old the newest record was when the run ended, and how often there should be one. */
  readonly newestAgeMs: number | null;
  readonly cadenceMs: number | null;
  /** By column, the share of nulls, 0 to 1. */
  readonly nullRates: Readonly<Record<string, number>>;
  /** The returns of coins since the run before, as `returnHistogram` counts them. */
  readonly returns: readonly number[] | null;
  /** Keys that came or went, as a share of those there were. */
  readonly keyChurn: number | null;
  /** Of coins whose time has advanced, the share whose price is the very same. */
  readonly frozenShare: number | null;
  /** The median gap between the prices of two sources, as a share of the price. */
  readonly priceGap: number | null;
  /** Of settled time buckets, the share whose values were said anew. */
  readonly restatedShare: number | null;
}

export const anomalyRules = [
  "zero_rows",
  "conservation",
  "row_count",
  "freshness",
  "null_rate",
  "distribution_shift",
  "key_churn",
  "frozen_values",
  "price_gap",
  "restated",
  "duration",
  "rate_limited",
  "schema_change",
] as const;
export type AnomalyRule = (typeof anomalyRules)[number];

/** One thing that is odd about a run, with all that it was judged by. */
export interface Finding {
  readonly rule: AnomalyRule;
  readonly level: "warn" | "error";
  /** What it is about, where a rule looks at several: a column. */
  readonly subject: string | null;
  readonly baseline: number | null;
  readonly value: number;
  /** The robust z, the index or the ratio that the level follows from. */
  readonly score: number | null;
  /** The runs that the baseline is made of. */
  readonly runs: readonly string[];
  readonly message: string;
}

export interface Judgement {
  /** `learning`: too few runs yet for the rules that need a history. */
  readonly state: "learning" | "judged";
  readonly findings: readonly Finding[];
}

export const baselineRunsMin = 8;
export const baselineRunsMax = 30;
/** So many runs of the same hour of the week are a better baseline than all. */
const slotRunsMin = 4;
const zMax = 3.5;
/** A distribution of fewer values is noise. */
const returnsMin = 100;
const hourMs = 3_600_000;

/**
 * The runs that a run is compared with: its stream's last 30 that went well, of the same trigger,
 * without itself, anomalous ones and those with injected faults. With itself among them, a run
 * hides in its own baseline: of n values none lies more than (n - 1) / √n deviations away.
 */
export function baselineOf(run: RunFacts, history: readonly RunFacts[]): RunFacts[] {
  return history
    .filter(
      ({ trigger, state, isAnomalous, isInjected, startedAtMs }) =>
        trigger === run.trigger &&
        startedAtMs < run.startedAtMs &&
        (state === "succeeded" || state === "succeeded_with_warnings") &&
        !isAnomalous &&
        !isInjected,
    )
    .sort((a, b) => b.startedAtMs - a.startedAtMs)
    .slice(0, baselineRunsMax);
}

/** Every rule on a finished run, against its own stream's history in any order. */
export function judgeRun(run: RunFacts, history: readonly RunFacts[]): Judgement {
  const baseline = baselineOf(run, history);
  const isLearning = baseline.length < baselineRunsMin;
  const findings = [
    ...conservation(run),
    ...freshness(run),
    ...shares(run),
    ...schemaChange(run, baseline[0]),
    ...(isLearning
      ? []
      : [...rows(run, baseline), ...nulls(run, baseline), ...shift(run, baseline)]),
    ...(isLearning ? [] : duration(run, baseline)),
  ];
  return { state: isLearning ? "learning" : "judged", findings };
}

/** The gravest level of a run's findings. */
export function worstOf(findings: readonly Finding[]): "none" | "warn" | "error" {
  if (findings.some(({ level }) => level === "error")) return "error";
  return findings.length > 0 ? "warn" : "none";
}

const idsOf = (runs: readonly RunFacts[]) => runs.map(({ id }) => id);
const pct = (share: number) => `${Math.round(share * 1_000) / 10} %`;
const round = (value: number) => Math.round(value * 1_000) / 1_000;

function conservation({ unaccounted, fetched }: RunFacts): Finding[] {
  if (unaccounted === 0) return [];
  const message = `${unaccounted} of ${fetched} records are not accounted for.`;
  return [
    {
      rule: "conservation",
      level: "error",
      subject: null,
      baseline: 0,
      value: unaccounted,
      score: null,
      runs: [],
      message,
    },
  ];
}

function freshness({ newestAgeMs, cadenceMs }: RunFacts): Finding[] {
  if (newestAgeMs === null || cadenceMs === null || newestAgeMs < 3 * cadenceMs) return [];
  const score = round(newestAgeMs / cadenceMs);
  const message = `The newest record is ${score} times as old as the time between two runs.`;
  const level = score >= 6 ? "error" : "warn";
  const about = { subject: null, baseline: cadenceMs, value: newestAgeMs, score, runs: [] };
  return [{ rule: "freshness", level, ...about, message }];
}

/** Rules that are a share of 0 to 1 with two bounds. */
const shareRules: readonly {
  rule: AnomalyRule;
  shareOf(run: RunFacts): number | null;
  warn: number;
  error: number;
  says: string;
}[] = [
  {
    rule: "key_churn",
    shareOf: ({ keyChurn }) => keyChurn,
    warn: 0.02,
    error: 0.1,
    says: "of the keys came or went",
  },
  {
    rule: "frozen_values",
    shareOf: ({ frozenShare }) => frozenShare,
    warn: 0.2,
    error: 0.5,
    says: "of the prices did not move although their time did",
  },
  {
    rule: "price_gap",
    shareOf: ({ priceGap }) => priceGap,
    warn: 0.01,
    error: 0.05,
    says: "lie between the prices of two sources",
  },
  {
    rule: "restated",
    shareOf: ({ restatedShare }) => restatedShare,
    warn: Number.MIN_VALUE,
    error: 0.010_000_001,
    says: "of settled values were said anew",
  },
  {
    rule: "rate_limited",
    shareOf: ({ requests, rateLimited }) => (requests === 0 ? null : rateLimited / requests),
    warn: 0.05,
    error: 0.25,
    says: "of the requests were refused with 429",
  },
];

function shares(run: RunFacts): Finding[] {
  return shareRules.flatMap(({ rule, shareOf, warn, error, says }) => {
    const value = shareOf(run);
    if (value === null || value < warn) return [];
    const level = value >= error ? ("error" as const) : ("warn" as const);
    const about = { subject: null, baseline: null, value, score: null, runs: [] };
    return [{ rule, level, ...about, message: `${pct(value)} ${says}.` }];
  });
}

function schemaChange(run: RunFacts, before: RunFacts | undefined): Finding[] {
  const isChanged = before !== undefined && before.schemaHash !== run.schemaHash;
  if (!run.isKeyLost && !isChanged) return [];
  const about = { subject: null, baseline: null, value: 1, score: null };
  const runs = before === undefined ? [] : [before.id];
  return run.isKeyLost
    ? [
        {
          rule: "schema_change",
          level: "error",
          ...about,
          runs,
          message: "The key or the cursor is gone.",
        },
      ]
    : [
        {
          rule: "schema_change",
          level: "warn",
          ...about,
          runs,
          message: "The schema is not that of the run before.",
        },
      ];
}

const slotOf = ({ startedAtMs }: RunFacts) => Math.floor(startedAtMs / hourMs) % (7 * 24);

function rows(run: RunFacts, all: readonly RunFacts[]): Finding[] {
  const counts = all.map(({ fetched }) => fetched);
  const usual = median(counts);
  const about = { subject: null, value: run.fetched };
  if (run.fetched === 0) {
    const low = quantile(counts, 0.05);
    if (low <= 0) return [];
    const message = `There are no records; there usually are ${usual}.`;
    const ids = idsOf(all);
    return [
      {
        rule: "zero_rows",
        level: "error",
        ...about,
        baseline: low,
        score: null,
        runs: ids,
        message,
      },
    ];
  }
  const slot = all.filter((other) => slotOf(other) === slotOf(run));
  const compared = slot.length >= slotRunsMin ? slot : all;
  const log = ({ fetched }: RunFacts) => Math.log1p(fetched);
  const score = robustZ(log(run), compared.map(log));
  const baseline = median(compared.map(({ fetched }) => fetched));
  const size = baseline === 0 ? 1 : Math.abs(run.fetched - baseline) / baseline;
  // Without any spread there is no score, and the size alone decides.
  if (size < 0.1 || (score !== null && Math.abs(score) <= zMax)) return [];
  const level = size >= 0.5 ? "error" : "warn";
  const message = `There are ${run.fetched} records; there usually are ${baseline}.`;
  const shown = score === null ? null : round(score);
  const runs = idsOf(compared);
  return [{ rule: "row_count", level, ...about, baseline, score: shown, runs, message }];
}

function nulls(run: RunFacts, all: readonly RunFacts[]): Finding[] {
  return Object.entries(run.nullRates).flatMap(([subject, value]) => {
    const known = all.filter(({ nullRates }) => nullRates[subject] !== undefined);
    if (known.length < baselineRunsMin) return [];
    const baseline = median(known.map(({ nullRates }) => nullRates[subject] as number));
    // Rounded: 0.3 - 0.25 is less than 0.05 to a double.
    const score = round(value - baseline);
    if (score < 0.05) return [];
    const level = score >= 0.2 ? ("error" as const) : ("warn" as const);
    const usual = `usually in ${pct(baseline)}`;
    const message = `"${subject}" is null in ${pct(value)} of the records; ${usual}.`;
    return [
      {
        rule: "null_rate" as const,
        level,
        subject,
        baseline,
        value,
        score,
        runs: idsOf(known),
        message,
      },
    ];
  });
}

function shift(run: RunFacts, all: readonly RunFacts[]): Finding[] {
  const known = all.filter(({ returns }) => returns !== null);
  if (run.returns === null || known.length < baselineRunsMin) return [];
  const count = run.returns.reduce((sum, each) => sum + each, 0);
  if (count < returnsMin) return [];
  const usual = run.returns.map((_, bin) =>
    known.reduce((sum, { returns }) => sum + (returns?.[bin] ?? 0), 0),
  );
  const score = round(stabilityIndex(usual, run.returns));
  if (score < 0.1) return [];
  const level = score >= 0.25 ? "error" : "warn";
  const about = { subject: null, baseline: 0, value: score, score, runs: idsOf(known) };
  const message = "The coins' returns are distributed otherwise than usual.";
  return [{ rule: "distribution_shift", level, ...about, message }];
}

function duration(run: RunFacts, all: readonly RunFacts[]): Finding[] {
  const log = ({ durationMs }: RunFacts) => Math.log1p(durationMs);
  const score = robustZ(log(run), all.map(log));
  const baseline = median(all.map(({ durationMs }) => durationMs));
  const isOdd = score === null ? run.durationMs >= 1.1 * baseline : score > zMax;
  const isLong = run.durationMs >= 3 * baseline;
  if (!isLong && (!isOdd || run.durationMs < 1.1 * baseline)) return [];
  const message = `It took ${run.durationMs} ms; usually ${baseline} ms.`;
  const shown = score === null ? null : round(score);
  const about = { subject: null, baseline, value: run.durationMs, score: shown, runs: idsOf(all) };
  return [{ rule: "duration", level: isLong ? "error" : "warn", ...about, message }];
}
