import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseFiles, skippedReport } from "./test-report.ts";

const all = ["src/kernel/db/pool.test.ts", "src/cli/output.test.ts", "scripts/tidy.test.ts"];

// Guards against a run that silently leaves files out.
test("without a wish every file runs, in a stable order", () => {
  assert.deepEqual(chooseFiles(all, []), [...all].sort());
});

// Guards against a wish that matches more, or less, than a person means.
test("a file, a folder or a word chooses; what matches nothing chooses nothing", () => {
  assert.deepEqual(chooseFiles(all, ["./src/kernel"]), ["src/kernel/db/pool.test.ts"]);
  assert.deepEqual(chooseFiles(all, ["src/cli/output.test.ts"]), ["src/cli/output.test.ts"]);
  assert.deepEqual(chooseFiles(all, ["pool", "tidy"]), [all[2], all[0]]);
  assert.deepEqual(chooseFiles(all, ["nowhere"]), []);
});

// Guards against tests that quietly never run: each is named, with its reason.
test("every skipped test is named with its reason", () => {
  const skipped = [
    { name: "publishes", file: "/p/src/b.test.ts", reason: "no RabbitMQ answers" },
    { name: "caches", file: "/p/src/a.test.ts", reason: true },
  ];
  const text = skippedReport(skipped, "/p", false) ?? "";
  assert.match(text, /Skipped 2:\n {2}src\/a\.test\.ts: caches \(no reason given\)\n/);
  assert.match(text, /src\/b\.test\.ts: publishes \(no RabbitMQ answers\)/);
  assert.doesNotMatch(text, /failure/);
  assert.match(skippedReport(skipped, "/p", true) ?? "", /makes that a failure/);
  assert.equal(skippedReport([], "/p", true), null);
});
