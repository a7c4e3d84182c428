import assert from "node:assert/strict";
import { test } from "node:test";
import { tidy, type TidyOptions } from "./tidy/rules.ts";

type Tree = Record<string, string>;

/** The rules that a tree breaks, apart from those every small sample breaks (nobody imports it). */
function broken(tree: Tree, options: TidyOptions = {}): string[] {
  const findings = tidy(new Map(Object.entries(tree)), options);
  return findings.filter(({ rule }) => rule !== "dead-file").map(({ rule }) => rule);
}

const lines = (count: number, line = "const a = 1;") => `${line}\n`.repeat(count);
const wrap = (count: number, head: string, tail: string) => `${head}\n${lines(count - 2)}${tail}\n`;

interface Sample {
  rule: string;
  what: string;
  bad: Tree;
  good: Tree;
}

const layerSamples: Sample[] = [
  {
    rule: "layers",
    what: "the kernel imports a service",
    bad: { "src/kernel/app.ts": 'import "../services/a/x.ts";', "src/services/a/service.ts": "" },
    good: { "src/services/a/service.ts": 'import "#kernel/app.ts";', "src/kernel/app.ts": "" },
  },
  {
    rule: "layers",
    what: "a service imports another",
    bad: { "src/services/a/rules.ts": 'import "../b/rules.ts";', "src/services/b/rules.ts": "" },
    good: { "src/services/a/rules.ts": 'import "./jobs.ts";', "src/services/a/jobs.ts": "" },
  },
  {
    rule: "layers",
    what: "a lower room imports a higher one, also for a type",
    bad: {
      "src/kernel/db/pool.ts": 'import type { A } from "../http/server.ts";',
      "src/kernel/http/server.ts": "",
    },
    good: { "src/kernel/http/server.ts": 'import "../db/pool.ts";', "src/kernel/db/pool.ts": "" },
  },
  {
    rule: "layers",
    what: "service.ts imports a value from above itself, instead of types",
    bad: { "src/kernel/service.ts": 'import "./app.ts";', "src/kernel/app.ts": "" },
    good: {
      "src/kernel/service.ts": 'import type { A } from "./app.ts";',
      "src/kernel/app.ts": "",
    },
  },
  {
    rule: "layers",
    what: "a service imports the composition root",
    bad: { "src/services/a/jobs.ts": 'import "../../main.ts";', "src/main.ts": "" },
    good: { "src/main.ts": 'import "./services/a/jobs.ts";', "src/services/a/jobs.ts": "" },
  },
  {
    rule: "layers",
    what: "the command line goes round the API",
    bad: { "src/cli/a.ts": 'import("../services/a/store.ts");', "src/services/a/store.ts": "" },
    good: { "src/cli/a.ts": 'import("../main.ts");', "src/main.ts": "" },
  },
  {
    rule: "layers",
    what: "the command line does by itself what needs a server",
    bad: {
      "src/cli/a.ts": 'import("../services/a/routes/b.ts");',
      "src/services/a/routes/b.ts": "",
    },
    good: {
      "src/cli/a.ts": 'import("../services/a/rules/b.ts"); import("../services/a/formats/c.ts");',
      "src/services/a/rules/b.ts": "",
      "src/services/a/formats/c.ts": "",
    },
  },
  {
    rule: "layers",
    what: "what runs imports what serves tests",
    bad: {
      "src/kernel/db/pool.ts": 'import "../testing/database.ts";',
      "src/kernel/testing/database.ts": "",
    },
    good: {
      "src/kernel/db/pool.test.ts": 'import "../testing/database.ts";',
      "src/kernel/testing/database.ts": "",
    },
  },
  {
    rule: "missing-import",
    what: "an import names no file",
    bad: { "src/main.ts": 'import "./gone.ts";' },
    good: { "src/main.ts": 'import "./here.ts";', "src/here.ts": "" },
  },
  {
    rule: "kernel-alias",
    what: "a service climbs to the kernel by dots",
    bad: {
      "src/services/a/rules.ts": 'import "../../kernel/clock.ts";',
      "src/kernel/clock.ts": "",
    },
    good: { "src/services/a/rules.ts": 'import "#kernel/clock.ts";', "src/kernel/clock.ts": "" },
  },
  {
    rule: "cycle",
    what: "files import each other in a circle, also through types",
    bad: {
      "src/kernel/db/a.ts": 'import "./b.ts";',
      "src/kernel/db/b.ts": 'import "./c.ts";',
      "src/kernel/db/c.ts": 'import type { A } from "./a.ts";',
    },
    good: {
      "src/kernel/db/types.ts": 'import type { A } from "../tenancy/types.ts";',
      "src/kernel/tenancy/types.ts": 'import type { B } from "../db/types.ts";',
    },
  },
];

