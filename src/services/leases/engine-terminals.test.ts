import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { makeLease } from "./fixture.ts";
import { hear, shownAll, startTerminals } from "./fixtures/terminals.ts";
import type { FakeTerminal } from "./fixtures/terminals.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

// Guards against terminals that lose what is typed or shown, forget their size, or leave no trace.
test("a terminal shows, takes what is typed, is resized, and tells how it ended", async (t) => {
  const { dial, opened, admin, at, deps } = await startTerminals(t);
  const query = { columns: 100, rows: 30, command: "top" };
  const client = await dial({ query });
  const ready = await hear(client, "ready");
  assert.match(String(ready.terminal), /^[0-9a-f]{8}-[0-9a-f]{24}$/);
  assert.deepEqual([ready.position, ready.typed], [0, 0]);
  const [program] = opened as [FakeTerminal];
  assert.deepEqual(program.command, ["top"]);
  client.socket.send(Buffer.from("ls\r"));
  client.socket.send(JSON.stringify({ type: "resize", columns: 120, rows: 40 }));
  await eventually(() => program.typed() === "ls\r" && program.sizes.length === 2, "the typing");
  assert.deepEqual(program.sizes, ["100 x 30", "120 x 40"]);
  program.shows(Buffer.from("h\xff\0\r\n", "latin1"));
  program.shows("last words");
  program.ends(7);
  assert.deepEqual(await hear(client, "exit"), { type: "exit", exitCode: 7 });
  assert.equal((await client.closed).code, 1000);
  assert.equal(client.bytes().toString("latin1"), "h\xff\0\r\nlast words");
  await eventually(() => deps.terminals.count() === 0, "that it is forgotten");
  const past = await admin.get(`${at.replace("/api/v1", "")}/history`);
  const [record] = past.body.items;
  assert.equal(record.action, "lease.terminal_opened");
  assert.deepEqual(record.after, { command: ["top"] });
});

// Guards against a broken connection that costs the reader a single byte, or shows one twice.
test("who comes back goes on where the connection broke", async (t) => {
  const { dial, opened } = await startTerminals(t);
  let client = await dial();
  const { terminal } = (await hear(client, "ready")) as { terminal: string };
  const [program] = opened as [FakeTerminal];
  let shown = "";
  let seen = "";
  let typed = "";
  for (let round = 0; round < 12; round += 1) {
    const piece = `${round}: ${"é".repeat(round * 997)}\r\n`;
    shown += piece;
    program.shows(piece);
    // Broken off at any point: before, in the middle of, or after what is shown.
    if (round % 3 !== 0) await turn();
    if (round % 3 === 2) await shownAll(client, 1);
    client.socket.terminate();
    await client.closed;
    seen += client.bytes().toString("latin1");
    program.shows("meanwhile");
    shown += "meanwhile";
    client = await dial({ query: { terminal, position: seen.length } });
    const ready = (await hear(client, "ready")) as { position: number; typed: number };
    assert.equal(ready.position, seen.length);
    // What had not arrived is typed again, and nothing twice.
    typed += round % 10;
    client.socket.send(Buffer.from(typed.slice(ready.typed)));
  }
  const whole = Buffer.from(shown).toString("latin1");
  await shownAll(client, whole.length - seen.length);
  assert.equal(seen + client.bytes().toString("latin1"), whole);
  await eventually(() => program.typed() === typed, "all that was typed");
  assert.equal(opened.length, 1);
});

// Guards against a reader who believes to have seen everything when some of it is gone.
test("what is no longer kept is said to be lost, and a second connection takes over", async (t) => {
  const { dial, opened } = await startTerminals(t);
  const first = await dial();
  const { terminal } = (await hear(first, "ready")) as { terminal: string };
  const [program] = opened as [FakeTerminal];
  first.socket.terminate();
  await first.closed;
  const bytes = Buffer.alloc(1_000_003, "0123456789");
  program.shows(bytes);
  await eventually(() => program.heldBytes() === 0, "a program that waits for nobody");
  const second = await dial({ query: { terminal, position: 5 } });
  const { position, typed } = (await hear(second, "ready")) as { position: number; typed: number };
  assert.deepEqual([position, typed], [bytes.length - 262_144, 0]);
  assert.deepEqual(await shownAll(second, 262_144), bytes.subarray(position));

  const third = await dial({ query: { terminal, position: bytes.length, columns: 90, rows: 20 } });
  assert.equal((await hear(second, "error")).code, "ERR_LEASES_TERMINAL_TAKEN");
  assert.equal((await second.closed).code, 4000);
  await hear(third, "ready");
  assert.equal(program.sizes.at(-1), "90 x 20");
  program.shows("go on");
  assert.equal((await shownAll(third, 5)).toString(), "go on");
  program.ends(0);
  await hear(third, "exit");
});

