import { rules } from "../rules/catalogue.ts";
import type { Analysis, Finding } from "../rules/result.ts";
import type { Severity } from "../rules/rule.ts";

const levels: Readonly<Record<Severity, "error" | "warning" | "note">> = {
  critical: "error",
  high: "error",
  medium: "warning",
  low: "note",
  info: "note",
};
/** GitHub sorts by this number, as if it were of CVSS. */
const securitySeverity: Readonly<Record<Severity, string>> = {
  critical: "9.5",
  high: "8.0",
  medium: "5.5",
  low: "3.0",
  info: "1.0",
};
/** What GitHub takes in one run. */
const resultsAtMost = 25_000;

/** An analysis in SARIF 2.1.0 (OASIS, 2020): one run, its rules, and a result per finding. */
export function sarifOf({ commit, findings }: Analysis): object {
  const ids = [...new Set(findings.map(({ ruleId }) => ruleId))].sort();
  const indexes = new Map(ids.map((id, index) => [id, index]));
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: { name: "Plimsoll", semanticVersion: "0.1.0", rules: ids.map(describeRule) },
        },
        columnKind: "utf16CodeUnits",
        ...(commit && { automationDetails: { id: `plimsoll/${commit}` } }),
        results: findings
          .slice(0, resultsAtMost)
          .map((finding) => resultOf(finding, indexes.get(finding.ruleId) ?? -1)),
      },
    ],
  };
}

function describeRule(id: string): object {
  const rule = rules.find((each) => each.id === id);
  if (!rule) return { id };
  const { title, explanation, suggestion, severity, category } = rule;
  return {
    id,
    name: id,
    shortDescription: { text: title },
    fullDescription: { text: explanation },
    help: { text: suggestion },
    defaultConfiguration: { level: levels[severity] },
    properties: {
      tags: [category],
      ...(category === "security" && { "security-severity": securitySeverity[severity] }),
    },
  };
}

function resultOf(finding: Finding, ruleIndex: number): object {
  const { ruleId, severity, title, evidence, file, lineStart, lineEnd, fingerprint } = finding;
  return {
    ruleId,
    ruleIndex,
    level: levels[severity],
    message: { text: `${title}: ${evidence}` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: file.split("/").map(encodeURIComponent).join("/") },
          region: { startLine: lineStart, endLine: lineEnd },
        },
      },
    ],
    partialFingerprints: { "plimsoll/v1": fingerprint },
  };
}
