import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { badgeOf } from "./documents/badge.ts";
import { markdownOf } from "./documents/markdown.ts";
import { reportPage } from "./documents/page.ts";
import { sarifOf } from "./documents/sarif.ts";
import { analyse, folderWith } from "./fixture.ts";
import { compareFindings } from "./rules/compare.ts";
import type { Analysis, Finding } from "./rules/result.ts";
import { scoresOf } from "./rules/scores.ts";

const hostile = "<script>alert(1)</script>|`[x](y)";

const bad = (t: Parameters<typeof folderWith>[0]) =>
  folderWith(t, {
    "src/a b.js": `if (a == "${hostile}") run();\neval(input);\n`,
    Dockerfile: "FROM node\n",
  });

interface SarifRun {
  tool: { driver: { name: string; rules: { id: string; shortDescription: { text: string } }[] } };
  results: {
    ruleId: string;
    ruleIndex: number;
    level: string;
    message: { text: string };
    locations: {
      physicalLocation: {
        artifactLocation: { uri: string };
        region: { startLine: number; endLine: number };
      };
    }[];
    partialFingerprints: Record<string, string>;
  }[];
}

// Guards against a file that code scanning refuses.
test("SARIF has what 2.1.0 requires, and each result points at its rule and a place", async (t) => {
  const analysis = await analyse(await bad(t));
  const sarif = sarifOf(analysis) as { version: string; $schema: string; runs: SarifRun[] };
  assert.equal(sarif.version, "2.1.0");
  assert.match(sarif.$schema, /sarif-2\.1\.0/);
  const [run] = sarif.runs;
  assert.ok(run && run.tool.driver.name !== "");
  assert.equal(run.results.length, analysis.findings.length);
  for (const result of run.results) {
    assert.equal(run.tool.driver.rules[result.ruleIndex]?.id, result.ruleId);
    assert.ok(["error", "warning", "note"].includes(result.level));
    assert.ok(result.message.text.length > 0);
    const place = result.locations[0]?.physicalLocation;
    assert.match(place?.artifactLocation.uri ?? "", /^(src\/a%20b\.js|Dockerfile)$/);
    const { startLine = 0, endLine = 0 } = place?.region ?? {};
    assert.ok(startLine >= 1 && endLine >= startLine);
    assert.match(result.partialFingerprints["plimsoll/v1"] ?? "", /^[0-9a-f]{32}$/);
  }
});

// Guards against a repository that writes into the page of whoever looks at its report.
test("the page is one file that allows only its own style, and shows text as text", async (t) => {
  const page = reportPage(await analyse(await bad(t)));
  assert.ok(!page.includes("<script"));
  assert.ok(page.includes("&lt;script&gt;alert(1)"));
  assert.ok(!/(src|href)="(?!data:,)/.test(page));
  const style = /<style>([\s\S]*)<\/style>/.exec(page)?.[1] ?? "";
  const hash = createHash("sha256").update(style).digest("base64");
  assert.ok(page.includes(`default-src 'none'; style-src 'sha256-${hash}'`));
  for (const title of ["Maintainability", "Overall", "Text is run as code"]) {
    assert.ok(page.includes(title), title);
  }
});

test("Markdown and badge say the score; names can't become markup", async (t) => {
  const analysis = await analyse(await bad(t));
  const named = { ...analysis, repository: { name: hostile } };
  const text = markdownOf(named);
  assert.ok(!text.includes("<script>"));
  assert.ok(text.includes(`| Overall | ${analysis.scores.overall.value} |`));
  assert.match(text, /\| high \| code-from-data \| src\/a b\.js:2 \| Text is run as code \|/);
  assert.ok(badgeOf(analysis).includes(`${analysis.scores.overall.value}/100`));
  assert.ok(badgeOf(await analyse(await folderWith(t))).includes("no score"));
});

// Guards against scores that can't be explained, or that a model moves.
test("a score is 100 and its terms; a rule takes at most twice its weight", async (t) => {
  const { scores, metrics, findings } = await analyse(await bad(t));
  for (const [name, { value, terms }] of Object.entries(scores)) {
    if (name === "overall") continue;
    const sum = terms.reduce((total, { points }) => total + points, 100);
    assert.equal(value, Math.max(0, Math.min(100, Math.round(sum))), name);
  }
  const [one] = findings.filter(({ ruleId }) => ruleId === "code-from-data") as [Finding];
  const security = (count: number, origin: Finding["origin"] = "rule") =>
    scoresOf(
      metrics,
      Array.from({ length: count }, () => ({ ...one, origin })),
    ).security.value;
  assert.deepEqual(
    [0, 1, 2, 100].map((count) => security(count)),
    [100, 90, 85, 80],
  );
  assert.equal(security(10, "model"), 100);
});

test("two results are compared by fingerprint, wherever lines have moved", async (t) => {
  const findingsOf = async (text: string): Promise<Analysis["findings"]> =>
    (await analyse(await folderWith(t, { "src/a.js": text }))).findings.filter(
      ({ ruleId }) => ruleId === "loose-equality" || ruleId === "code-from-data",
    );
  const base = await findingsOf("if (a == b) run();\neval(x);\n");
  const other = await findingsOf("\n\nif (a == b) run();\nif (c == d) run();\n");
  const compared = compareFindings(base, other);
  const lines = (list: readonly Finding[]) => list.map((each) => [each.ruleId, each.lineStart]);
  assert.deepEqual(lines(compared.new), [["loose-equality", 4]]);
  assert.deepEqual(lines(compared.gone), [["code-from-data", 2]]);
  assert.deepEqual(lines(compared.carried), [["loose-equality", 3]]);
});
