import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { runCli, temporaryHome } from "./fixture.ts";

const analyses = (home: string, ...argv: string[]) =>
  runCli(["analyses", "run", ...argv], { home, env: { PLIMSOLL_API: "http://127.0.0.1:9" } });

async function badFolder(home: string): Promise<string> {
  const folder = join(home, "project");
  await mkdir(join(folder, "src"), { recursive: true });
  await writeFile(join(folder, "src/a.js"), "eval(input);\nif (a == b) run();\n");
  return folder;
}

// Guards against a pipeline that goes on over what it was to stop at, and one stopped by less.
test("--fail-on ends with 1 from its severity on; --base looks at new findings", async (t) => {
  const home = await temporaryHome(t);
  const folder = await badFolder(home);
  const codes: [string[], number][] = [
    [[], 0],
    [["--fail-on", "critical"], 0],
    [["--fail-on", "high"], 1],
    [["--fail-on", "low"], 1],
  ];
  for (const [argv, code] of codes) {
    const ran = await analyses(home, folder, ...argv);
    assert.equal(ran.code, code, `${argv.join(" ")}: ${ran.stdout}${ran.stderr}`);
    assert.match(ran.stdout, /high +Text is run as code src\/a\.js:1 \(code-from-data\)/);
    assert.match(ran.stdout, /^security +█+░* +90 {2}code-from-data × 1$/m);
    assert.equal(ran.stderr, "");
  }
  const base = join(home, "base.json");
  await writeFile(base, (await analyses(home, folder, "--json")).stdout);
  const same = await analyses(home, folder, "--base", base, "--fail-on", "info");
  assert.deepEqual([same.code, same.stderr], [0, ""]);
  assert.match(same.stdout, /0 new, 0 gone, \d+ as before\./);
  await writeFile(join(folder, "src/b.js"), "new Function(input)();\n");
  assert.equal((await analyses(home, folder, "--base", base, "--fail-on", "high")).code, 1);
});

test("--json prints the result alone; documents are written where asked for", async (t) => {
  const home = await temporaryHome(t);
  const folder = await badFolder(home);
  const names = ["a.sarif", "a.html", "a.md", "a.svg"];
  const [sarif = "", html = "", markdown = "", badge = ""] = names.map((name) => join(home, name));
  const documents = ["--sarif", sarif, "--html", html, "--markdown", markdown, "--badge", badge];
  const ran = await analyses(home, folder, "--json", ...documents);
  assert.deepEqual([ran.code, ran.stderr], [0, ""]);
  const result = JSON.parse(ran.stdout) as Record<string, unknown>;
  assert.deepEqual(Object.keys(result), [
    "repository",
    "commit",
    "scores",
    "metrics",
    "findings",
    "findingsLeftOut",
  ]);
  assert.equal(JSON.parse(await readFile(sarif, "utf8")).version, "2.1.0");
  assert.match(await readFile(html, "utf8"), /^<!doctype html>/);
  assert.match(await readFile(markdown, "utf8"), /^# project/);
  assert.match(await readFile(badge, "utf8"), /^<svg /);
  assert.deepEqual(await readdir(folder), ["src"], "nothing is left in the folder");
});

test("what can't be read is a usage error that says which and why", async (t) => {
  const home = await temporaryHome(t);
  const folder = await badFolder(home);
  const file = join(folder, "src/a.js");
  const cases: readonly [argv: string[], code: number, says: RegExp][] = [
    [[join(home, "none")], 2, /none can't be read: there is no such folder \(ENOENT\)/],
    [[file], 2, /a\.js can't be read: it is no folder \(ENOTDIR\)/],
    [[folder, "--fail-on", "bad"], 2, /Allowed choices are critical, high/],
    [[folder, "--base", file], 2, /a\.js is no result of plimsoll analyses run --json/],
    [[folder, "--base", join(home, "no.json")], 2, /no\.json can't be read/],
    [[folder, "--html", join(home, "no/x.html")], 1, /x\.html could not be written/],
    [[], 2, /missing required argument/],
  ];
  for (const [argv, code, says] of cases) {
    const ran = await analyses(home, ...argv);
    assert.equal(ran.code, code, `${argv.join(" ")}: ${ran.stdout}${ran.stderr}`);
    assert.match(ran.stderr, says);
    assert.equal(ran.stdout, "");
  }
});
