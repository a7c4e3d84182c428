import assert from "node:assert/strict";
import { test } from "node:test";
import { contentHash } from "./connectors/hash.ts";
import { type Contract, defaultContract, resolveContract } from "./rules/contract.ts";
import { planPage } from "./rules/page.ts";
import { flatten } from "./rules/records.ts";
import {
  columnsMax,
  emptySchema,
  jsonTypes,
  type StreamSchema,
  textTypes,
} from "./rules/schema.ts";

const record = (raw: Record<string, unknown>) => ({
  columns: flatten(raw),
  hash: contentHash(raw),
});
const coins = (count: number, more: (at: number) => object = () => ({ price: 1.5 })) =>
  Array.from({ length: count }, (_, at) => record({ id: `c${at}`, name: "Coin", ...more(at) }));

interface Given {
  schema?: StreamSchema;
  contract?: Partial<Contract>;
  renames?: Record<string, string>;
}

const plan = (records: ReturnType<typeof coins>, { schema, contract, renames }: Given = {}) =>
  planPage({
    schema: schema ?? emptySchema(["id"]),
    contract: resolveContract({ stream: contract }),
    records,
    types: jsonTypes,
    ...(renames && { renames }),
  });

const known = plan(coins(100)).schema;
const typesOf = ({ columns }: StreamSchema) =>
  Object.fromEntries(columns.map(({ name, type }) => [name, type]));
const codes = (result: ReturnType<typeof plan>) =>
  result.deadLetters.map(({ code, path, scope }) => `${code} ${path} ${scope}`);

/** Each record is a row or one dead letter of a whole record. */
function assertNothingLost(result: ReturnType<typeof plan>, count: number) {
  const dead = result.deadLetters.filter(({ scope }) => scope === "record");
  const at = [...result.rows, ...dead].map(({ index }) => index).sort((a, b) => a - b);
  assert.deepEqual(
    at,
    Array.from({ length: count }, (_, index) => index),
  );
}

// Guards against a contract that refuses the very first page of a stream.
test("the first page evolves whatever the contract says", () => {
  const frozen = { columnAdded: "freeze", typeChanged: "freeze" } as const;
  const result = plan(coins(3), { contract: frozen });
  assert.equal(result.violation, null);
  assert.equal(result.schema.version, 1);
  assert.deepEqual(typesOf(result.schema), { id: "text", name: "text", price: "decimal" });
  assert.equal(result.rows.length, 3);
});

// Guards against a new version for every page.
test("a page of the known shape changes nothing but counts", () => {
  const result = plan(coins(20), { schema: known });
  assert.deepEqual([result.changes, result.deadLetters], [[], []]);
  assert.equal(result.schema.version, known.version);
  assert.deepEqual(plan([], { schema: known }).schema.version, known.version);
});

// Guards against a column that arrives unnoticed, or that costs more than its mode says.
test("a column added, by each mode", () => {
  const page = coins(12, (at) => ({ price: 1.5, ...(at < 4 && { rank: at }) }));
  const by = (columnAdded: Contract["columnAdded"]) => {
    const result = plan(page, { schema: known, contract: { columnAdded } });
    assertNothingLost(result, 12);
    assert.deepEqual(result.changes, [
      { entity: "columnAdded", column: "rank", mode: columnAdded, records: 4 },
    ]);
    return result;
  };
  const evolved = by("evolve");
  assert.equal(typesOf(evolved.schema).rank, "integer");
  assert.equal(evolved.schema.version, 2);
  assert.equal(by("freeze").violation?.column, "rank");
  const rows = by("discard_row");
  assert.equal(rows.rows.length, 8);
  assert.deepEqual(codes(rows), Array(4).fill("column_added rank record"));
  const values = by("discard_value");
  assert.equal(values.rows.length, 12);
  assert.ok(values.rows.every((row) => !row.values.has("rank")));
  assert.deepEqual(codes(values), Array(4).fill("column_added rank value"));
  for (const kept of [rows, values]) assert.equal(kept.schema.version, known.version);
});

