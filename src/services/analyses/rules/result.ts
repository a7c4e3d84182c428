import type { Metrics } from "../measure/types.ts";
import type { Category, Severity } from "./rule.ts";

export interface Finding {
  ruleId: string;
  category: Category;
  severity: Severity;
  file: string;
  lineStart: number;
  lineEnd: number;
  title: string;
  explanation: string;
  suggestion: string;
  evidence: string;
  /** The same while the text stays the same, wherever it moves within its file. */
  fingerprint: string;
  origin: "rule" | "model";
}

export interface Term {
  what: string;
  /** What it takes from the score, or adds. */
  points: number;
}

export interface Score {
  /** From 0 to 100; null where there is nothing to judge. */
  value: number | null;
  formula: string;
  terms: readonly Term[];
}

export const scoreNames = [
  "maintainability",
  "reliability",
  "security",
  "scalability",
  "readiness",
  "overall",
] as const;
export type ScoreName = (typeof scoreNames)[number];
export type Scores = Readonly<Record<ScoreName, Score>>;

export interface Analysis {
  repository: { name: string };
  commit: string | null;
  scores: Scores;
  metrics: Metrics;
  findings: readonly Finding[];
  /** Findings beyond the limit of a rule: they are counted, not kept. */
  findingsLeftOut: number;
}
