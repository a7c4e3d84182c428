import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { contentHash } from "./connectors/hash.ts";
import { decimalOf, decimalText, isExactNumber, parseExactJson } from "./rules/decimals.ts";
import { ancestorsOf, canonicalJson, deduplicate, flatten, keyOf } from "./rules/records.ts";

const columnsOf = (json: string) => flatten(parseExactJson(json) as Record<string, unknown>);

// Guards against the same record stored twice because its source wrote it in another order.
test("a hash depends on content, not on order, spelling or whitespace", () => {
  const one = parseExactJson('{"b": 1.0, "a": {"y": 10e-1, "x": [1, 2]}}');
  const same = parseExactJson('{ "a": { "x": [1.00, 2], "y": 1 }, "b": 1 }');
  assert.equal(contentHash(one), contentHash(same));
  assert.match(contentHash(one), /^[0-9a-f]{64}$/);
  const others = [
    '{"b": 1, "a": {"y": 1, "x": [2, 1]}}',
    '{"b": "1", "a": {"y": 1, "x": [1, 2]}}',
    '{"b": 1, "a": {"y": 1, "x": [1, 2], "z": null}}',
    '{"b": 1.0000000000000000001, "a": {"y": 1, "x": [1, 2]}}',
  ];
  for (const other of others) {
    assert.notEqual(contentHash(parseExactJson(other)), contentHash(one), other);
  }
});

// Guards against a canonical text that another value has as well, or that does not say the value.
test("a canonical text says the value and is its own canonical text", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const text = canonicalJson(value);
      // The one difference that JSON makes and a value does not: minus zero.
      const plain = JSON.parse(JSON.stringify(value)) as unknown;
      assert.deepEqual(JSON.parse(text), plain);
      assert.equal(canonicalJson(parseExactJson(text)), text);
    }),
    { numRuns: 300 },
  );
});

// Guards against a record that ends the process by its nesting.
test("what is nested too deep is refused, not recursed into", () => {
  const deep = JSON.parse(`${"[".repeat(5_000)}${"]".repeat(5_000)}`) as unknown;
  assert.throws(() => canonicalJson(deep), RangeError);
});

// Guards against prices whose last digits a float has rounded away.
test("numbers keep their digits", () => {
  const text = '{"a":0.12345678901234567890,"b":12345678901234567890,"c":1e400,"d":1.5,"e":1e-7}';
  const { a, b, c, d, e } = parseExactJson(text) as Record<string, unknown>;
  assert.equal(decimalOf(a), "0.1234567890123456789");
  assert.equal(decimalOf(b), "12345678901234567890");
  assert.equal(decimalOf(c), null, "no such number is believed");
  assert.ok(isExactNumber(c), "but it is kept as it came");
  assert.deepEqual([decimalOf(d), decimalOf(e)], ["1.5", "0.0000001"]);
  assert.equal(decimalOf("1.5"), null, "a text is no number");
  assert.ok(JSON.stringify({ b }).includes("12345678901234567890"));
});

// Guards against decimal texts that differ for one number.
test("decimal texts are unique", () => {
  const cases: [string, string | null][] = [
    ["0", "0"],
    ["-0.00", "0"],
    ["007", "7"],
    ["1.2300", "1.23"],
    ["1e3", "1000"],
    ["12.5e-3", "0.0125"],
    ["-1.5E+2", "-150"],
    ["1e39", `1${"0".repeat(39)}`],
    ["1e40", null],
    ["1e-40", `0.${"0".repeat(39)}1`],
    ["1e-41", null],
    ["1e9999", null],
    ["", null],
    ["NaN", null],
    ["Infinity", null],
    ["1,5", null],
    ["0x10", null],
    [" 1", null],
  ];
  for (const [text, expected] of cases) assert.equal(decimalText(text), expected, text);
  fc.assert(
    fc.property(fc.double({ noNaN: true, min: -1e30, max: 1e30 }), (value) => {
      const text = decimalText(String(value));
      if (text !== null) assert.equal(Number(text), value === 0 ? 0 : value);
    }),
  );
});

// Guards against columns of two names that become one.
test("nested members become dotted columns", () => {
  const columns = columnsOf('{"a.b":1,"a":{"b":2,"c":{"d":[3]},"e":{}},"f":null}');
  assert.deepEqual(
    [...columns],
    [
      ["a\\.b", 1],
      ["a.b", 2],
      ["a.c.d", [3]],
      ["a.e", {}],
      ["f", null],
    ],
  );
  assert.deepEqual(ancestorsOf("a.c.d"), ["a", "a.c"]);
  assert.deepEqual(ancestorsOf("a\\.b"), []);
});

// Guards against records that overwrite each other because neither has a key.
test("a key is a scalar that is there", () => {
  const columns = columnsOf('{"id":"btc","n":1.0,"no":null,"empty":"","list":[1],"t":true}');
  assert.equal(keyOf(columns, ["id"]), "btc");
  assert.equal(keyOf(columns, ["n"]), "1");
  assert.equal(keyOf(columns, ["id", "t"]), '["btc","true"]');
  for (const bad of ["no", "empty", "list", "missing"]) {
    assert.equal(keyOf(columns, ["id", bad]), null, bad);
  }
  assert.equal(keyOf(columns, []), null);
  assert.equal(keyOf(new Map([["id", "x".repeat(501)]]), ["id"]), null);
});

// Guards against a page that says a thing twice and counts it twice.
test("of one key the last record of a page counts", () => {
  const records = ["a1", "b1", "a2"].map((name) => ({ key: name.slice(0, 1), name }));
  const { kept, duplicates } = deduplicate(records);
  assert.deepEqual(
    kept.map(({ name }) => name),
    ["b1", "a2"],
  );
  assert.deepEqual(
    duplicates.map(({ name }) => name),
    ["a1"],
  );
});
