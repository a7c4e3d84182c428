import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isoOf } from "../clock.ts";
import { parseArray } from "./arrays.ts";
import { alpha, startFixture } from "./fixture.ts";
import { encodeValue, parserFor, readerFor } from "./values.ts";

const [timestamp, timestampTz] = [1114, 1184];
const read = (oid: number, text: string) => (parserFor(oid) ?? ((same) => same))(text);

// Guards against a value that comes back as another value or another type than it went in.
test("every type round-trips through PostgreSQL", async (t) => {
  const { db } = await startFixture(t);
  const cases: [type: string, value: unknown, expected?: unknown][] = [
    ["text", "O'Brien <3"],
    ["text", ""],
    ["text", "☃ \u{1f6a2} \\ \" ' $1 -- ; \t\n"],
    ["text", "x".repeat(200_000)],
    ["text", "☃".repeat(300_000)],
    ["text", null],
    ["text", undefined, null],
    ["boolean", true],
    ["boolean", false],
    ["smallint", -32768],
    ["integer", 2147483647],
    ["bigint", Number.MAX_SAFE_INTEGER],
    ["bigint", -Number.MAX_SAFE_INTEGER],
    ["bigint", 12n, 12],
    ["oid", 4294967295],
    ["real", 0.5],
    ["double precision", 0.1 + 0.2],
    ["double precision", Number.POSITIVE_INFINITY],
    ["double precision", Number.NaN],
    ["numeric", "12345678901234567890.123456789"],
    ["numeric", 1.5, "1.5"],
    ["uuid", alpha.id],
    ["date", "2026-02-28"],
    ["date", "12026-02-28", "+012026-02-28"],
    ["time", "23:59:59.999999"],
    ["timestamptz", "2026-11-20T12:00:00.123456Z"],
    ["timestamptz", "2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000000Z"],
    ["timestamptz", "2026-11-20T12:00:00.5+02:00", "2026-11-20T10:00:00.500000Z"],
    ["timestamptz", new Date(Date.UTC(2026, 10, 20, 12, 0, 0, 7)), "2026-11-20T12:00:00.007000Z"],
    ["timestamptz", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"],
    ["timestamptz", "0044-03-15 12:00:00+00 BC", "-000043-03-15T12:00:00.000000Z"],
    ["timestamptz", "20000-01-01T00:00:00Z", "+020000-01-01T00:00:00.000000Z"],
    ["timestamptz", "infinity"],
    ["timestamptz", "-infinity"],
    ["timestamp", "2026-11-20T12:00:00.123456", "2026-11-20T12:00:00.123456Z"],
    ["interval", "1 day 02:00:00", "P1DT2H"],
    ["bytea", Buffer.from([0, 255, 39, 92])],
    ["bytea", new Uint8Array([1, 2]), Buffer.from([1, 2])],
    ["jsonb", { name: "O'Brien <3", list: [1, null, { deep: true }], __proto__x: 1 }],
    ["jsonb", JSON.stringify([1, "two"]), [1, "two"]],
    ["json", "null", null],
    ["inet", "10.0.0.1"],
    ["integer[]", [1, null, -3]],
    ["integer[]", []],
    [
      "integer[]",
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ["bigint[]", [1, Number.MAX_SAFE_INTEGER]],
    ["text[]", ["", "NULL", null, 'a"b', "c\\d", "e,f", "{g}", "O'Brien <3", " h "]],
    ["uuid[]", [alpha.id]],
    ["boolean[]", [true, false, null]],
    ["bytea[]", [Buffer.from([0, 255]), null]],
    ["jsonb[]", [{ a: [1] }, null]],
    ["numeric[]", ["1.50", "2"]],
    ["date[]", ["2026-01-01"]],
    ["timestamptz[]", ["2026-11-20T12:00:00.123456Z", null]],
  ];
  const wide = "☃".repeat(100_000);
  assert.deepEqual((await db.query(alpha, `select '${wide}' as it`)).rows, [{ it: wide }]);
  for (const [type, value, expected = value] of cases) {
    const { rows } = await db.query(alpha, `select $1::${type} as it`, [value]);
    assert.deepEqual(rows, [{ it: expected }], `${type} ${String(value).slice(0, 50)}`);
  }
});

// Guards against a bigint that arrives as a nearby number, and a broken connection after it.
test("a bigint that no number can hold is an error, never a near miss", async (t) => {
  const { db, database } = await startFixture(t, { poolMax: 1 });
  const unsafe = "9007199254740993";
  await assert.rejects(db.query(alpha, "select $1::bigint as it", [unsafe]), RangeError);
  await assert.rejects(
    db.inTenant(alpha, (tx) => tx.query("select array[$1::bigint] as it", [unsafe])),
    RangeError,
  );
  assert.equal((await db.query(alpha, "select $1::bigint::text as it", [unsafe])).rowCount, 1);
  assert.equal(database.stats().total, 1);
});

// Guards against a value that closes its own quotes, or a text that the database would cut short.
test("any text survives as text, as array element and as JSON", async (t) => {
  const { db } = await startFixture(t);
  // PostgreSQL knows no zero character, and UTF-8 no lone surrogate.
  const text = fc.string({ unit: "binary" }).filter((one) => !one.includes("\0"));
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.option(text)), async (one, many) => {
      const { rows } = await db.query(
        alpha,
        "select $1::text as one, $2::text[] as many, $3::jsonb as both",
        [one, many, { one, many }],
      );
      assert.deepEqual(rows, [{ one, many, both: { one, many } }]);
    }),
    { numRuns: 150 },
  );
});