// Guards against a column that is dropped because its source forgot it, or that is missed for no
// reason.
test("a column removed, by each mode; it stays in the schema", () => {
  const page = coins(12, () => ({}));
  const by = (columnRemoved: Contract["columnRemoved"]) => {
    const result = plan(page, { schema: known, contract: { columnRemoved } });
    assertNothingLost(result, 12);
    assert.equal(typesOf(result.schema).price, "decimal");
    return result;
  };
  for (const mode of ["evolve", "discard_value"] as const) {
    const result = by(mode);
    assert.equal(result.rows.length, 12);
    assert.ok(result.schema.columns.find(({ name }) => name === "price")?.isAbsent);
    const again = plan(page, { schema: result.schema });
    assert.deepEqual(again.changes, [], "said once");
    const back = plan(coins(12), { schema: result.schema });
    assert.ok(!back.schema.columns.find(({ name }) => name === "price")?.isAbsent);
  }
  assert.equal(by("freeze").violation?.entity, "columnRemoved");
  const rows = by("discard_row");
  assert.equal(rows.rows.length, 0);
  assert.deepEqual(codes(rows)[0], "column_removed price record");
});

// Guards against a removal seen in a short page, a rare column or an object that is null.
test("what is only rare or null is not removed", () => {
  assert.deepEqual(
    plan(
      coins(9, () => ({})),
      { schema: known },
    ).changes,
    [],
  );
  const rare = plan(
    coins(100, (at) => (at === 0 ? { price: 1.5, roi: { times: 2 } } : { price: 1 })),
  );
  assert.deepEqual(plan(coins(20), { schema: rare.schema }).changes, []);
  const nested = plan(coins(100, () => ({ price: 1.5, roi: { times: 2 } })));
  const nulls = plan(
    coins(20, () => ({ price: 1.5, roi: null })),
    { schema: nested.schema },
  );
  assert.deepEqual(
    nulls.changes.map(({ entity, column }) => [entity, column]),
    [["columnAdded", "roi"]],
  );
});

// Guards against a renamed column whose history ends.
test("a column renamed, by each mode", () => {
  const page = coins(12, () => ({ current_price: 2.5 }));
  const renames = { current_price: "price" };
  const by = (columnRenamed: Contract["columnRenamed"]) => {
    const result = plan(page, { schema: known, renames, contract: { columnRenamed } });
    assertNothingLost(result, 12);
    assert.deepEqual(result.changes, [
      {
        entity: "columnRenamed",
        column: "price",
        to: "current_price",
        mode: columnRenamed,
        records: 12,
      },
    ]);
    return result;
  };
  const evolved = by("evolve");
  assert.deepEqual(evolved.schema.aliases, renames);
  assert.ok(evolved.rows.every(({ values }) => values.get("price") === 2.5));
  assert.ok(!("current_price" in typesOf(evolved.schema)));
  const later = plan(page, { schema: evolved.schema });
  assert.deepEqual([later.changes, later.rows[0]?.values.get("price")], [[], 2.5]);
  assert.equal(by("freeze").violation?.to, "current_price");
  assert.equal(by("discard_row").rows.length, 0);
  const values = by("discard_value");
  assert.equal(values.rows.length, 12);
  assert.equal(codes(values)[0], "column_renamed current_price value");
});

// Guards against an alias that overwrites the column that it stands for.
test("where both names have values that differ, one is a dead letter", () => {
  const schema = { ...known, aliases: { current_price: "price" } };
  const result = plan(
    coins(2, (at) => ({ price: 1.5, current_price: at === 0 ? 1.5 : 9 })),
    {
      schema,
    },
  );
  assert.deepEqual(codes(result), ["column_renamed current_price value"]);
  assert.deepEqual(
    result.rows.map(({ values }) => values.get("price")),
    [1.5, 1.5],
  );
});

// Guards against a price that turns into text and is stored as one.
test("a type changed, by each mode", () => {
  const page = coins(12, (at) => ({ price: at < 3 ? "1.5" : 2 }));
  const by = (typeChanged: Contract["typeChanged"]) => {
    const result = plan(page, { schema: known, contract: { typeChanged } });
    assertNothingLost(result, 12);
    assert.equal(typesOf(result.schema).price, "decimal");
    assert.deepEqual(result.changes, [
      { entity: "typeChanged", column: "price", to: "text", mode: typeChanged, records: 3 },
    ]);
    return result;
  };
  const evolved = by("evolve");
  assert.equal(typesOf(evolved.schema).price__text, "text");
  assert.equal(evolved.rows[0]?.values.get("price__text"), "1.5");
  assert.ok(!evolved.rows[0]?.values.has("price"));
  assert.equal(by("freeze").violation?.entity, "typeChanged");
  const rows = by("discard_row");
  assert.deepEqual(codes(rows), Array(3).fill("type_changed price record"));
  const values = by("discard_value");
  assert.equal(values.rows.length, 12);
  assert.deepEqual(codes(values), Array(3).fill("type_changed price value"));
  assert.equal(defaultContract.typeChanged, "discard_row");
});

