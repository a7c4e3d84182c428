import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { header, row, startImports } from "./fixtures/import.ts";

// Guards against files that a shop's own line can't send in the time of other requests.
test("a file may take minutes to arrive, and not for ever", async (t) => {
  const house = await startImports(t, "shared", { PLIMSOLL_REQUEST_TIMEOUT_MS: "1000" });
  const { app, adminToken, clock } = house;
  const url = new URL(await app.listen());
  const begin = async (path: string, type: string) => {
    const socket = connect(Number(url.port), url.hostname);
    await once(socket, "connect");
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk;
    });
    socket.on("error", () => {});
    const closed = once(socket, "close");
    socket.write(
      `POST /api/v1/${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${adminToken}\r\n` +
        `Content-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    const write = (text: string) =>
      socket.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
    return { socket, closed, write, received: () => received };
  };
  const file = await begin("products/import", "text/csv");
  file.write(`${header}\n`);
  const usual = await begin("shops", "application/json");
  usual.write("{");
  await usual.closed;
  assert.match(usual.received(), /^HTTP\/1\.1 408 /);
  file.write(`${row("A")}\n`);
  file.socket.write("0\r\n\r\n");
  await eventually(() => file.received().includes("\r\n\r\n{"), "the report");
  assert.match(file.received(), /^HTTP\/1\.1 200 /);
  const late = await begin("products/import", "text/csv");
  late.write(`${header}\n`);
  await eventually(async () => {
    clock.advance(300_000);
    return late.received() !== "";
  }, "the end of patience");
  await late.closed;
  assert.match(late.received(), /^HTTP\/1\.1 408 .*ERR_REQUEST_TIMEOUT/s);
});
