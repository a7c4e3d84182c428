import assert from "node:assert/strict";
import { test } from "node:test";
import { isUuid, timeOfId } from "./random.ts";

// Guards against one id in two spellings: what the kernel writes and compares is in lower case.
test("an id is a UUID in lower case", () => {
  const id = "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a";
  assert.equal(isUuid(id), true);
  for (const other of [id.toUpperCase(), `${id}\n`, ` ${id}`, id.replaceAll("-", ""), ""]) {
    assert.equal(isUuid(other), false, other);
  }
});

// Guards against rows that are older or younger than they were made.
test("an id tells when it was made, and what is none is refused", () => {
  assert.equal(timeOfId("01a1faaa-24f0-7000-b264-940ff111ffb0"), 0x01a1faaa24f0);
  for (const wrong of ["", "x", "01a1faaa-24f0-4000-b264-940ff111ffb0"]) {
    assert.throws(() => timeOfId(wrong), TypeError);
  }
});
