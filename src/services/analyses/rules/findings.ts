import type { FileFacts, FileText, ProjectFacts } from "../measure/types.ts";
import { rules } from "./catalogue.ts";
import type { Finding } from "./result.ts";
import { type Hit, type Rule, severities } from "./rule.ts";

export interface FindingList {
  addFile(file: FileFacts, text: FileText): void;
  addProject(project: ProjectFacts): void;
  /** Worst first, then by place. */
  all(): Finding[];
  leftOut(): number;
}

const findingsPerRule = 1_000;
const evidenceChars = 200;

/**
 * Collects findings. The fingerprint is a hash of the rule, the file, what was seen there without
 * its blanks, and how many times the same was seen before in this file, so that lines may move.
 * Secrets are never quoted, here or in any document.
 */
export function createFindings(hash: (text: string) => string): FindingList {
  const findings: Finding[] = [];
  const perRule = new Map<string, number>();
  const occurrences = new Map<string, number>();
  let leftOut = 0;
  const add = (rule: Rule, hit: Hit, line: string) => {
    const count = (perRule.get(rule.id) ?? 0) + 1;
    perRule.set(rule.id, count);
    if (count > findingsPerRule) {
      leftOut += 1;
      return;
    }
    const evidence = (hit.evidence ?? line.trim()).slice(0, evidenceChars);
    const { id: ruleId, category, severity, title, explanation, suggestion } = rule;
    const seen = [ruleId, hit.file, evidence.replace(/\d+/g, "0").replace(/\s+/g, "")].join("\0");
    const occurrence = occurrences.get(seen) ?? 0;
    occurrences.set(seen, occurrence + 1);
    findings.push({
      ruleId,
      category,
      severity,
      file: hit.file,
      lineStart: hit.lineStart,
      lineEnd: hit.lineEnd ?? hit.lineStart,
      title,
      explanation,
      suggestion,
      evidence,
      fingerprint: hash(`${seen}\0${occurrence}`),
      origin: "rule",
    });
  };
  return {
    addFile(file, text) {
      const withSecrets = new Set(file.secrets.map(({ line }) => line));
      for (const rule of rules) {
        for (const hit of rule.file?.(file, text) ?? []) {
          const isSecret = withSecrets.has(hit.lineStart);
          add(rule, hit, isSecret ? "(holds a secret)" : (text.raw[hit.lineStart - 1] ?? ""));
        }
      }
    },
    addProject(project) {
      for (const rule of rules) {
        for (const hit of rule.project?.(project) ?? []) add(rule, hit, "");
      }
    },
    all: () => findings.toSorted(worstFirst),
    leftOut: () => leftOut,
  };
}

function worstFirst(a: Finding, b: Finding): number {
  return (
    severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
    compare(a.ruleId, b.ruleId) ||
    compare(a.file, b.file) ||
    a.lineStart - b.lineStart
  );
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