// Guards against a client that can break statements with a zero byte.
test("a zero byte in a value is a data error, in a text a programming error", async (t) => {
  const { db } = await startFixture(t);
  await assert.rejects(db.query(alpha, "select $1::text", ["a\0b"]), { code: "22021" });
  await assert.rejects(db.query(alpha, "select 1\0"), TypeError);
  await assert.rejects(db.query(alpha, "select $1", [Symbol("x")]), TypeError);
  await assert.rejects(db.query(alpha, "select $1", [() => 1]), TypeError);
  assert.equal((await db.query(alpha, "select 1 as it")).rows[0]?.it, 1);
});

// Guards against times that lose their microseconds or their zone on the way, and against texts of
// several lengths, which do not compare as their moments do.
test("timestamps become ISO 8601 in UTC, microseconds and all, without passing a Date", () => {
  assert.equal(read(timestampTz, "2026-11-20 12:00:00+00"), "2026-11-20T12:00:00.000000Z");
  assert.equal(read(timestampTz, "2026-11-20 12:00:00.1+00"), "2026-11-20T12:00:00.100000Z");
  assert.equal(read(timestampTz, "0001-01-01 00:00:00+00 BC"), "0000-01-01T00:00:00.000000Z");
  assert.equal(read(timestampTz, "infinity"), "infinity");
  const instant = fc.date({
    min: new Date("0001-01-01"),
    max: new Date("9999-12-31"),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(instant, (date) => {
      // PostgreSQL leaves out zeros at the end of the fraction.
      const text = date
        .toISOString()
        .replace("T", " ")
        .replace(/\.?0*Z$/, "");
      assert.equal(read(timestampTz, `${text}+00`), isoOf(date.getTime()));
      assert.equal(read(timestamp, text), isoOf(date.getTime()));
    }),
  );
});

// Guards against a column whose name becomes code, or changes what kind of object a row is.
test("a column's name is only ever a member's name", () => {
  const names = [
    "__proto__",
    "constructor",
    'a"b',
    "a`${1}",
    "\u2028",
    "toString",
    "a b",
    "]});//",
  ];
  const row = readerFor(names.map((name) => ({ name, dataTypeID: 25 })))(names);
  assert.deepEqual(Object.keys(row), names);
  for (const name of names) assert.equal(Object.getOwnPropertyDescriptor(row, name)?.value, name);
  assert.equal(Object.getPrototypeOf(row), Object.prototype);
  fc.assert(
    fc.property(fc.uniqueArray(fc.string({ unit: "binary" })), (columns) => {
      const made = readerFor(columns.map((name) => ({ name, dataTypeID: 25 })))(columns);
      for (const name of columns) {
        assert.equal(Object.getOwnPropertyDescriptor(made, name)?.value, name);
      }
    }),
  );
});

// Guards against an array's text that is read past its end or without one.
test("arrays are read back as they were written, and broken ones refused", () => {
  const element = fc.option(fc.string({ unit: "binary" }));
  fc.assert(
    fc.property(fc.array(fc.array(element, { minLength: 1 }), { minLength: 1 }), (array) => {
      assert.deepEqual(
        parseArray(encodeValue(array) as string, (text) => text),
        array,
      );
    }),
  );
  assert.deepEqual(parseArray("[0:1]={1,2}", Number), [1, 2]);
  for (const broken of ["{", "{1", "{1,", '{"1', "{1}2", "{1;2"]) {
    assert.throws(() => parseArray(broken, (text) => text), SyntaxError, broken);
  }
});
