import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readServerEvents, type StreamedEvent } from "./server-events.ts";

async function* inChunks(bytes: Uint8Array, sizes: readonly number[]) {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] as number;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function read(text: string, sizes: readonly number[] = [1_000]): Promise<StreamedEvent[]> {
  return Array.fromAsync(readServerEvents(inChunks(new TextEncoder().encode(text), sizes)));
}

// Guards against events lost or torn where the network cuts them, in the middle of a letter too.
test("however a stream is cut, the same events come out", async () => {
  const text =
    ': hello\n\nid: 1\nevent: order.created\ndata: {"name":"Café ☕"}\n\n' +
    "id:2\r\ndata: a\r\ndata: b\r\n\r\ndata\rid: 3\r\r: bye\n\n";
  const whole = await read(text);
  assert.deepEqual(whole, [
    { type: "order.created", data: '{"name":"Café ☕"}', id: "1" },
    { type: "message", data: "a\nb", id: "2" },
    { type: "message", data: "", id: "3" },
  ]);
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(sizes, async (cuts) => assert.deepEqual(await read(text, cuts), whole)),
    { numRuns: 200 },
  );
});

// Guards against half an event that is taken for a whole one.
test("an event that never ended is not given out", async () => {
  assert.deepEqual(await read("data: half"), []);
  assert.deepEqual(await read("data: half\n"), []);
});

// Guards against a server that fills the memory with one endless line.
test("an endless line is refused", async () => {
  await assert.rejects(read("x".repeat(5 * 2 ** 20)), /too long/);
});
