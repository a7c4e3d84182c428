import assert from "node:assert/strict";
import { test } from "node:test";
import { completeLock, missingVariants, variantEntry } from "./complete-lock.ts";
import { checkLockfile } from "./tidy/lockfile.ts";

// Guards against a lockfile made against a registry of few platforms, with which npm ci fails.
test("platform packages without an entry are found and added", () => {
  const lock = {
    packages: {
      "": {},
      "node_modules/tool": {
        version: "2.0.0",
        dev: true,
        optionalDependencies: { "@tool/linux-x64-musl": "2.0.0", "@tool/darwin-arm64": "2.0.0" },
      },
    },
  };
  assert.equal(missingVariants(lock).length, 2);
  assert.equal(checkLockfile(JSON.stringify(lock)).length, 2);
  const complete = completeLock(lock);
  assert.deepEqual(missingVariants(complete), []);
  assert.deepEqual(complete.packages["node_modules/@tool/linux-x64-musl"], {
    version: "2.0.0",
    cpu: ["x64"],
    dev: true,
    libc: ["musl"],
    optional: true,
    os: ["linux"],
  });
  assert.equal(variantEntry("fsevents", "2.3.3", true), null);
});

// Guards against a workplace's registry address in what is published.
test("an address of a registry is found", () => {
  const lock = { packages: { "node_modules/a": { resolved: "https://registry.example.org/a" } } };
  const rules = checkLockfile(JSON.stringify(lock, null, 2)).map(({ rule }) => rule);
  assert.deepEqual(rules, ["lockfile"]);
});
