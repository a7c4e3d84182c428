import assert from "node:assert/strict";
import { test } from "node:test";
import { Parser } from "pg-protocol/dist/parser.js";
import { systemClock } from "../clock.ts";
import { seededRandom } from "../random.ts";
import { createParser } from "./connection.ts";

type Fields = readonly (string | null)[];

/** A DataRow message as PostgreSQL sends it. */
function rowMessage(values: Fields): Buffer {
  const body = [Buffer.alloc(2)];
  (body[0] as Buffer).writeInt16BE(values.length);
  for (const value of values) {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value === null ? -1 : Buffer.byteLength(value));
    body.push(length, Buffer.from(value ?? ""));
  }
  const all = Buffer.concat(body);
  const head = Buffer.from("D\0\0\0\0");
  head.writeUInt32BE(all.length + 4, 1);
  return Buffer.concat([head, all]);
}

/** What a parser makes of the bytes when they come in pieces of `size`. */
function parsed(parser: ReturnType<typeof createParser>, bytes: Buffer, size: number): Fields[] {
  const rows: Fields[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    parser.parse(Buffer.from(bytes.subarray(at, at + size)), (message) => {
      assert.equal(message.name, "dataRow");
      rows.push((message as unknown as { fields: Fields }).fields);
    });
  }
  return rows;
}

// Guards against a value that is cut at the wrong place: whatever the texts are made of, and
// however the bytes arrive, rows are read as they were written and as pg's own parser reads them.
test("rows are read as they were sent, whatever their texts", () => {
  const random = seededRandom(systemClock, 11);
  const below = (limit: number) => Math.floor(random.float() * limit);
  const alphabets = ["abc 09\n\0", "é", "日本", "😀", "\u{feff}", "\u{fffd}", "aé日😀"].map((a) => [
    ...a,
  ]);
  const lengths = [0, 1, 2, 12, 13, 127, 128, 194, 255, 256, 700, 2_100];
  const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T;
  const value = () => {
    if (below(6) === 0) return null;
    const alphabet = pick(alphabets);
    return Array.from({ length: pick(lengths) }, () => pick(alphabet)).join("");
  };
  const rows = Array.from({ length: 400 }, () => Array.from({ length: below(7) }, value));
  const bytes = Buffer.concat(rows.map(rowMessage));
  assert.deepEqual(parsed(new Parser() as never, bytes, bytes.length), rows);
  for (const size of [bytes.length, 65_536, 1_000, 997]) {
    assert.deepEqual(parsed(createParser(), bytes, size), rows, `in pieces of ${size} bytes`);
  }
});

// Guards against lengths that look like text: prefixes that are themselves valid UTF-8 (a value of
// 50,089 bytes starts with "é" in its length) or broken UTF-8 don't shift what follows.
test("a length whose bytes are UTF-8 does not shift the values", () => {
  for (const length of [0x80, 0xc3, 0xff, 0x1_c3, 0x7_e2, 0xc2_80, 0xc3_a9]) {
    const row = ["a".repeat(length), "\u{a9}x", null, "end"];
    assert.deepEqual(parsed(createParser(), rowMessage(row), 1 << 20), [row]);
  }
});