const textSamples: Sample[] = [
  {
    rule: "file-length",
    what: "a file of more than 400 lines",
    bad: { "src/a.ts": lines(401) },
    good: { "src/a.ts": lines(400), "src/long.md": lines(900) },
  },
  {
    rule: "columns",
    what: "a line of more than 100 columns",
    bad: { "src/a.ts": `// ${"é".repeat(98)}` },
    good: {
      "src/a.ts": `// ${"é".repeat(97)}\n// https://example.org/${"x".repeat(90)}`,
      "src/b.ts": `const sql = \`select\n ${"x".repeat(120)}\`;`,
    },
  },
  {
    rule: "put-off",
    what: "work put off in a comment",
    bad: { "src/a.ts": "/* FIXME later */" },
    good: { "src/a.ts": 'const todo = "TODO";' },
  },
  {
    rule: "migration",
    what: "a migration without a scope, with a wrong one, or with an unordered name",
    bad: { "src/services/a/migrations/0001_a.sql": "-- scope: everywhere\n" },
    good: { "src/services/a/migrations/0001_a.sql": "-- scope: shared, dedicated\n" },
  },
  {
    rule: "migration",
    what: "two migrations with one number",
    bad: {
      "src/kernel/migrations/0001_a.sql": "-- scope: platform\n",
      "src/kernel/migrations/0001_b.sql": "-- scope: platform\n",
    },
    good: {
      "src/kernel/migrations/0001_a.sql": "-- scope: platform\n",
      "src/services/a/migrations/0001_b.sql": "-- scope: shared\n",
    },
  },
  {
    rule: "service-names",
    what: "a service's file that no other service would have",
    bad: { "src/services/a/helpers.ts": "" },
    good: {
      "src/services/a/store.ts": "",
      "src/services/a/confirming.test.ts": "",
      "src/services/a/fixture.ts": "",
    },
  },
  {
    rule: "service-names",
    what: "a service's area in a folder that no other service would have",
    bad: { "src/services/a/orders/store.ts": "" },
    good: {
      "src/services/a/routes.ts": "",
      "src/services/a/routes/orders.ts": "",
      "src/services/a/documents/invoice.ts": "",
      "src/services/a/formats/csv.ts": "",
      "src/services/a/changes/orders.ts": "",
      "src/services/a/rules/orders.ts": "",
      "src/services/a/rules/orders.test.ts": "",
      "src/services/a/store/orders.ts": "",
    },
  },
  {
    rule: "service-names",
    what: "an area in the file's name instead of in a folder",
    bad: { "src/services/a/order-store.ts": "" },
    good: { "src/services/a/store/order-lines.ts": "" },
  },
  {
    rule: "service-names",
    what: "a file beside the folder that holds its areas",
    bad: { "src/services/a/store.ts": "", "src/services/a/store/orders.ts": "" },
    good: { "src/services/a/rules.ts": "", "src/services/b/rules/orders.ts": "" },
  },
];

