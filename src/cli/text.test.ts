import assert from "node:assert/strict";
import { test } from "node:test";
import { formatRecord, formatTable } from "./table.ts";
import { briefly, displayWidth, fit, oneLine, pad, readable } from "./text.ts";

// Guards against a name in the database that rewrites somebody's terminal.
test("what would steer a terminal is shown instead of obeyed", () => {
  assert.equal(oneLine("a\u001b[31mb"), "a\\u001b[31mb");
  assert.equal(oneLine("a\r\nb\tc"), "a\\u000d↵b c");
  assert.equal(oneLine("\u202efdp.exe"), "\\u202efdp.exe");
  assert.equal(oneLine("O'Brien <3 ☕"), "O'Brien <3 ☕");
  assert.equal(readable({ a: "\u0007" }), '{"a":"\\u0007"}');
});

// Guards against columns that drift apart when a name is not English.
test("wide characters take two columns, marks above a letter none", () => {
  assert.equal(displayWidth("abc"), 3);
  assert.equal(displayWidth("日本"), 4);
  assert.equal(displayWidth("e\u0301"), 1);
  assert.equal(displayWidth("👩‍👧"), 2);
  assert.equal(fit("日本語", 5), "日本…");
  assert.equal(fit("abc", 3), "abc");
  assert.equal(displayWidth(pad("日", 4)), 4);
});

test("values read as a person would write them", () => {
  assert.equal(readable("2026-11-20T12:00:00.123456Z"), "2026-11-20 12:00:00Z");
  assert.equal(readable(null), "–");
  assert.equal(readable([]), "–");
  assert.equal(readable(["milk", "nuts"]), "milk, nuts");
  assert.equal(readable(false), "no");
});

// Guards against a column of thirty permissions that pushes every other off the screen.
test("of many names a few are told, and how many more there are", () => {
  assert.equal(briefly(["a", "b", "c", "d"]), "a, b, c, d");
  assert.equal(briefly(["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
  assert.equal(briefly(null), "–");
});

const rows = [
  { id: "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a", name: "Deli", stock: 5 },
  { id: "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5b", name: "日本 counter", stock: 1200 },
];
const columns = [
  { title: "Id", value: "id" },
  { title: "Name", value: "name" },
  { title: "Stock", value: "stock" },
];

// Guards against tables that can't be read, or cut when a program reads them.
test("columns are aligned, numbers to the right, nothing is cut without a terminal", () => {
  assert.deepEqual(formatTable(columns, rows), [
    "ID                                    NAME          STOCK",
    "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a  Deli              5",
    "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5b  日本 counter   1200",
  ]);
});

// Guards against wrapped lines, and against identifiers that can't be copied any more.
test("in a terminal no line is longer than it is wide, and ids give way last", () => {
  const long = [{ ...rows[0], name: "x".repeat(80) }];
  const narrow = formatTable(columns, long, { widthColumns: 60 });
  assert.ok(narrow.every((line) => displayWidth(line) <= 60));
  assert.match(narrow[1] ?? "", /^019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a {2}x+… /);
  const tiny = formatTable(columns, long, { widthColumns: 30 });
  assert.ok(tiny.every((line) => displayWidth(line) <= 30));
});

// Guards against a terminal narrower than any table, which must not hang or throw.
test("where nothing can give way any more the table is as narrow as it gets", () => {
  assert.equal(formatTable(columns, rows, { widthColumns: 3 }).length, 3);
});

test("one thing is shown by lines, with what is inside it indented", () => {
  assert.deepEqual(
    formatRecord({ id: "1", createdAt: "2026-11-20T12:00:00Z", tenant: { slug: "deli" } }),
    ["id          1", "created at  2026-11-20 12:00:00Z", "tenant", "  slug  deli"],
  );
});