// Guards against a source taken for broken because a whole number got a fraction.
test("a number that gets a fraction is widened, even where types are frozen", () => {
  const whole = plan(coins(20, () => ({ price: 1 }))).schema;
  const result = plan(coins(20), { schema: whole, contract: { typeChanged: "freeze" } });
  assert.equal(result.violation, null);
  assert.equal(typesOf(result.schema).price, "decimal");
  assert.deepEqual(
    result.changes.map(({ entity }) => entity),
    ["columnWidened"],
  );
});

// Guards against a record that is dead twice, once as a whole and once for a value.
test("a record that is dropped has one dead letter, whatever else is wrong with it", () => {
  const contract = { columnAdded: "discard_value", typeChanged: "discard_row" } as const;
  const page = coins(2, (at) => (at === 0 ? { rank: 1, price: "x", id: null } : { price: 1.5 }));
  const result = plan(page, { schema: known, contract });
  assert.deepEqual(codes(result), ["key_lost id record"]);
  assertNothingLost(result, 2);
});

// Guards against records that overwrite each other, and against a key that nobody has any more.
test("a key lost, by each mode; a single record without one is a dead letter", () => {
  const page = Array.from({ length: 12 }, (_, at) => record({ name: `N${at}`, price: 1.5 }));
  const by = (keyLost: Contract["keyLost"]) => {
    const result = plan(page, { schema: known, contract: { keyLost } });
    assertNothingLost(result, 12);
    assert.equal(result.changes[0]?.entity, "keyLost");
    return result;
  };
  assert.equal(by("freeze").violation?.column, "id");
  for (const mode of ["discard_row", "discard_value"] as const) {
    assert.deepEqual(codes(by(mode)), Array(12).fill("key_lost id record"));
  }
  const evolved = by("evolve");
  assert.equal(evolved.violation, null);
  assert.equal(new Set(evolved.rows.map(({ key }) => key)).size, 12);
  const one = plan([...coins(11), record({ name: "x", price: 1.5 })], { schema: known });
  assert.equal(one.violation, null);
  assert.deepEqual(codes(one), ["key_lost id record"]);
  assert.equal(plan(page).violation?.entity, "keyLost", "not even a first page is without a key");
});

// Guards against a source that makes a column of every value.
test("columns have an end, and what exceeds it is told", () => {
  const wide = Object.fromEntries(Array.from({ length: columnsMax + 5 }, (_, at) => [`n${at}`, 1]));
  const result = plan([record({ id: "a", ...wide })]);
  assert.equal(result.schema.columns.length, columnsMax);
  assert.equal(codes(result).length, 6);
  assert.match(codes(result)[0] ?? "", /^too_many_columns n\d+ value$/);
  assertNothingLost(result, 1);
});

// Guards against a file whose cells are all of another type than its columns.
test("cells of text are typed by what they say", () => {
  const rows = (price: string) => [record({ id: "a", name: "7", price })];
  const input = { contract: defaultContract, types: textTypes };
  const first = planPage({ ...input, schema: emptySchema(["id"]), records: rows("1.5") });
  assert.equal(typesOf(first.schema).price, "decimal");
  const second = planPage({ ...input, schema: first.schema, records: rows("n/a") });
  assert.deepEqual(
    second.deadLetters.map(({ code }) => code),
    ["type_changed"],
  );
  const third = planPage({ ...input, schema: first.schema, records: rows("") });
  assert.deepEqual(third.deadLetters, []);
});

// Guards against the wrong one of three contracts.
test("a run's contract goes before its stream's, and that before its source's", () => {
  const resolved = resolveContract({
    run: { columnAdded: "freeze" },
    stream: { columnAdded: "discard_row", typeChanged: "evolve" },
    source: { typeChanged: "freeze", keyLost: "discard_row" },
  });
  assert.deepEqual(resolved, {
    columnAdded: "freeze",
    columnRemoved: "evolve",
    columnRenamed: "evolve",
    typeChanged: "evolve",
    keyLost: "discard_row",
  });
});
