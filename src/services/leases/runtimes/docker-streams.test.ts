import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { parentIn } from "./docker-kill.ts";
import { statsOf } from "./docker-stats.ts";
import { boundedOutput, createDemultiplexer } from "./docker-streams.ts";
import { firstFileOf, tarOf } from "./docker-tar.ts";

function frameOf(stream: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

const frames = fc.array(
  fc.record({ stream: fc.constantFrom(1, 2), payload: fc.uint8Array({ maxLength: 40 }) }),
);

// Guards against output that lands in the wrong stream where the network cuts it in an unlucky
// place.
test("a stream is taken apart the same way however it is cut", () => {
  fc.assert(
    fc.property(
      frames,
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
      (sent, cuts) => {
        const wire = Buffer.concat(sent.map(({ stream, payload }) => frameOf(stream, payload)));
        const demultiplex = createDemultiplexer();
        const got = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
        let ends = 0;
        for (let at = 0, turn = 0; at < wire.length; turn += 1) {
          const size = cuts[turn % cuts.length] as number;
          for (const piece of demultiplex(wire.subarray(at, at + size))) {
            got[piece.stream].push(piece.payload);
            if (piece.endsFrame) ends += 1;
          }
          at += size;
        }
        for (const [name, number] of [
          ["stdout", 1],
          ["stderr", 2],
        ] as const) {
          const expected = sent.filter(({ stream }) => stream === number);
          assert(
            Buffer.concat(got[name]).equals(Buffer.concat(expected.map((each) => each.payload))),
          );
        }
        assert.equal(ends, sent.filter(({ payload }) => payload.length > 0).length);
      },
    ),
  );
});

// Guards against a terminal's stream, or a stranger's, being read as frames of any length.
test("what is no multiplexed stream is refused", () => {
  for (const bytes of ["/workspace $ ", "\x09\0\0\0\0\0\0\x01x", "\x01\0\x01\0\0\0\0\x01x"]) {
    assert.throws(() => createDemultiplexer()(Buffer.from(bytes, "latin1")), /not multiplexed/);
  }
});

// Guards against a program whose output fills the server's memory.
test("output is kept up to its limit, exactly", () => {
  const output = boundedOutput(5);
  assert.equal(output.isTruncated, false);
  output.push(Buffer.from("abc"));
  output.push(Buffer.from("de"));
  assert.deepEqual([output.take().toString(), output.isTruncated], ["abcde", false]);
  output.push(Buffer.alloc(0));
  assert.equal(output.isTruncated, false);
  output.push(Buffer.from("f"));
  assert.deepEqual([output.take().toString(), output.isTruncated], ["abcde", true]);
});

// Guards against an archive that the engine, or anybody else's tar, reads otherwise.
test("archives are what tar reads and writes", () => {
  const archive = tarOf([
    { name: "folder/", content: null, mode: 0o1777 },
    { name: "file", content: Buffer.alloc(700, "x"), mode: 0o644 },
  ]);
  const listed = execFileSync("tar", ["-tvf", "-"], { input: archive }).toString();
  assert.match(listed, /^drwxrwxrwt 0\/0 +0 .* folder\/\n-rw-r--r-- 0\/0 +700 .* file\n$/);
  assert.equal(firstFileOf(archive), null);
  const only = tarOf([{ name: "file", content: Buffer.from("content"), mode: 0o600 }]);
  assert.equal(firstFileOf(only)?.toString(), "content");
  const pax = Buffer.concat([only.subarray(0, 1_024), only]);
  pax.write("x", 156);
  assert.equal(firstFileOf(pax)?.toString(), "content");
  assert.equal(firstFileOf(only.subarray(0, 515)), null);
  assert.equal(firstFileOf(Buffer.alloc(0)), null);
  assert.throws(() => tarOf([{ name: "x".repeat(101), content: null, mode: 0 }]));
});

// Guards against ending a stranger because of a name with spaces and brackets.
test("a process's parent is read after its name, whatever the name", () => {
  assert.equal(parentIn("12 (sh) S 7 12 12 0"), 7);
  assert.equal(parentIn("12 (a) 1 (b c) R 8 12"), 8);
  assert.equal(parentIn(""), 0);
});

// Guards against memory that the kernel only keeps for speed being shown as the program's.
test("stats leave out the kernel's own, in both versions of control groups", () => {
  const memory = (stats: Record<string, number>) =>
    statsOf({ memory_stats: { usage: 100, limit: 200, stats } }, null).memoryBytes;
  assert.equal(memory({ total_inactive_file: 30 }), 70);
  assert.equal(memory({ inactive_file: 30 }), 70);
  assert.equal(memory({ inactive_file: 300 }), 100);
  assert.deepEqual(statsOf({}, 5), {
    cpuSeconds: 0,
    memoryBytes: 0,
    memoryLimitBytes: 0,
    pids: 0,
    networkInBytes: null,
    networkOutBytes: null,
    diskBytes: 5,
  });
  const networks = { eth0: { rx_bytes: 1, tx_bytes: 2 }, eth1: { rx_bytes: 3 } };
  const both = statsOf({ networks }, null);
  assert.deepEqual([both.networkInBytes, both.networkOutBytes], [4, 2]);
});