const syntaxSamples: Sample[] = [
  {
    rule: "function-length",
    what: "a function of more than 70 lines",
    bad: { "src/a.ts": wrap(71, "const f = () => {", "};") },
    good: { "src/a.ts": wrap(70, "const f = () => {", "};") },
  },
  {
    rule: "function-length",
    what: "a test of more than 120 lines",
    bad: { "src/a.test.ts": wrap(121, 'test("a", () => {', "});") },
    good: { "src/a.test.ts": wrap(120, 'test("a", () => {', "});") },
  },
  {
    rule: "swallow",
    what: "an error dropped without a word",
    bad: { "src/a.ts": "try { f(); } catch {}" },
    good: { "src/a.ts": "try { f(); } catch {\n  // Closed already.\n}" },
  },
  {
    rule: "swallow",
    what: "a rejection dropped without a word",
    bad: { "src/a.ts": "p.catch(() => undefined);" },
    good: { "src/a.ts": "// Told elsewhere.\np.catch(() => {});\n\np.catch((error) => f(error));" },
  },
  {
    rule: "only",
    what: "a test that silences the others",
    bad: { "src/a.test.ts": 'test.only("a", () => {});' },
    good: { "src/a.test.ts": 'test("only", () => {});' },
  },
  {
    rule: "only",
    what: "the same as an option",
    bad: { "src/a.test.ts": 'test("a", { only: true }, () => {});' },
    good: { "src/a.ts": "pick({ only: true });", "src/b.test.ts": 'test("a", { only: false });' },
  },
  {
    rule: "barrel",
    what: "a file that passes on another's exports",
    bad: { "src/a.ts": 'export { b } from "./b.ts";', "src/b.ts": "" },
    good: { "src/a.ts": 'import { b } from "./b.ts"; const c = b; export { c };', "src/b.ts": "" },
  },
  {
    rule: "barrel",
    what: "an index",
    bad: { "src/a/index.ts": "" },
    good: { "src/a/index-rebuild.ts": "" },
  },
  {
    rule: "console",
    what: "the kernel speaks past the logger",
    bad: { "src/kernel/a.ts": "console.log(1);" },
    good: { "src/cli/a.ts": "console.log(1);", "src/kernel/b.test.ts": "console.log(1);" },
  },
  {
    rule: "docblock",
    what: "an exported function says nothing of itself",
    bad: { "src/a.ts": "// Not a docblock.\nexport const f = () => 1;" },
    good: {
      "src/a.ts": "/** One. */\nexport function f() {}\nfunction g() {}\nexport const h = 1;",
    },
  },
  {
    rule: "pure-rules",
    what: "a decision that does I/O",
    bad: { "src/services/a/rules.ts": 'import fs from "node:fs";' },
    good: { "src/services/a/rules.ts": 'import type { A } from "node:fs";' },
  },
  {
    rule: "pure-rules",
    what: "a decision that waits",
    bad: { "src/services/a/rules/orders.ts": "const f = async () => 1;" },
    good: {
      "src/services/a/rules/orders.ts": "const f = () => 1;",
      "src/services/a/rules/orders.test.ts": "const f = async () => 1;",
    },
  },
  {
    rule: "pure-rules",
    what: "a format that opens its file itself",
    bad: { "src/services/a/formats/csv.ts": 'import fs from "node:fs";' },
    good: {
      "src/services/a/formats/csv.ts": 'import { a } from "../rules/a.ts";',
      "src/services/a/rules/a.ts": "",
    },
  },
  {
    rule: "sql-in-store",
    what: "SQL outside a store",
    bad: { "src/services/a/routes.ts": "const a = `\n  update shop set x = 1`;" },
    good: {
      "src/services/a/store.ts": "const a = `select 1`;",
      "src/services/b/store/orders.ts": "const a = `select 1`;",
      "src/services/a/routes.ts": 'const a = "selected";',
    },
  },
];

