import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { type WebSocket, WebSocketServer } from "ws";
import { json, temporaryHome } from "./fixture.ts";
import { run } from "./main.ts";
import { createDetachKeys, createTyped } from "./typing.ts";

const leaseId = "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a";
const terminalId = "5f0c2a9b-0b1d7c3e9f2a4b6c8d0e1f23";

/** One connection as a server sees it. */
interface Seen {
  readonly socket: WebSocket;
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  typed: string;
  readonly sizes: string[];
}

/** A server of terminals that breaks off, refuses and ends as it is told. */
async function startServer(t: TestContext) {
  const seen: Seen[] = [];
  const state = { refuse: null as { status: number; body: object } | null };
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer((_request, response) => json(response, 404, { title: "None" }));
  server.on("upgrade", (request, connection, head) => {
    if (state.refuse) {
      const { status, body } = state.refuse;
      const text = JSON.stringify(body);
      connection.end(
        `HTTP/1.1 ${status} No\r\ncontent-type: application/problem+json\r\n` +
          `content-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`,
      );
      return;
    }
    sockets.handleUpgrade(request, connection, head, (socket) => {
      const { headers, url = "" } = request;
      const one: Seen = { socket, url: new URL(url, "http://x"), headers, typed: "", sizes: [] };
      socket.on("message", (data: Buffer, isBinary) => {
        if (isBinary) one.typed += data.toString();
        else one.sizes.push(data.toString());
      });
      seen.push(one);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const { socket } of seen) socket.terminate();
    server.closeAllConnections();
    server.close();
  });
  const ready = (one: Seen, position: number, typed: number) =>
    one.socket.send(JSON.stringify({ type: "ready", terminal: terminalId, position, typed }));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    state,
    ready,
    async nth(count: number): Promise<Seen> {
      await eventually(() => seen.length === count, `connection ${count}`);
      return seen[count - 1] as Seen;
    },
    exit: (one: Seen, exitCode: number | null) => {
      one.socket.send(JSON.stringify({ type: "exit", exitCode }));
      one.socket.close(1000);
    },
  };
}

/** A command line at a terminal that is typed at and resized. */
async function startTerminal(t: TestContext, url: string, more: readonly string[] = []) {
  const raw: boolean[] = [];
  const stdin = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (isRaw: boolean) => void raw.push(isRaw),
  });
  let shown = "";
  const write = (chunk: Buffer, _encoding: unknown, done: () => void) => {
    shown += chunk.toString();
    done();
  };
  const stdout = Object.assign(new Writable({ write }), { isTTY: true, columns: 100, rows: 30 });
  const stderr = Object.assign(new Writable({ write }), { isTTY: true, columns: 100, rows: 30 });
  const ended = run(["--api", url, "leases", "terminal", leaseId, ...more], {
    env: { PLIMSOLL_API_KEY: "plm_key", NO_COLOR: "1" },
    homeDir: await temporaryHome(t),
    stdin: stdin as unknown as NodeJS.ReadStream,
    stdout: stdout as unknown as NodeJS.WriteStream,
    stderr: stderr as unknown as NodeJS.WriteStream,
  });
  return { stdin, stdout, ended, raw, shown: () => shown };
}

// Guards against a command that shows something else than the terminal, or leaves this one broken.
test("it shows the lease's terminal here and ends as its program does", async (t) => {
  const server = await startServer(t);
  const here = await startTerminal(t, server.url, ["--", "top", "-b"]);
  const one = await server.nth(1);
  assert.equal(one.url.pathname, `/api/v1/leases/${leaseId}/terminal`);
  assert.equal(one.url.search, "?columns=100&rows=30&command=top&command=-b");
  assert.equal(one.headers["x-api-key"], "plm_key");
  assert.equal(one.socket.protocol, "plimsoll.terminal.v1");
  here.stdin.write("early");
  server.ready(one, 0, 0);
  one.socket.send(Buffer.from("\u001b[1mhello"));
  await eventually(() => here.shown().endsWith("hello") && one.typed === "early", "both ways");
  assert.deepEqual(here.raw, [true]);
  Object.assign(here.stdout, { columns: 90, rows: 20 });
  (here.stdout as EventEmitter).emit("resize");
  const size = JSON.stringify({ type: "resize", columns: 90, rows: 20 });
  await eventually(() => one.sizes.at(-1) === size, "the new size");
  here.stdin.write("\u0003");
  await eventually(() => one.typed === "early\u0003", "Ctrl-C, which is the program's");
  Object.assign(here.stdout, { columns: 0, rows: 5_000 });
  (here.stdout as EventEmitter).emit("resize");
  const odd = JSON.stringify({ type: "resize", columns: 80, rows: 1_000 });
  await eventually(() => one.sizes.at(-1) === odd, "a size that is none");
  server.exit(one, 7);
  assert.equal(await here.ended, 7);
  assert.deepEqual(here.raw, [true, false]);
  assert.equal(here.stdin.listenerCount("data"), 0);
});

