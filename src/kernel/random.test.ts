import assert from "node:assert/strict";
import { test } from "node:test";
import { isUuid } from "./random.ts";

// Guards against one id in two spellings: what the kernel writes and compares is in lower case.
test("an id is a UUID in lower case", () => {
  const id = "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a";
  assert.equal(isUuid(id), true);
  for (const other of [id.toUpperCase(), `${id}\n`, ` ${id}`, id.replaceAll("-", ""), ""]) {
    assert.equal(isUuid(other), false, other);
  }
});
