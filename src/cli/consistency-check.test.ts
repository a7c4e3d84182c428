import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { visit } from "#kernel/testing/chromium.ts";
import { requireService } from "#kernel/testing/services.ts";
import { runCli, temporaryHome } from "./fixture.ts";

const fixture = (path: string) =>
  fileURLToPath(new URL(`../services/consistency/fixtures/${path}`, import.meta.url));
const check = (home: string, ...argv: string[]) =>
  runCli(["consistency", "check", ...argv], { home, env: { PLIMSOLL_API: "http://127.0.0.1:9" } });

// Guards against a script that takes a violation, an unknown or an unreadable file for good.
test("the exit code says what was found: 0 holds, 1 violated, 3 unknown", async (t) => {
  const home = await temporaryHome(t);
  const cases: readonly [argv: string[], code: number, says: RegExp][] = [
    [[fixture("labelled/strong-good.ndjson")], 0, /✔ strong holds for 4 operations\./],
    [[fixture("porcupine/etcd_000.txt")], 1, /✖ strong is violated: .*41.* \[39, 41\]/],
    [[fixture("porcupine/c01-ok.txt"), "--model", "kv"], 0, /strongest .* is strong\./],
    [
      [fixture("porcupine/c01-bad.txt"), "--model", "kv"],
      1,
      /36 \(read of .* of key "7" was called after 29/,
    ],
    [
      [fixture("labelled/bounded-no-bound.ndjson"), "--level", "bounded"],
      3,
      /\? bounded is unknown: no bound/,
    ],
    [[fixture("labelled/strong-stale.ndjson"), "--level", "session"], 3, /\? session is unknown/],
    [
      [fixture("labelled/read-your-writes-bad.ndjson"), "--level", "session"],
      1,
      /had itself written version 1\.2/,
    ],
    [[fixture("labelled/durability-lost.ndjson")], 1, /1 acknowledged update is gone: w2/],
  ];
  for (const [argv, code, says] of cases) {
    const ran = await check(home, ...argv);
    assert.equal(ran.code, code, `${argv.join(" ")}: ${ran.stdout}${ran.stderr}`);
    assert.match(ran.stdout, says);
    assert.equal(ran.stderr, "");
  }
});

test("what can't be read is a usage error that names file, line and reason", async (t) => {
  const home = await temporaryHome(t);
  const file = join(home, "history.ndjson");
  const cases: readonly [content: string | Buffer, argv: string[], says: RegExp][] = [
    ['{"history":1}\n{"op":"write"}\n', [], /history\.ndjson: line 2: "outcome" is missing/],
    ["hello", [], /line 1: no known format begins like this/],
    [Buffer.from([0x7b, 0xff, 0xfe]), [], /is no text in UTF-8/],
    [Buffer.concat([gzipSync("{}"), Buffer.from("rest")]).subarray(0, 15), [], /can't be read/],
    ["{}", ["--format", "xml"], /Allowed choices are ndjson, json/],
    ["{}", ["--level", "best"], /Allowed choices are strong/],
    ["{}", ["--initial", "{"], /It must be JSON/],
    ["{}", ["--max-staleness-ms", "-1"], /a number from 0/],
  ];
  for (const [content, argv, says] of cases) {
    await writeFile(file, content);
    const { code, stdout, stderr } = await check(home, file, ...argv);
    assert.deepEqual([code, stdout], [2, ""], stderr);
    assert.match(stderr, says);
  }
  const { code, stderr } = await check(home, join(home, "nothing.edn"));
  assert.equal(code, 2);
  assert.match(stderr, /nothing\.edn can't be read: ENOENT/);
});

test("a packed file, standard input and JSON for programs", async (t) => {
  const home = await temporaryHome(t);
  const text = await readFile(fixture("labelled/strong-stale.ndjson"), "utf8");
  const packed = join(home, "history.gz");
  await writeFile(packed, gzipSync(text));
  const ofFile = await check(home, packed, "--json");
  assert.equal(ofFile.code, 1);
  const report = JSON.parse(ofFile.stdout);
  assert.deepEqual([report.format, report.status, report.operations], ["ndjson", "violation", 3]);
  const strong = report.claims.find(({ name }: { name: string }) => name === "strong");
  assert.deepEqual(strong.verdict.witness.operations, ["w1", "w2", "r1"]);
  assert.equal(strong.verdict.witness.at, undefined);
  assert.equal(ofFile.stderr, "");
  const typed = await runCli(["consistency", "check", "-"], { home, stdin: text });
  assert.equal(typed.code, 1);
  assert.match(typed.stdout, /strong-stale has 3 operations on 1 key in 2 sessions \(ndjson\)\./);
});

test("options say what the file leaves out", async (t) => {
  const home = await temporaryHome(t);
  const bounded = fixture("labelled/bounded-no-bound.ndjson");
  const within = (versions: string) =>
    check(home, bounded, "--level", "bounded", "--max-staleness-versions", versions);
  assert.equal((await within("2")).code, 0);
  assert.equal((await within("1")).code, 1);
  const shared = fixture("labelled/receipts-shared.ndjson");
  assert.equal((await check(home, shared)).code, 1);
  assert.equal((await check(home, shared, "--versions", "key")).code, 0);
  const file = join(home, "initial.ndjson");
  const read = { process: "a", key: "x", op: "read", value: 0, call: 0, return: 1, outcome: "ok" };
  await writeFile(file, JSON.stringify(read));
  assert.equal((await check(home, file)).code, 1);
  assert.equal((await check(home, file, "--initial", "0")).code, 0);
});

const policyOf = (html: string) =>
  /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] ?? "";

// Guards against a page that needs the network, runs what a history says, or shows nothing.
test("the page is one file that a browser shows without asking anybody", async (t) => {
  const home = await temporaryHome(t);
  const nasty = "</script><script>document.title='owned'</script><b>&\"'";
  const history = join(home, "history.ndjson");
  const base = { process: nasty, key: nasty, call: 0, return: 1, outcome: "ok", level: "strong" };
  const lines = [
    { history: 1, name: nasty },
    { ...base, id: "w1", op: "write", value: nasty },
    { ...base, id: "w2", op: "write", value: "2", call: 2, return: 3 },
    { ...base, id: nasty, process: "b", op: "read", value: nasty, call: 4, return: 5 },
    { fault: nasty, call: 1, return: 2, isolated: [] },
  ];
  await writeFile(history, lines.map((line) => JSON.stringify(line)).join("\n"));
  const page = join(home, "page.html");
  const { code, stderr } = await check(home, history, "--html", page);
  assert.equal(code, 1);
  assert.match(stderr, /Wrote .*page\.html/);
  const html = await readFile(page, "utf8");
  assert.match(
    policyOf(html),
    /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-/,
  );
  assert.doesNotMatch(policyOf(html), /unsafe|\*|https?:/);
  assert.doesNotMatch(html, /https?:\/\/|\ssrc=|\son[a-z]+=|\sstyle=|@import|url\(/);
  assert.ok(!html.includes("<script>document"), "text of the history is no markup");
  assert.match(html, /role="application"[\s\S]*aria-live="polite"/);
  const chromium = await requireService(t, "chromium");
  if (chromium === null) return;
  const seen = await visit(chromium, pathToFileURL(page).href, /3 of the counterexample|1 of the/);
  assert.deepEqual(seen.complaints, []);
  assert.deepEqual(
    seen.requests.filter((url) => !url.startsWith("data:")),
    [pathToFileURL(page).href],
  );
  assert.match(seen.text, /Violated/);
  assert.match(seen.text, /was called 1 ms after w2 \(write of "2"\) was acknowledged/);
  assert.match(seen.text, /All operations, held to everything/);
});

// Guards against a page that can't be opened because a history is long.
test("a page of a long history draws what lies around the counterexample", async () => {
  const { timelineData } = await import("../services/consistency/documents/timeline-data.ts");
  const { historyOf } = await import("../services/consistency/rules/builder.ts");
  const count = 1_000;
  const base = { key: "x", op: "write", outcome: "ok" } as const;
  const operations = Array.from({ length: count }, (_, at) => {
    const times = { call: at, return: at + 0.5 };
    return { ...base, ...times, id: `o${at}`, process: `c${at % 3}`, value: at };
  });
  const witness = { name: "strong", sentence: "s", operations: [count - 1, 5] };
  const data = timelineData(historyOf(operations), [witness], 100);
  assert.deepEqual([data.total, data.count], [count, 101]);
  const drawn = data.witnesses[0]!.operations.map((at) => data.ids[at]);
  assert.deepEqual(drawn, [`o${count - 1}`, "o5"]);
});
