import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { breakable, type DockerHouse, dockerHouse } from "./docker-fixture.ts";
import { createLineReader, momentOf, nanosecondsOf } from "./docker-logs.ts";
import type { LogLine, LogRequest, Runtime } from "./types.ts";

const never = new AbortController().signal;

async function read(
  runtime: Runtime,
  id: string,
  request: Partial<LogRequest> = {},
  linesMax = Number.POSITIVE_INFINITY,
): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  const wanted = { after: null, tail: null, follow: false, signal: never, ...request };
  for await (const line of runtime.logs(id, wanted)) {
    lines.push(line);
    if (lines.length >= linesMax) break;
  }
  return lines;
}

// Guards against moments that lose their last digits, by which cursors tell lines apart.
test("moments keep nine decimals, and lines of one moment get moments of their own", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 4_000_000_000_000_000_000n), (nanoseconds) => {
      assert.equal(nanosecondsOf(momentOf(nanoseconds)), nanoseconds);
    }),
  );
  assert.equal(nanosecondsOf("2026-01-02T03:04:05.5Z"), nanosecondsOf("2026-01-02T03:04:05.500Z"));
  for (const wrong of ["", "yesterday", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05+01:00"]) {
    assert.equal(nanosecondsOf(wrong), null, wrong);
  }
  const { push, rest } = createLineReader();
  const at = "2026-01-02T03:04:05.000000007Z";
  const entry = (stream: "stdout" | "stderr", text: string) =>
    push({ stream, payload: Buffer.from(`${at} ${text}`) });
  assert.equal(entry("stdout", "half of "), null);
  const lines = [entry("stderr", "other\n"), entry("stdout", "it\n"), entry("stdout", "\n")];
  assert.deepEqual(lines, [
    { at, stream: "stderr", text: "other" },
    { at: "2026-01-02T03:04:05.000000008Z", stream: "stdout", text: "half of it" },
    { at: "2026-01-02T03:04:05.000000009Z", stream: "stdout", text: "" },
  ]);
  assert.throws(() => push({ stream: "stdout", payload: Buffer.from("no moment\n") }));
  assert.deepEqual(rest(), []);
  assert.equal(entry("stdout", "no end"), null);
  assert.deepEqual(rest(), [
    { at: "2026-01-02T03:04:05.000000010Z", stream: "stdout", text: "no end" },
  ]);
  assert.deepEqual(rest(), []);
});

// Guards against a line without an end that fills the server's memory.
test("an endless line is given in parts", () => {
  const { push } = createLineReader();
  const payload = Buffer.from(`2026-01-02T03:04:05.000000007Z ${"x".repeat(16_384)}`);
  const parts = Array.from({ length: 32 }, () => push({ stream: "stdout", payload }));
  assert.deepEqual(
    parts.flatMap((line) => (line === null ? [] : [line.text.length])),
    [262_144, 262_144],
  );
});

const writer = [
  "i=0; while [ $i -lt 600 ]; do echo out $i; echo err $i >&2; i=$((i + 1)); done;",
  'head -c 40000 /dev/zero | tr "\\0" z; echo; echo "Grüße"; printf "no end"',
].join(" ");

async function written(house: DockerHouse): Promise<string> {
  const { id } = await house.run({ command: ["sh", "-c", writer], cpuMillis: 2_000 });
  await read(house.runtime, id, { follow: true });
  return id;
}

const expected = [
  ...Array.from({ length: 600 }, (_, index) => `out ${index}`),
  "long",
  "Grüße",
  "no end",
];

// Guards against lines that a reader gets twice or never when it comes back.
test("whoever reads on from any line gets each line once, in order", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const id = await written(house);
  const { runtime } = house;
  const long = "z".repeat(40_000);
  const all = await read(runtime, id);
  const of = (stream: string, lines: readonly LogLine[]) =>
    lines.filter((line) => line.stream === stream).map(({ text }) => text.replace(long, "long"));
  assert.deepEqual(of("stdout", all), expected);
  assert.deepEqual(
    of("stderr", all),
    expected.slice(0, 600).map((text) => `err${text.slice(3)}`),
  );
  assert.equal(new Set(all.map(({ at }) => at)).size, all.length);
  assert.deepEqual(
    all.map(({ at }) => at).sort(),
    all.map(({ at }) => at),
  );
  for (const cut of [1, 2, 377, 600, 1_199, all.length - 2, all.length]) {
    const first = await read(runtime, id, {}, cut);
    const rest = await read(runtime, id, { after: first.at(-1)?.at ?? null });
    assert(isDeepStrictEqual([...first, ...rest], all), `cut after ${cut}`);
  }
  for (const tail of [1, 3, 900, 5_000]) {
    for (const follow of [false, true]) {
      const lines = await read(runtime, id, { tail, follow });
      assert(isDeepStrictEqual(lines, all.slice(-tail)), `the last ${tail}`);
    }
  }
  const after = all.at(-2)?.at ?? null;
  assert.deepEqual(await read(runtime, id, { after, tail: 900 }), all.slice(-1));
  assert.deepEqual(await read(runtime, id, { tail: 0 }), []);
  await assert.rejects(read(runtime, id, { after: "now" }), { code: "ERR_LEASES_RUNTIME_REFUSED" });
});

// Guards against a follower that stops for ever, or doubles lines, when the engine goes away.
test("a follower whose engine is cut off is told, and goes on from its line", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const weak = await breakable(t, house.host);
  const runtime = house.another(weak.host);
  const script = "i=0; while [ $i -lt 200 ]; do echo $i; i=$((i + 1)); sleep 0.01; done";
  const { id } = await house.run({ command: ["sh", "-c", script] });
  const got: LogLine[] = [];
  let cuts = 0;
  for (let isOver = false; !isOver; ) {
    const before = got.length;
    try {
      const after = got.at(-1)?.at ?? null;
      for await (const line of runtime.logs(id, {
        after,
        tail: null,
        follow: true,
        signal: never,
      })) {
        got.push(line);
        if (cuts < 3 && got.length >= before + 20) weak.cut();
      }
      isOver = true;
    } catch (error) {
      assert.equal((error as { code?: string }).code, "ERR_LEASES_RUNTIME_UNAVAILABLE");
      cuts += 1;
      weak.mend();
    }
  }
  assert.equal(cuts, 3);
  assert.deepEqual(
    got.map(({ text }) => text),
    Array.from({ length: 200 }, (_, index) => String(index)),
  );
});

// Guards against followers that stay when whoever followed has gone.
test("a follower ends quietly at the signal, and at once where it came before", async (t) => {
  const house = await dockerHouse(t);
  if (!house) return;
  const { id } = await house.run({ command: ["sh", "-c", "echo one; sleep 600"] });
  const stop = new AbortController();
  const got: string[] = [];
  for await (const { text } of house.runtime.logs(id, {
    after: null,
    tail: null,
    follow: true,
    signal: stop.signal,
  })) {
    got.push(text);
    setTimeout(() => stop.abort(), 50);
  }
  assert.deepEqual(got, ["one"]);
  assert.deepEqual(await read(house.runtime, id, { follow: true, signal: stop.signal }), []);
});
