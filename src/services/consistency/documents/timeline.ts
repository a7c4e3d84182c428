import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { type CheckName, checkNames, type Claim, type Report } from "../rules/check.ts";
import type { History } from "../rules/history.ts";
import type { Verdict } from "../rules/verdict.ts";
import { type DrawnWitness, type TimelineData, timelineData } from "./timeline-data.ts";

const assetText = (url: URL): string => readFileSync(url, "utf8");

/** What each check is called on paper. */
export const checkTitles: Readonly<Record<CheckName, string>> = {
  integrity: "Every read was written",
  receipts: "Versions can be trusted",
  strong: "Strong (linearizable)",
  bounded: "Bounded staleness",
  readYourWrites: "Read your writes",
  monotonicReads: "Monotonic reads",
  monotonicWrites: "Monotonic writes",
  writesFollowReads: "Writes follow reads",
  token: "Session tokens",
  causal: "Causal across keys",
  prefix: "Consistent prefix",
  agreement: "Replicas agree in the end",
  durability: "No acknowledged write is lost",
  availability: "Availability",
  breakers: "Breakers",
};

const statusWords = { ok: "holds", violation: "violated", unknown: "unknown" } as const;
const statusMarks = { ok: "✓", violation: "✕", unknown: "?" } as const;

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escape = (text: string): string => text.replace(/[&<>"']/g, (char) => entities[char]!);

/**
 * One HTML file without any reference to another: the verdicts in words, and a timeline of who
 * called what and when. Its policy allows only its own scripts and styles, by their hashes.
 */
export function timelinePage(history: History, report: Report, title: string): string {
  const styles = assetText(new URL("../assets/timeline.css", import.meta.url));
  const script = joined([
    assetText(new URL("../assets/timeline-model.mjs", import.meta.url)),
    assetText(new URL("../assets/timeline-draw.mjs", import.meta.url)),
    assetText(new URL("../assets/timeline.mjs", import.meta.url)),
  ]);
  const data = timelineData(history, witnessesOf(report));
  const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const policy =
    `default-src 'none'; script-src ${hash(script)}; ` +
    `style-src ${hash(styles)}; img-src data:; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escape(title)}: ${statusWords[report.status]}</title>
<style>${styles}</style>
</head>
<body>
${headerHtml(history, report, title)}
<main>
${verdictsHtml(report, data)}
${timelineHtml(data)}
${checksHtml(report, data)}
</main>
<script type="application/json" id="data">${embedded(data)}</script>
<script type="module">${script}</script>
</body>
</html>
`;
}

/** Modules as one: in a file of its own there is nothing to import from. */
const joined = (modules: readonly string[]): string =>
  modules
    .join("\n")
    .replace(/^import [^;]*;\n/gm, "")
    .replace(/^export /gm, "");

/** JSON that can't end the element that it stands in. */
const embedded = (data: TimelineData): string => JSON.stringify(data).replaceAll("<", "\\u003c");

/** Each counterexample once: claims first, then what else was found over all operations. */
function witnessesOf({ claims, checks }: Report): DrawnWitness[] {
  const found = new Map<string, DrawnWitness>();
  const add = (name: string, verdict: Verdict) => {
    if (verdict.status !== "violation" || verdict.witness.at.length === 0) return;
    const { sentence, at } = verdict.witness;
    if (!found.has(sentence)) found.set(sentence, { name, sentence, operations: at });
  };
  for (const { name, verdict } of claims) add(name, verdict);
  for (const name of checkNames) add(checkTitles[name], checks[name]);
  return [...found.values()];
}

const plural = (count: number, one: string): string =>
  `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

function headerHtml(history: History, report: Report, title: string): string {
  const { status, strongest } = report;
  const facts = [
    plural(report.operations, "operation"),
    plural(report.keys, "key"),
    plural(history.processes.length, "client"),
  ].join(" · ");
  const verdict = { ok: "Holds", violation: "Violated", unknown: "Unknown" }[status];
  return `<header>
<div><p class="eyebrow">Consistency check</p><h1>${escape(title)}</h1><p class="facts">${facts}</p></div>
<p class="badge ${status}"><span aria-hidden="true">${statusMarks[status]}</span> ${verdict}</p>
<p class="strongest">${escape(strongest.sentence)}</p>
</header>`;
}

function verdictsHtml({ claims }: Report, data: TimelineData): string {
  const worstFirst = ["violation", "unknown", "ok"];
  const rankOf = ({ verdict }: Claim) => worstFirst.indexOf(verdict.status);
  const sorted = [...claims].sort((a, b) => rankOf(a) - rankOf(b));
  const items = sorted.map(({ name, verdict }) => {
    const { status } = verdict;
    const text = verdictText(verdict);
    const shown = data.witnesses.findIndex(({ sentence }) => sentence === text);
    const buttons = shown < 0 ? "" : witnessButtons(data, shown);
    return `<li class="${status}"><span class="mark" aria-hidden="true">${statusMarks[status]}</span>
<div><h3>${escape(claimTitle(name))} <span class="status">${statusWords[status]}</span></h3>
<p>${escape(text)}</p>${buttons}</div></li>`;
  });
  return `<section aria-labelledby="asked"><h2 id="asked">What was asked of it</h2>
<ul class="verdicts">${items.join("\n")}</ul></section>`;
}

const claimTitle = (name: Claim["name"]): string =>
  name === "session" ? "Session guarantees" : name === "eventual" ? "Eventual" : checkTitles[name];

function verdictText(verdict: Verdict): string {
  if (verdict.status === "violation") return verdict.witness.sentence;
  if (verdict.status === "unknown") return `Not decided: ${verdict.reason}.`;
  return verdict.checked === 0
    ? "Nothing to check."
    : `Kept by ${plural(verdict.checked, "operation")}.`;
}

function witnessButtons({ witnesses, ids }: TimelineData, which: number): string {
  const operations = witnesses[which]!.operations.map(
    (at, number) =>
      `<button type="button" class="operation" data-operation="${at}" data-witness="${which}">` +
      `<span class="number">${number + 1}</span> ${escape(ids[at]!)}</button>`,
  );
  return `<p class="operations">${operations.join(" ")}
<button type="button" data-witness="${which}">Show on the timeline</button></p>`;
}

function timelineHtml(data: TimelineData): string {
  const isPart = data.count < data.total;
  const part = isPart
    ? `<p class="part">Drawn are ${plural(data.count, "operation")} around the counterexamples, of
${data.total.toLocaleString("en")}.</p>`
    : "";
  return `<section aria-labelledby="timeline-title" class="timeline">
<div class="bar"><h2 id="timeline-title">Timeline</h2>
<div class="tools">
<label>Key <select id="key"><option value="-1">all</option></select></label>
<label><input type="checkbox" id="only"> Only its clients</label>
<label>Find <input id="find" type="search" size="10" placeholder="operation" autocomplete="off"></label>
<span class="group"><button type="button" id="out" aria-label="Zoom out">−</button>
<button type="button" id="in" aria-label="Zoom in">+</button>
<button type="button" id="all">All</button>
<button type="button" id="witness">Counterexample</button></span>
</div></div>
${part}
<div id="stage"><canvas id="lanes" tabindex="0" role="application"
 aria-label="Timeline of operations, one lane for each client. Arrow keys go from operation to operation."
 aria-describedby="help details"></canvas><div id="tip" hidden></div></div>
<canvas id="map" aria-hidden="true"></canvas>
<div class="below">
<ul class="legend" aria-label="Legend">
<li class="read">read</li><li class="write">write</li><li class="cas">cas</li>
<li class="append">append</li><li class="delete">delete</li>
<li class="info">outcome unknown</li><li class="fail">failed</li><li class="shown">counterexample</li></ul>
<p id="help">Wheel or + and − zoom, drag or shift with the wheel moves; arrow keys walk through the
operations, W goes to the counterexample, 0 shows all.</p></div>
<div id="details" aria-live="polite"><p>No operation is selected.</p></div>
<noscript><p>The timeline needs scripts, which this browser does not run. The verdicts above and below
do not.</p></noscript>
</section>`;
}

function checksHtml({ checks, staleness, lost }: Report, data: TimelineData): string {
  const rows = checkNames.map((name) => {
    const verdict = checks[name];
    const text = verdictText(verdict);
    const shown = data.witnesses.findIndex(({ sentence }) => sentence === text);
    const label = `Show on the timeline: ${checkTitles[name]}`;
    const button =
      shown < 0
        ? ""
        : ` <button type="button" data-witness="${shown}" aria-label="${label}">Show</button>`;
    return `<tr class="${verdict.status}"><th scope="row">${checkTitles[name]}</th>
<td><span class="mark" aria-hidden="true">${statusMarks[verdict.status]}</span>
${statusWords[verdict.status]}</td><td>${escape(text)}${button}</td></tr>`;
  });
  const stale =
    staleness.staleReads > 0
      ? `<p>${plural(staleness.staleReads, "read")} missed up to
${plural(staleness.mostVersions, "acknowledged version")}.</p>`
      : "";
  const gone =
    lost.count > 0 ? `<p>${plural(lost.count, "acknowledged update")} are gone.</p>` : "";
  return `<section aria-labelledby="checks"><h2 id="checks">All operations, held to everything</h2>
${stale}${gone}<div class="scroll"><table><thead><tr><th scope="col">Check</th><th scope="col">Result</th>
<th scope="col">Why</th></tr></thead><tbody>${rows.join("\n")}</tbody></table></div></section>`;
}