// Guards against output that is lost or shown twice, and keys that are, when a connection breaks.
test("a connection that breaks is opened again, and goes on where it was", async (t) => {
  const server = await startServer(t);
  const here = await startTerminal(t, server.url);
  const first = await server.nth(1);
  server.ready(first, 0, 0);
  first.socket.send(Buffer.from("12345"));
  await eventually(() => here.shown().endsWith("12345"), "the first bytes");
  here.stdin.write("abc");
  await eventually(() => first.typed === "abc", "the first keys");
  first.socket.terminate();
  await eventually(() => here.shown().includes("coming back"), "the note");
  here.stdin.write("def");
  const second = await server.nth(2);
  const { searchParams } = second.url;
  assert.equal(searchParams.get("terminal"), terminalId);
  assert.equal(searchParams.get("position"), "5");
  assert.equal(searchParams.get("command"), null);
  // Of "abc" only "ab" had come through.
  server.ready(second, 5, 2);
  await eventually(() => second.typed === "cdef", "the keys that were missing");
  second.socket.send(Buffer.from("6789"));
  second.socket.close(1001);
  const third = await server.nth(3);
  assert.equal(third.url.searchParams.get("position"), "9");
  server.ready(third, 20, 6);
  await eventually(() => here.shown().includes("11 bytes are lost"), "what is lost");
  server.exit(third, 0);
  assert.equal(await here.ended, 0);
  assert.match(here.shown(), /12345[^]*6789/);
});

// Guards against no way out that leaves the program running, and against one taken by mistake.
test("Ctrl-P Ctrl-Q leaves it running and says how to go on; --attach does", async (t) => {
  const server = await startServer(t);
  const here = await startTerminal(t, server.url);
  const one = await server.nth(1);
  server.ready(one, 0, 0);
  here.stdin.write("x\u0010y\u0010");
  await eventually(() => one.typed === "x\u0010y", "a Ctrl-P that is the program's");
  const closed = once(one.socket, "close");
  here.stdin.write("\u0011");
  assert.equal(await here.ended, 0);
  assert.equal((await closed)[0], 1000);
  const again = `leases terminal ${leaseId} --attach ${terminalId}`;
  assert.ok(here.shown().includes(again), here.shown());

  const back = await startTerminal(t, server.url, ["--attach", terminalId]);
  const two = await server.nth(2);
  assert.equal(two.url.searchParams.get("terminal"), terminalId);
  server.ready(two, 700, 40);
  back.stdin.write("z");
  await eventually(() => two.typed === "z", "only what was typed now");
  server.exit(two, null);
  assert.equal(await back.ended, 1);
  assert.match(back.shown(), /was ended/);
  assert.doesNotMatch(back.shown(), /are lost/);
});

// Guards against a command that tries for ever, or gives up what might come back.
test("a refusal is told, and a terminal that is gone is not tried for", async (t) => {
  const server = await startServer(t);
  const over = { title: "The lease is over", status: 410, code: "ERR_LEASES_OVER" };
  server.state.refuse = { status: 410, body: over };
  const none = await startTerminal(t, server.url);
  assert.equal(await none.ended, 1);
  assert.match(none.shown(), /The lease is over \(410 ERR_LEASES_OVER\)/);
  assert.deepEqual(none.raw, [true, false]);

  server.state.refuse = null;
  const here = await startTerminal(t, server.url);
  const one = await server.nth(1);
  server.ready(one, 0, 0);
  await eventually(() => one.sizes.length > 0, "that it is open");
  const elsewhere = { title: "Elsewhere", status: 409, code: "ERR_LEASES_TERMINAL_ELSEWHERE" };
  server.state.refuse = { status: 409, body: elsewhere };
  one.socket.terminate();
  await eventually(() => here.shown().includes("coming back"), "the note");
  server.state.refuse = null;
  const two = await server.nth(2);
  server.ready(two, 0, 0);
  await eventually(() => two.sizes.length > 0, "that it is open");
  server.state.refuse = { status: 410, body: { ...over, code: "ERR_LEASES_TERMINAL_GONE" } };
  two.socket.terminate();
  assert.equal(await here.ended, 1);
  assert.match(here.shown(), /TERMINAL_GONE/);

  server.state.refuse = { status: 401, body: { title: "Who?", status: 401 } };
  const stranger = await startTerminal(t, server.url);
  assert.equal(await stranger.ended, 1);
  assert.match(stranger.shown(), /Who\? \(401\)/);
});

// Guards against a command that hangs where nobody can type.
test("without a terminal it says what to use instead", async (t) => {
  const silent = () => Object.assign(new PassThrough(), { isTTY: false });
  const stderr = silent();
  const code = await run(["leases", "terminal", leaseId], {
    env: { PLIMSOLL_API_KEY: "plm_key" },
    homeDir: await temporaryHome(t),
    stdin: silent() as unknown as NodeJS.ReadStream,
    stdout: silent() as unknown as NodeJS.WriteStream,
    stderr: stderr as unknown as NodeJS.WriteStream,
  });
  assert.equal(code, 2);
  assert.match(String(stderr.read()), /plimsoll leases exec/);
});

// Guards against keys that are swallowed, and memory that grows with typing.
test("what was typed is kept until it has arrived, and no more than 64 KiB of it", () => {
  const look = createDetachKeys();
  const both = look(Buffer.from("a\u0010\u0010b\u0010"));
  assert.deepEqual([both.bytes.toString(), both.isDetach], ["a\u0010\u0010b", false]);
  assert.equal(look(Buffer.from("\u0011rest")).isDetach, true);

  const fresh = createTyped();
  assert.equal(fresh.push(Buffer.alloc(65_536)), true);
  assert.equal(fresh.push(Buffer.from("x")), false);
  const typed = createTyped();
  assert.equal(typed.missing(10).toString(), "");
  for (let n = 0; n < 200_000; n += 10_000) typed.push(Buffer.alloc(10_000, "y"));
  const missing = typed.missing(10 + 200_000 - 3);
  assert.equal(missing.toString(), "yyy");
  typed.push(Buffer.from("z"));
  assert.equal(typed.missing(10 + 200_000).toString(), "z");
  assert.equal(typed.missing(10 + 200_001).length, 0);
});