// Guards against programs that run on for nobody, and against those that end with a connection.
test("a program is left alone for five minutes, then killed", async (t) => {
  const { dial, opened, clock, refused, deps } = await startTerminals(t);
  const client = await dial();
  const { terminal } = (await hear(client, "ready")) as { terminal: string };
  const [program] = opened as [FakeTerminal];
  client.socket.close(1000);
  await client.closed;
  clock.advance(299_000);
  await turn();
  assert.equal(program.isKilled, false);
  const again = await dial({ query: { terminal } });
  await hear(again, "ready");
  clock.advance(10_000);
  await turn();
  assert.equal(program.isKilled, false, "who is there is not waited for");
  again.socket.close(1000);
  await again.closed;
  await eventually(() => {
    clock.advance(10_000);
    return program.isKilled;
  }, "its end");
  await eventually(() => {
    clock.advance(10_000);
    return deps.terminals.count() === 0;
  }, "that it is forgotten");
  assert.equal(await refused({ query: { terminal } }), "410 ERR_LEASES_TERMINAL_GONE");
});

// Guards against an exit code that nobody ever learns because the connection broke just then.
test("who was away when a program ended hears its last words and how it ended", async (t) => {
  const { dial, opened } = await startTerminals(t);
  const client = await dial();
  const { terminal } = (await hear(client, "ready")) as { terminal: string };
  client.socket.terminate();
  await client.closed;
  const [program] = opened as [FakeTerminal];
  program.shows("bye");
  program.ends(3);
  await turn();
  const again = await dial({ query: { terminal } });
  assert.equal((await hear(again, "exit")).exitCode, 3);
  assert.equal(again.bytes().toString(), "bye");
  await again.closed;
});

// Guards against a server whose memory holds what a slow reader has not read.
test("a program waits for its reader, who may also ask it to", async (t) => {
  const { dial, opened } = await startTerminals(t);
  const client = await dial();
  await hear(client, "ready");
  const [program] = opened as [FakeTerminal];
  client.socket.send(JSON.stringify({ type: "pause" }));
  client.socket.send(Buffer.from("x"));
  await eventually(() => program.typed() === "x", "the pause");
  program.shows("held");
  for (let n = 0; n < 20; n += 1) await turn();
  assert.equal(client.bytes().length, 0);
  client.socket.send(JSON.stringify({ type: "resume" }));
  await shownAll(client, 4);

  client.socket.pause();
  const bytes = Buffer.alloc(1_048_576, "y");
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 64; n += 1) program.shows(bytes);
  await eventually(() => program.heldBytes() > 32 * bytes.length, "a program that waits");
  for (let n = 0; n < 200; n += 1) await turn();
  // 64 MiB are the program's own; the server has taken no more than sockets and bounds hold.
  const takenBytes = 64 * bytes.length - program.heldBytes();
  assert.ok(takenBytes < 16 * bytes.length, `${takenBytes} bytes were taken`);
  assert.ok(process.memoryUsage().arrayBuffers - before < 160 * bytes.length);
  client.socket.resume();
  await shownAll(client, 4 + 64 * bytes.length);
});

// Guards against a lease that goes idle under somebody's hands, and one that a silent tab keeps.
test("a lease is in use while somebody is at its terminal, and no longer", async (t) => {
  const { dial, admin, pass, clock, test: house } = await startTerminals(t);
  const { id } = await makeLease(admin, { preset: "large", idleTtlSeconds: 60 });
  const client = await dial({ path: `/api/v1/leases/${id}/terminal` });
  await hear(client, "ready");
  const stateOf = async () => (await admin.get(`/leases/${id}`)).body.state;
  for (let seconds = 0; seconds < 120; seconds += 10) {
    clock.advance(10_000);
    const leftSeconds = async () => (await admin.get(`/leases/${id}`)).body.expiresInSeconds;
    await eventually(async () => (await leftSeconds()) >= 40, "the use that is noted");
  }
  assert.equal(await stateOf(), "running");
  client.socket.terminate();
  await client.closed;
  await eventually(() => house.app.http.app.webSockets.count() === 0, "the end of the use");
  await turn();
  await pass(50);
  assert.equal(await stateOf(), "running");
  await pass(15);
  assert.equal(await stateOf(), "ended");
});

// Guards against programs that outlive the server that holds their terminals.
test("a server that stops closes terminals and kills their programs", async (t) => {
  const { dial, opened, deps, test: house } = await startTerminals(t);
  const client = await dial();
  await hear(client, "ready");
  const left = await dial();
  await hear(left, "ready");
  left.socket.terminate();
  await left.closed;
  const draining = house.app.http.drain();
  await eventually(() => client.socket.readyState === client.socket.CLOSED, "the end", house.clock);
  assert.equal((await client.closed).code, 1001);
  await draining;
  await deps.terminals.stop();
  assert.deepEqual(
    opened.map(({ isKilled }) => isKilled),
    [true, true],
  );
  assert.equal(deps.terminals.count(), 0);
});
