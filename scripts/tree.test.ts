import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { repository } from "./fixture.ts";

/** The rules that are laws of the house; the others are style, which `npm run check` holds. */
const laws = [
  "barrel",
  "cycle",
  "environment",
  "kernel-alias",
  "layers",
  "migration",
  "missing-import",
  "only",
  "pure-rules",
  "sql-in-store",
];

// Guards against a house whose laws stand on paper: imports that run upwards or in circles,
// services that know each other, an environment read in many places, SQL outside its store.
test("this tree keeps the laws of the house", () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(repository, "scripts", "tidy.ts")],
    { encoding: "utf8" },
  );
  assert.ok(status === 0 || status === 1, stderr);
  assert.match(stdout, / in \d{3,} files /);
  const broken = stdout.split("\n").filter((line) => laws.some((law) => line.endsWith(`[${law}]`)));
  assert.deepEqual(broken, []);
});