const worldSamples: Sample[] = [
  {
    rule: "environment",
    what: "the environment is read outside main.ts",
    bad: { "src/kernel/config.ts": "const a = process.env.A;" },
    good: { "src/main.ts": "const a = process.env;", "src/kernel/config.ts": "process.pid;" },
  },
  {
    rule: "environment",
    what: "the same through a destructuring or an import",
    bad: { "src/kernel/config.ts": "const { env } = process;" },
    good: { "src/cli/main.ts": 'import { env } from "node:process";' },
  },
  {
    rule: "clock",
    what: "time from elsewhere than the clock",
    bad: { "src/kernel/a.ts": "const a = new Date();" },
    good: { "src/kernel/a.ts": "const a = new Date(5);", "src/kernel/clock.ts": "Date.now();" },
  },
  {
    rule: "chance",
    what: "chance from elsewhere than the random source",
    bad: { "src/kernel/a.ts": "const a = crypto.randomUUID();" },
    good: {
      "src/kernel/random.ts": "const a = randomBytes(4);",
      "src/b.test.ts": "Math.random();",
    },
  },
  {
    rule: "sleep",
    what: "a sleep that a test can't shorten",
    bad: { "src/kernel/a.ts": "await new Promise((go) => setTimeout(go, 5));" },
    good: { "src/kernel/a.ts": "await new Promise((go) => socket.once('end', go));" },
  },
  {
    rule: "sleep",
    what: "the same by import",
    bad: { "src/kernel/a.ts": 'import { setTimeout as delay } from "node:timers/promises";' },
    good: { "src/kernel/clock.ts": 'import { setTimeout as delay } from "node:timers/promises";' },
  },
  {
    rule: "errors",
    what: "an entry of the error catalogue without a title",
    bad: { "src/kernel/a.ts": 'defineErrors("a", { gone: { status: 404 } });' },
    good: { "src/kernel/a.ts": 'defineErrors("a", { gone: { status: 404, title: "Gone" } });' },
  },
  {
    rule: "errors",
    what: "one code declared twice",
    bad: {
      "src/kernel/a.ts": 'defineErrors("a", { gone: { status: 404, title: "Gone" } });',
      "src/kernel/b.ts": 'defineErrors("a", { gone: { status: 404, title: "Gone" } });',
    },
    good: {
      "src/kernel/a.ts": 'defineErrors("a", { gone: { status: 404, title: "Gone" } });',
      "src/kernel/b.ts": 'defineErrors("b", { gone: { status: 404, title: "Gone" } });',
    },
  },
  {
    rule: "errors-documented",
    what: "a service's code that its README does not explain",
    bad: {
      "src/services/a/errors.ts": 'defineErrors("a", { gone: { status: 404, title: "Gone" } });',
      "src/services/a/README.md": "Nothing goes wrong.",
    },
    good: {
      "src/services/a/errors.ts": 'defineErrors("a", { gone: { status: 404, title: "Gone" } });',
      "src/services/a/README.md": "`ERR_A_GONE`: look elsewhere.",
    },
  },
  {
    rule: "errors-documented",
    what: "a text that names a code nobody declares",
    bad: { "README.md": "Answers ERR_A_GONE." },
    good: {
      "README.md": "Answers ERR_A_GONE.",
      "src/kernel/a.ts": 'defineErrors("a", { gone: { status: 404, title: "Gone" } });',
    },
  },
];

for (const { rule, what, bad, good } of [
  ...layerSamples,
  ...textSamples,
  ...syntaxSamples,
  ...worldSamples,
]) {
  // Guards against a rule that sees nothing, and against one that cries wolf.
  test(`${rule}: ${what}`, () => {
    assert.ok(broken(bad).includes(rule), `not flagged: ${broken(bad).join(", ")}`);
    assert.ok(!broken(good).includes(rule), "flagged without reason");
  });
}

// Guards against a list of private words that is itself published, or that misses a word's case.
test("word: only words that are given are looked for, in any case", () => {
  const tree = { "README.md": "Made at ACME.\n" };
  assert.deepEqual(broken(tree), []);
  assert.deepEqual(broken(tree, { forbiddenWords: ["acme"] }), ["word"]);
});
