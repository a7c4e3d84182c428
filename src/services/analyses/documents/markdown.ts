import { type Analysis, scoreNames } from "../rules/result.ts";
import { amount, countBySeverity, scoreTitles } from "./words.ts";

const findingsShown = 200;

/** An analysis as Markdown: scores, findings, worst first, and what was measured. */
export function markdownOf({ repository, commit, scores, metrics, findings }: Analysis): string {
  const counts = countBySeverity(findings);
  const summary = Object.entries(counts).map(([severity, count]) => `${count} ${severity}`);
  const shown = findings.slice(0, findingsShown);
  const rest = findings.length - shown.length;
  const { lines, languages } = metrics;
  return [
    `# ${plain(repository.name)}`,
    "",
    `${commit ? `Commit \`${commit}\`. ` : ""}${amount(metrics.files, "file")}, ${amount(
      lines.code,
      "line",
    )} of code, ${amount(findings.length, "finding")} (${summary.join(", ")}).`,
    "",
    "| Score | Value | What it lost most to |",
    "|---|---:|---|",
    ...scoreNames.map((name) => {
      const { value, terms } = scores[name];
      const most = name === "overall" ? "" : plain(terms[0]?.what ?? "");
      return `| ${scoreTitles[name]} | ${value ?? "–"} | ${most} |`;
    }),
    "",
    "## Findings",
    "",
    "| Severity | Rule | Place | What |",
    "|---|---|---|---|",
    ...shown.map(({ severity, ruleId, file, lineStart, title }) => {
      return `| ${severity} | ${ruleId} | ${plain(file)}:${lineStart} | ${title} |`;
    }),
    ...(rest > 0 ? ["", `And ${amount(rest, "more finding")}.`] : []),
    "",
    "## Languages",
    "",
    "| Language | Files | Code | Comment | Blank |",
    "|---|---:|---:|---:|---:|",
    ...languages.map(({ language, files, lines: each }) => {
      return `| ${language} | ${files} | ${each.code} | ${each.comment} | ${each.blank} |`;
    }),
    "",
  ].join("\n");
}

/** Names from a repository are text, not markup. */
const plain = (text: string): string =>
  text.replace(/[\r\n]+/g, " ").replace(/[\\`*_{}[\]<>()#|!]/g, "\\$&");
