import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Problem } from "../errors.ts";
import { parseJson } from "./json.ts";

const limits = { depthMax: 4, stringCharsMax: 100 };

function refusal(text: string) {
  try {
    parseJson(text, limits);
  } catch (error) {
    assert.ok(error instanceof Problem, String(error));
    const [fault] = error.options.errors ?? [];
    return { status: error.status, code: error.code, ...fault };
  }
  return null;
}

// Guards against a body that two readers understand differently, or that PostgreSQL can't hold.
test("what JSON.parse lets through and we don't is refused by its path", () => {
  const invalid: [string, string, RegExp][] = [
    ['{"a":1,"b":2,"a":3}', "/a", /twice/],
    ['{"a":1,"\\u0061":2}', "/a", /twice/],
    ['{"x":[{"a":1},{"b":1,"b":2}]}', "/x/1/b", /twice/],
    ['{"a/b~":{"c":1,"c":1}}', "/a~1b~0/c", /twice/],
    ['{"__proto__":{"admin":true}}', "/__proto__", /named/],
    ['{"\\u005f_proto__":1}', "/__proto__", /named/],
    ['{"a":[{"__proto__":null}]}', "/a/0/__proto__", /named/],
    ['{"constructor":{"prototype":{}}}', "/constructor/prototype", /named/],
    ['{"a":"x\\u0000y"}', "/a", /NUL/],
    ['{"a":[1,"\\u0000"]}', "/a/1", /NUL/],
    ['{"a\\u0000":1}', "/a\0", /NUL/],
    ['{"a":"\\ud800"}', "/a", /surrogate/],
    ['{"a":"\\udc00\\ud800"}', "/a", /surrogate/],
    [`{"a":"${"x".repeat(101)}"}`, "/a", /longer than 100/],
    [`{"${"k".repeat(101)}":1}`, `/${"k".repeat(64)}`, /longer than 100/],
    ['"\\u0000"', "", /NUL/],
  ];
  for (const [text, path, message] of invalid) {
    const found = refusal(text);
    assert.equal(found?.status, 422, text);
    assert.equal(found?.path, path, text);
    assert.match(String(found?.message), message, text);
  }
});

// Guards against a stack or memory spent on nesting, and against reading on beyond the limit.
test("nesting is refused beyond the limit, however it is spelled", () => {
  assert.deepEqual(parseJson("[[[[1]]]]", limits), [[[[1]]]]);
  assert.deepEqual(parseJson('{"a":[{"b":[]}],"c":[[[]]]}', limits), { a: [{ b: [] }], c: [[[]]] });
  for (const text of ["[[[[[1]]]]]", '{"a":{"a":{"a":{"a":{}}}}}', "[".repeat(1_000_000)]) {
    assert.equal(refusal(text)?.code, "ERR_REQUEST_TOO_DEEP");
  }
  assert.equal(refusal('["[[[[[[[["]'), null, "brackets inside a string are text");
});

// Guards against bad syntax that is reported as something else, or that the scan trips over.
test("bad syntax is malformed", () => {
  const bad = [
    '{"a":1',
    '{"a":1,}',
    "{'a':1}",
    "nul",
    '"\\x"',
    '"open',
    "[1 2]",
    "]",
    "}{",
    "\ufeff{}",
  ];
  for (const text of [...bad, '{"a":"\u0001"}', "{} {}", '{"a":NaN}', '{"a":01}', " "]) {
    assert.equal(refusal(text)?.code, "ERR_REQUEST_MALFORMED", JSON.stringify(text));
  }
});

// Guards against the scan refusing, or changing, anything that is good.
test("every other value arrives as JSON.parse has it", () => {
  const name = fc
    .string({ maxLength: 20 })
    .filter((key) => key !== "__proto__" && key !== "prototype");
  const text = fc
    .string({ maxLength: 50, unit: "grapheme" })
    .filter((value) => !value.includes("\0"));
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small", maxDepth: 6 },
      text,
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(
        name.filter((key) => !key.includes("\0")),
        tie("value"),
        { maxKeys: 4 },
      ),
    ),
  }));
  const spacing = fc.constantFrom(undefined, 1, "\t");
  fc.assert(
    fc.property(value, spacing, (example, space) => {
      const written = JSON.stringify(example, null, space);
      const read = parseJson(written, { depthMax: 32, stringCharsMax: 10_000 });
      assert.deepEqual(read, JSON.parse(written));
    }),
    { numRuns: 300 },
  );
});
