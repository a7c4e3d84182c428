import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { logReader, piecesOf } from "./kubernetes-logs.ts";

// Guards against cursors that skip a line, or give one twice, where two have one moment.
test("no two lines have one moment", () => {
  const lines = [
    "2026-01-01T00:00:00.5Z one",
    "2026-01-01T00:00:00.500000000Z two",
    "2026-01-01T02:00:00.500000001+02:00 three",
    "2026-01-01T00:00:00.999999999Z ",
    "2026-01-01T00:00:00.999999999Z five",
    "no line",
  ];
  const read = logReader();
  const first = lines.map((line) => read(line));
  assert.deepEqual(
    first.map((line) => line && [line.at, line.text]),
    [
      ["2026-01-01T00:00:00.500000000Z", "one"],
      ["2026-01-01T00:00:00.500000001Z", "two"],
      ["2026-01-01T00:00:00.500000002Z", "three"],
      ["2026-01-01T00:00:00.999999999Z", ""],
      ["2026-01-01T00:00:01.000000000Z", "five"],
      null,
    ],
  );
  const again = logReader();
  assert.deepEqual(
    lines.map((line) => again(line)),
    first,
    "the same each time",
  );
  assert.equal(logReader()("the rest of nothing", true), null);
});

// Guards against a program that fills the server's memory by never ending a line.
test("a line is cut where it is too long, however it arrives", async () => {
  const most = 262_144;
  const long = "x".repeat(most);
  const written = `one\r2\n${long}\n${long}y\n${long}${long}\n\nlast`;
  const parts = async (bytes: number) => {
    const chunks = Array.from({ length: Math.ceil(written.length / bytes) }, (_, n) =>
      Buffer.from(written.slice(n * bytes, (n + 1) * bytes)),
    );
    const pieces = await Array.fromAsync(piecesOf(Readable.from(chunks)));
    return pieces.map(({ text, isRest }) => `${isRest ? "+" : ""}${text.replace(long, "long")}`);
  };
  const expected = ["one\r2", "long", "long", "+y", "long", "+long", "", "last"];
  for (const bytes of [1_000, most - 1, most, most + 1, written.length]) {
    assert.deepEqual(await parts(bytes), expected, `${bytes} at a time`);
  }
});
