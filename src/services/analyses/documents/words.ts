import type { ScoreName } from "../rules/result.ts";
import type { Severity } from "../rules/rule.ts";

/** What each score is called on paper. */
export const scoreTitles: Readonly<Record<ScoreName, string>> = {
  maintainability: "Maintainability",
  reliability: "Reliability",
  security: "Security",
  scalability: "Scalability",
  readiness: "Readiness",
  overall: "Overall",
};

/** 12,345 and one of it, or many. */
export const amount = (count: number, one: string): string =>
  `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

/** How many findings there are of each severity. */
export function countBySeverity(
  findings: readonly { severity: Severity }[],
): Record<Severity, number> {
  const counts = { critical: 0, high: 0, medium: 0, low: 0, info: 0 };
  for (const { severity } of findings) counts[severity] += 1;
  return counts;
}
