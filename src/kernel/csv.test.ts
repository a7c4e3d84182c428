import assert from "node:assert/strict";
import { test } from "node:test";
import { csvCell, csvLine, readCsv } from "./csv.ts";
import { Problem } from "./errors.ts";

async function* chunksOf(bytes: Buffer, sizeBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += sizeBytes) yield bytes.subarray(at, at + sizeBytes);
}

/** Every record as [line, …cells], or what the refusal says. */
async function read(file: string | Buffer, { sizeBytes = 1_000, recordBytesMax = 200 } = {}) {
  const records: unknown[] = [];
  try {
    const chunks = chunksOf(Buffer.from(file), sizeBytes);
    for await (const { line, cells } of readCsv(chunks, { recordBytesMax })) {
      records.push([line, ...cells]);
    }
  } catch (error) {
    assert.ok(error instanceof Problem, String(error));
    records.push([error.code, error.message]);
  }
  return records;
}

// Guards against a cell that a spreadsheet runs, a number that turns into text, a torn record.
test("cells are quoted where they must be, and never a formula", () => {
  for (const text of ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠x"]) {
    assert.match(csvCell(text), /^"?'/, JSON.stringify(text));
  }
  assert.deepEqual(
    [-1, null, undefined, true, "a=b", 'say "x"', "a,b", "a\nb", "", "O'Brien"].map(csvCell),
    ["-1", "", "", "true", "a=b", '"say ""x"""', '"a,b"', '"a\nb"', "", "O'Brien"],
  );
  assert.equal(csvLine(["a,b", 2, null]), '"a,b",2,\r\n');
});

// Guards against records that are torn, merged or numbered wrongly, wherever the network cuts.
test("records come with the line on which they begin, however the file is cut", async () => {
  const file =
    '\ufeffsku,title\r\nA,"two\r\nlines, ""quoted"""\n\nB,Crème 🧀\rC,\n"D","x\ny\rz"\r\nE,1,2';
  const expected = [
    [1, "sku", "title"],
    [2, "A", 'two\r\nlines, "quoted"'],
    [4, ""],
    [5, "B", "Crème 🧀"],
    [6, "C", ""],
    [7, "D", "x\ny\rz"],
    [10, "E", "1", "2"],
  ];
  for (let sizeBytes = 1; sizeBytes < 40; sizeBytes += 1) {
    assert.deepEqual(await read(file, { sizeBytes }), expected, `${sizeBytes} bytes a chunk`);
  }
  assert.deepEqual(await read(""), []);
  assert.deepEqual(await read("\ufeff"), []);
});

// Guards against guesses about what a broken file means, and refusals that don't say where.
test("what is no CSV is refused with its line", async () => {
  const broken: [file: string | Buffer, line: number | null, why: RegExp][] = [
    ['a,b\n1,2\n"x,3\n4,5', 3, /no closing "/],
    ['a,b\n1"2,3', 2, /stands inside/],
    ['a,b\n\n"1"2,3', 3, /Text follows/],
    [`a,b\n1,2\n${"x".repeat(201)},1\n`, 3, /more than 200 bytes/],
    [`a,b\n"1\n${"x,\n".repeat(100)}`, 2, /more than 200 bytes/],
    [Buffer.from("a,b\nCr\xe8me,1\n", "latin1"), 2, /not UTF-8/],
    [Buffer.from("a,b\n1,2\n3,Cr\xc3", "latin1"), 3, /not UTF-8/],
    ["a,b\n1,2\nx\0,3\n", 3, /zero byte/],
    [Buffer.from("PK\x03\x04…", "latin1"), null, /a workbook or an archive/],
    [Buffer.from("%PDF-1.7"), null, /a PDF/],
    [Buffer.from("\ufeffa,b\n", "utf16le"), null, /UTF-16/],
    [Buffer.from("a,b\n", "utf16le"), 1, /zero byte/],
  ];
  for (const [file, line, why] of broken) {
    for (const sizeBytes of [3, 1_000]) {
      if (line === null && sizeBytes === 3) continue;
      const [code, message] = (await read(file, { sizeBytes })).at(-1) as [string, string];
      assert.equal(code, "ERR_REQUEST_MALFORMED", String(file));
      assert.match(message, why);
      if (line !== null) assert.match(message, new RegExp(`^Line ${line} `), `${sizeBytes}`);
    }
  }
});

// Guards against a reader that stops early and leaves the file behind it open.
test("stopping to read ends the source", async () => {
  let isClosed = false;
  async function* endless() {
    try {
      for (;;) yield Buffer.from("a,b\n".repeat(1_000));
    } finally {
      isClosed = true;
    }
  }
  for await (const { line } of readCsv(endless(), { recordBytesMax: 100 })) {
    if (line === 5_000) break;
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isClosed, true);
});
