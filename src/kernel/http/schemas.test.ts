import assert from "node:assert/strict";
import { test } from "node:test";
import { type Static, Type } from "typebox";
import { changesOf, line, newOf, optional, stamps, strict, text } from "./schemas.ts";
import { createValidatorCompiler } from "./validation.ts";

const members = {
  name: line(20, "What it is called.", "Deli"),
  note: text(10, "For people.", "Closed\non Mondays"),
  active: Type.Boolean({ description: "On sale.", examples: [true] }),
};
const New = newOf(members, ["name"], { title: "NewThing" });
const Changes = changesOf(members, { title: "ThingChanges" });
const Thing = strict({ ...members, ...stamps });

const compile = createValidatorCompiler();
const accepts = (schema: object, body: unknown) =>
  compile({ schema, method: "POST", url: "/", httpPart: "body" })(body) === true;

// Guards against a creation without what it needs, and against a change that says nothing.
test("a new thing needs its required members, a change any one; neither takes others", () => {
  assert.ok(accepts(New, { name: "Deli" }));
  assert.ok(accepts(New, { name: "Deli", note: "", active: false }));
  assert.ok(!accepts(New, { note: "x" }));
  assert.ok(!accepts(New, { name: "Deli", version: 1 }));
  assert.ok(accepts(Changes, { active: false }));
  assert.ok(!accepts(Changes, {}));
  assert.ok(!accepts(Changes, { id: "x" }));
  assert.deepEqual(New.required, ["name"]);
  assert.deepEqual(Object.keys(New.properties), Object.keys(members));
  // What is made of the members leaves them as they were.
  assert.deepEqual(strict(members).required, ["name", "note", "active"]);
  assert.equal(strict(optional(members)).required, undefined);
});

// Guards against a name that looks like another one, or breaks the line that it is printed on.
test("a line has no breaks, and no blanks around it; a text may", () => {
  const Line = strict({ name: members.name });
  for (const name of ["a", "a b", "Dörte's", "x".repeat(20)]) assert.ok(accepts(Line, { name }));
  for (const name of ["", " ", " a", "a ", "a\nb", "a\r", "\u00a0a", "a\u2028b", "x".repeat(21)]) {
    assert.ok(!accepts(Line, { name }), JSON.stringify(name));
  }
  const Text = strict({ note: members.note });
  for (const note of ["", " a\nb ", "x".repeat(10)]) assert.ok(accepts(Text, { note }));
  assert.ok(!accepts(Text, { note: "x".repeat(11) }));
});

// Guards against helpers that lose the types which a service's stores and rules are held against.
test("types follow: what is required, what may be left out, what is there", () => {
  const full: Static<typeof New> = { name: "Deli" };
  // @ts-expect-error: the name must be given
  const nameless: Static<typeof New> = { note: "x" };
  // @ts-expect-error: a change has the members' types
  const change: Static<typeof Changes> = { active: "no" };
  // @ts-expect-error: a thing as it is stored has all its members
  const thing: Static<typeof Thing> = { name: "Deli", note: "", active: true, version: 1 };
  assert.ok(full && nameless && change && thing);
});
