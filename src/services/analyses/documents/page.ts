import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Analysis, type Finding, type ScoreName, scoreNames } from "../rules/result.ts";
import { severities } from "../rules/rule.ts";
import { amount, countBySeverity, scoreTitles } from "./words.ts";

const placesShown = 50;

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
/** Marks that reverse the writing are shown, not obeyed. */
const escape = (text: string): string =>
  text
    .replace(/[&<>"']/g, (char) => entities[char] as string)
    .replace(/[\u0000-\u0008\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (mark) => {
      return `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`;
    });

/**
 * One HTML file without a script or any reference to another: scores with their terms, findings by
 * rule, worst first, and the measures. Its policy allows only its own style, by its hash.
 */
export function reportPage(analysis: Analysis): string {
  const styles = readFileSync(new URL("../assets/report.css", import.meta.url), "utf8");
  const hash = createHash("sha256").update(styles).digest("base64");
  const policy =
    `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; ` +
    "base-uri 'none'; form-action 'none'";
  const { repository, commit, metrics, findings } = analysis;
  const facts = [
    amount(metrics.files, "file"),
    `${amount(metrics.lines.code, "line")} of code`,
    amount(findings.length, "finding"),
    ...(commit ? [`commit ${commit.slice(0, 12)}`] : []),
  ].join(" · ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escape(repository.name)}: analysis</title>
<style>${styles}</style>
</head>
<body>
<header><p class="eyebrow">Analysis</p><h1>${escape(repository.name)}</h1><p class="facts">${facts}</p></header>
<main>
<section aria-labelledby="scores"><h2 id="scores">Scores</h2>
<div class="scores">${scoreNames.map((name) => scoreHtml(analysis, name)).join("\n")}</div></section>
${findingsHtml(findings)}
${measuresHtml(analysis)}
</main>
</body>
</html>
`;
}

function scoreHtml({ scores }: Analysis, name: ScoreName): string {
  const { value, formula, terms } = scores[name];
  const mood = value === null ? "quiet" : value >= 80 ? "good" : value >= 50 ? "fair" : "poor";
  const meter =
    value === null
      ? ""
      : `<meter min="0" max="100" low="50" high="80" optimum="100" value="${value}" ` +
        `aria-label="${scoreTitles[name]}">${value}</meter>`;
  const listed = terms.map(
    ({ what, points }) => `<li><span>${escape(what)}</span><span>${points}</span></li>`,
  );
  const details =
    listed.length === 0
      ? ""
      : `<details><summary class="formula">${amount(listed.length, "term")}</summary>` +
        `<ul>${listed.join("")}</ul></details>`;
  return `<div class="score"><h3><span>${scoreTitles[name]}</span><span class="${mood}">${value ?? "–"}</span></h3>
${meter}<p class="formula">${escape(formula)}</p>${details}</div>`;
}

function findingsHtml(findings: readonly Finding[]): string {
  const counts = countBySeverity(findings);
  const summary = severities.map((each) => `${counts[each]} ${each}`).join(" · ");
  const groups = [...Map.groupBy(findings, ({ ruleId }) => ruleId).values()].map(ruleHtml);
  return `<section aria-labelledby="findings"><h2 id="findings">Findings</h2>
<p class="quiet">${summary}</p>${groups.join("\n") || "<p>Nothing was found.</p>"}</section>`;
}

function ruleHtml(members: readonly Finding[]): string {
  const [{ ruleId, severity, title, explanation, suggestion }] = members as [Finding];
  const places = members.slice(0, placesShown).map(({ file, lineStart, evidence }) => {
    const seen = `<code class="quiet">${escape(evidence)}</code>`;
    return `<li><code>${escape(file)}:${lineStart}</code><br>${seen}</li>`;
  });
  const rest = members.length - places.length;
  const more = rest > 0 ? `<p class="quiet">and ${amount(rest, "more place")}</p>` : "";
  return `<details class="rule"><summary><span class="severity ${severity}">${severity}</span>
 ${escape(title)} <span class="quiet">${escape(ruleId)} · ${amount(members.length, "place")}</span></summary>
<p>${escape(explanation)} ${escape(suggestion)}</p><ol>${places.join("\n")}</ol>${more}</details>`;
}

function measuresHtml({ metrics }: Analysis): string {
  const { languages, cyclomatic, cognitive, duplication, hotspots, evidence, leftOut } = metrics;
  const number = (value: number) => `<td class="number">${value.toLocaleString("en")}</td>`;
  const rows = languages.map(
    ({ language, files, lines }) =>
      `<tr><th scope="row">${language}</th>${number(files)}${number(lines.code)}` +
      `${number(lines.comment)}${number(lines.blank)}</tr>`,
  );
  const facts = [
    amount(metrics.functions, "function"),
    `Cyclomatic complexity ${cyclomatic.mean} on average, ${cyclomatic.highest} at most`,
    `Cognitive complexity ${cognitive.mean} on average, ${cognitive.highest} at most`,
    `${(duplication.share * 100).toFixed(1)} % of the code stands twice`,
    `${amount(metrics.imports.cycles, "circle")} of imports`,
    ...evidence.map(({ name, evidence: seen }) => `${name}: ${seen.join(", ")}`),
  ].map((fact) => `<li>${escape(fact)}</li>`);
  const hot = hotspots.map(
    ({ file, commits, complexity }) =>
      `<tr><th scope="row"><code>${escape(file)}</code></th>` +
      `${number(commits)}${number(complexity)}</tr>`,
  );
  const skipped = leftOut.slice(0, placesShown).map(({ path, why }) => {
    return `<li><code>${escape(path)}</code>: ${escape(why)}</li>`;
  });
  return `<section aria-labelledby="measures"><h2 id="measures">Measures</h2><ul>${facts.join("")}</ul>
<div class="scroll"><table><thead><tr><th scope="col">Language</th><th scope="col" class="number">Files</th>
<th scope="col" class="number">Code</th><th scope="col" class="number">Comment</th><th scope="col" class="number">Blank</th></tr></thead>
<tbody>${rows.join("")}</tbody></table></div></section>
${hot.length === 0 ? "" : `<section aria-labelledby="hot"><h2 id="hot">Hotspots</h2><div class="scroll"><table><thead><tr><th scope="col">File</th><th scope="col" class="number">Commits</th><th scope="col" class="number">Complexity</th></tr></thead><tbody>${hot.join("")}</tbody></table></div></section>`}
${skipped.length === 0 ? "" : `<section aria-labelledby="left"><h2 id="left">Left out</h2><ul>${skipped.join("")}</ul></section>`}`;
}
