import assert from "node:assert/strict";
import { test } from "node:test";
import { tidy } from "./tidy/rules.ts";

// Guards against dead code that lives on because its own tests still import it.
test("dead-file: what nothing but tests imports", () => {
  const tree = {
    "src/main.ts": 'import "./alive.ts";\nimport("./lazy.ts");\nnew URL("./worker.ts", u);',
    "src/alive.ts": "",
    "src/lazy.ts": "",
    "src/worker.ts": "",
    "src/dead.ts": "",
    "src/tested.ts": "",
    "src/tested.test.ts": 'import "./tested.ts";',
    "src/kernel/testing/support.ts": "",
    "bench/kernel.ts": "",
    "src/services/begun/rules/tested.ts": "",
    "src/services/begun/rules/untested.ts": "",
    "src/services/begun/rules.test.ts": 'import "./rules/tested.ts";',
    "src/services/declared/service.ts": "",
    "src/services/declared/rules/tested.ts": "",
    "src/services/declared/rules.test.ts": 'import "./rules/tested.ts";',
  };
  const dead = tidy(new Map(Object.entries(tree)), { mentions: "node src/main.ts" }).filter(
    ({ rule }) => rule === "dead-file",
  );
  assert.deepEqual(
    dead.map(({ path, message }) => [path, message]),
    [
      ["src/dead.ts", "nothing imports it"],
      ["src/services/begun/rules/untested.ts", "nothing imports it"],
      ["src/services/declared/rules/tested.ts", "only tests import it"],
      ["src/services/declared/service.ts", "nothing imports it"],
      ["src/tested.ts", "only tests import it"],
    ],
  );
});
