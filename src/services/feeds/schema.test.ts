import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseExactJson } from "./rules/decimals.ts";
import { flatten } from "./rules/records.ts";
import {
  columnTypes,
  emptySchema,
  inferType,
  isMoment,
  jsonTypes,
  observe,
  shapeOf,
  textTypes,
  type TypeReader,
  typeOf,
  typeOfText,
} from "./rules/schema.ts";

const inferredAs = (reader: TypeReader, values: readonly unknown[]) => {
  const observed = observe(
    values.map((value) => flatten({ value })),
    reader,
  );
  const column = observed.get("value");
  return column === undefined ? null : inferType(column, reader);
};
const inferred = (...values: unknown[]) => inferredAs(jsonTypes, values);

// Guards against a column that calls a price a text or a rank a price.
test("values have the type that they look like", () => {
  const cases: [string, string][] = [
    ["null", "unknown"],
    ["true", "boolean"],
    ["12", "integer"],
    ["12.0", "integer"],
    ["1234567890123456789", "decimal"],
    ["0.5", "decimal"],
    ["0.12345678901234567890", "decimal"],
    ['"2026-06-01T10:00:00.000Z"', "timestamp"],
    ['"2026-06-01T10:00:00+0200"', "timestamp"],
    ['"2026-02-30T10:00:00Z"', "text"],
    ['"2026-06-01"', "text"],
    ['"12"', "text"],
    ["[1]", "json"],
    ["{}", "json"],
  ];
  for (const [json, type] of cases) assert.equal(typeOf(parseExactJson(json)), type, json);
  assert.ok(!isMoment(`2026-06-01T10:00:00.${"0".repeat(50)}Z`));
});

// Guards against a postal code that loses its zero because it looks like a number.
test("cells of a file are read as what they say, codes as text", () => {
  const cases: [string, string][] = [
    ["", "unknown"],
    ["12", "integer"],
    ["-1.5", "decimal"],
    ["0", "integer"],
    ["0.5", "decimal"],
    ["00123", "text"],
    ["true", "boolean"],
    ["2026-06-01T10:00:00Z", "timestamp"],
    ["NaN", "text"],
  ];
  for (const [text, type] of cases) assert.equal(typeOfText(text), type, text);
});

// Guards against a type that depends on which record came first.
test("a new column has the type that most of its values can have", () => {
  assert.equal(inferred(1, null, 2), "integer");
  assert.equal(inferred(1, 1.5), "decimal");
  assert.equal(inferred(null, null), "unknown");
  assert.equal(inferred("x", 1, 2.5, 3), "decimal");
  assert.equal(inferred(1, "x", "y"), "text");
  assert.equal(inferred("2026-06-01T10:00:00Z", "soon"), "text");
  assert.equal(inferredAs(textTypes, ["12", "", "1.5"]), "decimal");
  assert.equal(inferredAs(textTypes, ["12", "n/a", "13", "14"]), "text", "all cells are text");
});

// Guards against a widening that changes values or that goes back.
test("widening keeps what it has and joins only numbers", () => {
  const types = fc.constantFrom(...columnTypes);
  fc.assert(
    fc.property(types, types, types, (column, one, two) => {
      const { widen } = jsonTypes;
      assert.equal(widen(column, column), column);
      const wider = widen(column, one);
      if (wider === null) return;
      assert.equal(widen(wider, one), wider, "it takes the same value again");
      assert.equal(widen(wider, column), wider, "and what it held");
      const widest = widen(wider, two);
      if (widest !== null) assert.equal(widen(widest, one), widest);
    }),
  );
  const { widen } = jsonTypes;
  assert.equal(widen("integer", "decimal"), "decimal");
  assert.equal(widen("unknown", "json"), "json");
  assert.equal(widen("text", "timestamp"), "text", "a text may look like a moment");
  assert.equal(widen("timestamp", "text"), null, "a moment can't be just any text");
  assert.equal(widen("text", "decimal"), null);
  assert.equal(textTypes.widen("text", "decimal"), "text");
  assert.equal(textTypes.widen("decimal", "text"), null);
});

// Guards against a new schema version for every page because counts have grown.
test("two schemas are one where their shape is", () => {
  const column = { name: "a", type: "text", seen: 1, of: 1 } as const;
  const other = { name: "b", type: "integer", seen: 1, of: 1 } as const;
  const schema = { ...emptySchema(["a"]), columns: [column, other] };
  const shape = shapeOf(schema);
  assert.equal(shapeOf({ ...schema, version: 9, columns: [other, { ...column, of: 7 }] }), shape);
  assert.notEqual(shapeOf({ ...schema, aliases: { c: "a" } }), shape);
  assert.notEqual(shapeOf({ ...schema, key: ["b"] }), shape);
  assert.notEqual(shapeOf({ ...schema, columns: [{ ...column, type: "json" }, other] }), shape);
});
