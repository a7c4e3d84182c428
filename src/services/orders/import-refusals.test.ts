import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal } from "./fixture.ts";
import { file, header, productsOf, row, startImports, upload } from "./fixtures/import.ts";
import { importColumns } from "./rules/import.ts";

// Guards against files that are half understood, and refusals that don't say what to mend.
test("a file that can't be taken is refused, saying where and why", async (t) => {
  const { admin, events } = await startImports(t, "shared");
  const bad = "422 ERR_ORDERS_IMPORT_BAD_HEADER";
  const files: [file: string | Buffer, expected: string, detail: RegExp][] = [
    ["", bad, /^The file is empty\. The first line names columns of sku, title, /],
    ["\ufeff", bad, /empty/],
    ["\n", `${bad} /1/ /1/sku /1/title /1/priceMinor /1/vatRate`, /sku is missing/],
    ["sku,title,vatRate\n", `${bad} /1/priceMinor`, /^priceMinor is missing\./],
    [`${header},price\n`, `${bad} /1/price`, /^price is not a column/],
    [`${header},sku\n`, `${bad} /1/sku`, /^sku stands there twice/],
    [
      header.toUpperCase(),
      `${bad} /1/SKU /1/TITLE /1/PRICEMINOR /1/VATRATE /1/sku /1/title \
/1/priceMinor /1/vatRate`,
      /SKU is not a column/,
    ],
    [
      header.replaceAll(",", ";"),
      `${bad} /1/${header.replaceAll(",", ";")} /1/sku /1/title \
/1/priceMinor /1/vatRate`,
      /separated by commas/,
    ],
    [`${header}\nA,"B,1,zero\n`, "400 ERR_REQUEST_MALFORMED /2", /^Line 2 .* no closing "/],
    [Buffer.from(file("A,Cr\xe8me,1,zero"), "latin1"), "400 ERR_REQUEST_MALFORMED /2", /UTF-8/],
    [file(`A,${"x".repeat(66_000)},1,zero`), "400 ERR_REQUEST_MALFORMED /2", /65536 bytes/],
    [Buffer.from("PK\x03\x04\0\0"), "400 ERR_REQUEST_MALFORMED", /a workbook/],
  ];
  for (const [content, expected, detail] of files) {
    for (const query of ["", "?partial=true", "?dryRun=true"]) {
      const refused = await upload(admin, content, query);
      assert.equal(refusal(refused), expected, String(content).slice(0, 60));
      assert.match(refused.body.detail, detail);
    }
  }
  const zipped = await upload(admin, "x", "", { "content-encoding": "gzip" });
  assert.equal(zipped.status, 415);
  const types = ["application/json", "text/plain", "application/vnd.ms-excel"];
  for (const type of types) {
    assert.equal((await upload(admin, "{}", "", { "content-type": type })).status, 415, type);
  }
  assert.equal((await upload(admin, file(), "?dry=1")).status, 422);
  assert.equal((await upload(admin, file())).body.rows, 0);
  assert.deepEqual([(await productsOf(admin)).size, (await events()).length], [0, 0]);
});

// Guards against rules that the API has and an import has not.
test("a row is held against the rules of the API, each fault by its column", async (t) => {
  const { admin } = await startImports(t, "shared");
  const good = ["A-1", "Roll", "", "", "475", "standard", "", "true"];
  const faults: [column: (typeof importColumns)[number], cell: string, message: RegExp][] = [
    ["sku", " ", /must not be empty/],
    ["sku", "x".repeat(101), /more than 100/],
    ["title", "", /must not be empty/],
    ["title", "two\nlines", /one line/],
    ["title", "x".repeat(256), /more than 255/],
    ["ingredients", "x".repeat(2_001), /more than 2000/],
    ["allergens", "milk;dairy", /dairy is not an allergen/],
    ["allergens", "milk;milk", /duplicate/],
    ["priceMinor", "", /must not be empty/],
    ["priceMinor", "-1", /whole number/],
    ["priceMinor", "£4", /whole number/],
    ["priceMinor", "9007199254740992", /<= 9007199254740991/],
    ["priceMinor", "9".repeat(21), /whole number/],
    ["vatRate", "20%", /one of "zero"/],
    ["vatRate", "", /must not be empty/],
    ["stock", "-1", /whole number of units/],
    ["stock", "1.5", /whole number of units/],
    ["stock", "2147483648", /<= 2147483647/],
    ["active", "maybe", /true or false/],
  ];
  const quote = (cell: string) => `"${cell}"`;
  const rows = faults.map(([column, cell]) =>
    good.with(importColumns.indexOf(column), cell).map(quote).join(","),
  );
  // A SKU that comes again is a fault of its own; here it is each row's own.
  const numbered = rows.map((text, at) => text.replace('"A-1"', `"A-${at}"`));
  const text = [importColumns.join(","), ...numbered, "only,two"].join("\n");
  const { status, body } = await upload(admin, text);
  assert.equal(status, 422);
  assert.equal(body.failed, faults.length + 1);
  for (const [at, [column, cell, message]] of faults.entries()) {
    const error = body.errors[at];
    assert.equal(error.column, column, JSON.stringify([cell, error]));
    assert.match(error.message, message, cell.slice(0, 20));
    assert.ok(error.value.length <= 101);
  }
  const { line: _, ...last } = body.errors.at(-1);
  assert.deepEqual(last, {
    path: `/${body.errors.at(-1).line}/`,
    column: null,
    value: null,
    code: "ERR_REQUEST_INVALID",
    message: "has 2 cells where the header has 8",
  });
  const codes = new Set(body.errors.map(({ code }: { code: string }) => code));
  assert.deepEqual(codes, new Set(["ERR_REQUEST_INVALID", "ERR_ORDERS_UNKNOWN_ALLERGEN"]));
});

// Guards against an answer as large as the file, and one that hides how much is wrong.
test("the first thousand faults are listed, the others counted", async (t) => {
  const { admin } = await startImports(t, "shared");
  const rows = Array.from({ length: 1_500 }, (_, n) => row(`S-${n}`, n % 10 === 0 ? 1 : "x"));
  const refused = await upload(admin, file(...rows));
  assert.equal(refused.body.errors.length, 1_000);
  assert.deepEqual([refused.body.failed, refused.body.errorsOmitted], [1_350, 350]);
  const { body } = await upload(admin, file(...rows), "?partial=true");
  assert.deepEqual([body.created, body.failed, body.errorsOmitted], [150, 1_350, 350]);
});
