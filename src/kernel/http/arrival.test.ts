import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { Type } from "typebox";
import { eventually } from "../testing/events.ts";
import { testHttp } from "./fixture.ts";
import type { App } from "./types.ts";

const authorization = "Bearer ada";
const config = { permission: "thing:create", accepts: ["text/csv"] };
const response = { 200: Type.Object({}, { additionalProperties: true }) };
const length = (request: { body: unknown }) =>
  text(request.body as Readable).then((all) => ({ length: all.length }));

function routes(app: App): void {
  const route = (summary: string, more = {}) => ({
    schema: { summary, response },
    config: { ...config, ...more },
  });
  app.put("/things/file", route("Streamed body"), length);
  const long = route("A body that may take its time", { arrivalTimeoutMs: 60_000 });
  app.put("/things/long", long, length);
  app.put("/things/unread", route("Reads nothing"), (request) => {
    (request.body as Readable).destroy();
    return { refused: true };
  });
}

/** A request whose body is written bit by bit, and what has come back. */
async function sendSlowly(url: string, path: string, headers: string) {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  await once(socket, "connect");
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk;
  });
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(`PUT /api/v1/things/${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
  return { socket, closed, received: () => received };
}

const fileHead = `Authorization: ${authorization}\r\nContent-Type: text/csv\r\n`;

// Guards against large files that a slow line can't send, and against waiting for ever for them.
test("a route may give its body longer than other requests have, and no stranger's", async (t) => {
  const http = testHttp(t, routes, { limits: { requestTimeoutMs: 1_500 } });
  const url = await http.listen();
  const size = "Content-Length: 8\r\n";
  const slow = await sendSlowly(url, "long", `${fileHead}${size}`);
  const late = await sendSlowly(url, "long", `${fileHead}${size}`);
  const usual = await sendSlowly(url, "file", `${fileHead}${size}`);
  const stranger = await sendSlowly(url, "long", `Content-Type: text/csv\r\n${size}`);
  for (const { socket } of [slow, late, usual, stranger]) socket.write("a,b\n");
  await usual.closed;
  assert.match(usual.received(), /^HTTP\/1\.1 408 /);
  assert.match(stranger.received(), /^HTTP\/1\.1 401 /);
  assert.deepEqual([slow.received(), late.received()], ["", ""], "these may take longer");
  slow.socket.write("1,2\n");
  await eventually(() => slow.received().endsWith("}"), "the answer");
  assert.match(slow.received(), /^HTTP\/1\.1 200 .*\{"length":8\}$/s);
  http.clock.advance(60_000);
  await late.closed;
  assert.match(late.received(), /^HTTP\/1\.1 408 .*ERR_REQUEST_TIMEOUT/s);
  // The next request over the same connection has the usual time again.
  slow.socket.write(`PUT /api/v1/things/file HTTP/1.1\r\nHost: x\r\n${fileHead}${size}\r\n`);
  await slow.closed;
  assert.match(slow.received(), /HTTP\/1\.1 408 /);
});

// Guards against a connection that hangs because nobody reads what is left of a body.
test("what comes of a body after its answer is thrown away, for a moment", async (t) => {
  const http = testHttp(t, routes);
  const url = await http.listen();
  const bytes = 900_000;
  const early = await sendSlowly(url, "unread", `${fileHead}Content-Length: ${bytes}\r\n`);
  await eventually(() => early.received().endsWith("}"), "the answer");
  early.socket.write("x".repeat(bytes));
  early.socket.write(`GET /health HTTP/1.1\r\nHost: x\r\n\r\n`);
  await eventually(() => early.received().split("HTTP/1.1 200").length === 3, "the next answer");
  early.socket.destroy();
  const endless = await sendSlowly(url, "unread", `${fileHead}Content-Length: ${bytes}\r\n`);
  await eventually(() => endless.received().endsWith("}"), "the answer");
  http.clock.advance(5_000);
  await endless.closed;
});
