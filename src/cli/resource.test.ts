import assert from "node:assert/strict";
import { test } from "node:test";
import { describeChange } from "./resource.ts";

// Guards against a history that hides what was changed, or tells of bookkeeping only.
test("a change is told by the members that differ", () => {
  const before = { name: "Deli", active: true, tags: ["a"], version: 1, updatedAt: "x" };
  const after = { name: "Corner\nDeli", active: false, tags: ["a"], version: 2, updatedAt: "y" };
  assert.equal(describeChange(before, after), 'name: "Deli" → "Corner↵Deli"; active: yes → no');
  assert.equal(describeChange(before, { ...before, version: 2 }), "nothing");
  assert.equal(describeChange(null, after), "made");
  assert.equal(describeChange(before, null), "deleted");
});
