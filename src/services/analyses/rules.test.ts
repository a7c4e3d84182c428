import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { analyse, commitAll, folderWith, ruleFixture } from "./fixture.ts";
import { rules } from "./rules/catalogue.ts";

/** Their faults are too big for a text, or lie in a history: they have tests of their own. */
const testedElsewhere = ["file-huge", "hotspot"];

// Guards against a rule that can't fire, and against one that fires on what is well.
test("every rule fires on its bad fixture and is silent on its good one", async (t) => {
  for (const { id } of rules.filter((rule) => !testedElsewhere.includes(rule.id))) {
    await t.test(id, async (inner) => {
      const { good, bad } = await ruleFixture(id);
      const hits = async (files: Record<string, string>) => {
        const { findings } = await analyse(await folderWith(inner, files));
        return findings.filter(({ ruleId }) => ruleId === id);
      };
      const found = await hits(bad);
      assert.notDeepEqual(found, [], `${id} does not fire`);
      for (const { file, lineStart, lineEnd, evidence } of found) {
        assert.ok(file in bad && lineStart >= 1 && lineEnd >= lineStart && evidence !== "");
      }
      if (!/import-cycle|AP-05|DV-02-test-skipped/.test(id)) {
        const files = new Set(found.map(({ file }) => file));
        const isOfFile = rules.find((rule) => rule.id === id)?.file !== undefined;
        if (isOfFile) assert.deepEqual([...files].sort(), Object.keys(bad).sort());
      }
      assert.deepEqual(await hits(good), [], `${id} fires on what is well`);
    });
  }
});

// Guards against a fixture that no rule reads, and two rules with one id.
test("there is a fixture for every rule, and a rule for every fixture", async () => {
  const names = await readdir(new URL("./fixtures/rules/", import.meta.url));
  const ids = rules.map(({ id }) => id);
  assert.deepEqual(
    names.map((name) => name.replace(/\.txtar$/, "")).sort(),
    ids.filter((id) => !testedElsewhere.includes(id)).sort(),
  );
  assert.equal(new Set(ids).size, ids.length);
});

// Guards against secrets that leave the repository in a report.
test("a secret is told by place and kind and quoted nowhere", async (t) => {
  const { bad } = await ruleFixture("SE-02-secret");
  const text = Object.values(bad)[0] ?? "";
  const secret = /"(\w+)"/.exec(text)?.[1] ?? "";
  assert.ok(secret.length > 30);
  const line = `db.query("SELECT a FROM t WHERE k = ' ${secret} ' AND b = " + b);\n`;
  const analysis = await analyse(await folderWith(t, { ...bad, "src/b.js": line }));
  assert.equal(analysis.findings.filter(({ ruleId }) => ruleId === "SE-02-secret").length, 2);
  assert.ok(analysis.findings.some(({ ruleId }) => ruleId === "sql-concatenation"));
  assert.ok(!JSON.stringify(analysis).includes(secret.slice(4, 20)));
  // The scanner would keep a record of every file until the process ends.
  assert.deepEqual(performance.getEntriesByType("mark"), []);
});

// Guards against a status that is lost when lines move, and one that passes to another finding.
test("a fingerprint survives moved lines and tells equal lines of a file apart", async (t) => {
  const line = "if (a == 1) run();\n";
  const prints = async (text: string) => {
    const { findings } = await analyse(await folderWith(t, { "src/a.js": text }));
    return findings
      .filter(({ ruleId }) => ruleId === "loose-equality")
      .map(({ fingerprint }) => fingerprint);
  };
  const [first] = await prints(line);
  assert.deepEqual(await prints(`\n\n  ${line}`), [first]);
  const two = await prints(line + line);
  assert.equal(new Set(two).size, 2);
  assert.ok(two.includes(first ?? ""));
  assert.notDeepEqual(await prints("if (b == 1) run();\n"), [first]);
});

test("a file of many megabytes is a finding and is not read", async (t) => {
  const folder = await folderWith(t, { "a.js": "x".repeat(2_000) });
  const limits = { filesAtMost: 10, readBytesAtMost: 1_000, depthAtMost: 5 };
  const { findings, metrics } = await analyse(folder, { limits });
  assert.ok(findings.some(({ ruleId }) => ruleId === "file-huge"));
  assert.equal(metrics.largeFiles, 1);
  assert.equal(metrics.lines.code, 0);
});

test("a complex file that changes in ten commits is a hotspot", async (t) => {
  const body = (from: number) =>
    Array.from({ length: 120 }, (_, at) => `if (x === ${from + at}) run();`).join("\n");
  const folder = await folderWith(t);
  const { writeFile } = await import("node:fs/promises");
  for (let commit = 0; commit < 10; commit += 1) {
    await writeFile(`${folder}/a.js`, `export function f(x) {\n${body(commit)}\n}\n`);
    if (commit === 9) await writeFile(`${folder}/b.js`, "run();\n");
    commitAll(folder, `commit ${commit}`);
  }
  const { findings, metrics, commit } = await analyse(folder);
  const [spot] = findings.filter(({ ruleId }) => ruleId === "hotspot");
  assert.equal(spot?.evidence, "changed in 10 commits, cyclomatic complexity 121");
  assert.equal(metrics.historyCommits, 10);
  assert.match(commit ?? "", /^[0-9a-f]{40}$/);
});
