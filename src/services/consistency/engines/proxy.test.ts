import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { until } from "../fixtures/real.ts";
import { type Allow, openLink, soundLink } from "./proxy.ts";
import { pipeBytesAtMost } from "./proxy-pipe.ts";

const clock = systemClock;
const cut = { ...soundLink, isCutToNode: true, isCutFromNode: true };

/** A node that answers what it is told, or whatever `serve` does, behind a proxy. */
async function house(
  t: TestContext,
  serve: (socket: Socket) => void = (socket) => void socket.pipe(socket),
  allow?: Allow,
) {
  const served: Socket[] = [];
  const node = createServer({ allowHalfOpen: true }, (socket) => {
    served.push(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  node.listen(0, "127.0.0.1");
  await once(node, "listening");
  const { port } = node.address() as { port: number };
  const link = await openLink({ host: "127.0.0.1", port }, { clock, ...(allow && { allow }) });
  t.after(async () => {
    await link.close();
    for (const socket of served) socket.destroy();
    await new Promise((resolve) => node.close(resolve));
  });
  const client = () => {
    const socket = connect({ host: link.host, port: link.port });
    let text = "";
    let isClosed = false;
    socket.on("data", (data) => {
      text += data.toString();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      isClosed = true;
    });
    t.after(() => void socket.destroy());
    return { socket, text: () => text, isClosed: () => isClosed };
  };
  return { link, client, served };
}

// Guards against a proxy that changes, reorders or loses bytes of a sound link, or its end.
test("a sound link passes everything on, in order, to the end", async (t) => {
  const { link, client } = await house(t);
  const one = client();
  const parts = Array.from({ length: 2_000 }, (_, at) => `${at},`);
  for (const part of parts) one.socket.write(part);
  one.socket.end();
  await until("the end", () => one.isClosed());
  assert.equal(one.text(), parts.join(""));
  await until("no connection", () => link.connections() === 0);
});

// Guards against a cut that only delays: what a stopped process would bring after all.
test("what is sent in a cut never arrives, and its connection is reset when mended", async (t) => {
  let received = "";
  const { link, client } = await house(t, (socket) => {
    socket.on("data", (data) => {
      received += data.toString();
      socket.write("answer");
    });
  });
  const one = client();
  one.socket.write("before");
  await until("an answer", () => one.text() === "answer");
  link.set(cut);
  one.socket.write("lost");
  const late = client();
  late.socket.write("late");
  await clock.sleep(100);
  assert.equal(one.isClosed() || late.isClosed(), false, "a cut is silence, not an end");
  link.set(soundLink);
  await until("both reset", () => one.isClosed() && late.isClosed());
  assert.equal(received, "before");
  const again = client();
  again.socket.write("after");
  await until("an answer", () => again.text() === "answer");
  assert.equal(received, "beforeafter");
});

// Guards against one-way cuts that cut both ways: the node must act on what it heard.
test("a cut of answers lets requests through", async (t) => {
  let received = "";
  const { link, client } = await house(t, (socket) => {
    socket.on("data", (data) => {
      received += data.toString();
      socket.write(data);
    });
  });
  const one = client();
  one.socket.write("a");
  await until("an answer", () => one.text() === "a");
  link.set({ ...soundLink, isCutFromNode: true });
  one.socket.write("b");
  await until("the request", () => received === "ab");
  await clock.sleep(50);
  assert.equal(one.text(), "a");
});

// Guards against a delay that reorders, or that does not delay.
test("a delay holds each way back and keeps the order", async (t) => {
  const { link, client } = await house(t);
  link.set({ ...soundLink, delayMs: 60 });
  const one = client();
  const startedMs = clock.monotonicMs();
  for (const part of ["a", "b", "c"]) one.socket.write(part);
  one.socket.end();
  await until("the end", () => one.isClosed());
  assert.equal(one.text(), "abc");
  assert.ok(clock.monotonicMs() - startedMs >= 120);
});

// Guards against a proxy whose memory a node that reads nothing can fill.
test("a node that reads nothing makes its client wait", async (t) => {
  const { link, served } = await house(t, (socket) => void socket.pause());
  const direct = await link.connect(1_000);
  direct.on("error", () => {});
  t.after(() => void direct.destroy());
  const chunk = Buffer.alloc(64 * 1024);
  let writtenBytes = 0;
  const most = 64 * 1024 * 1024;
  while (writtenBytes < most && direct.writableLength < 4 * pipeBytesAtMost) {
    direct.write(chunk);
    writtenBytes += chunk.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(writtenBytes < most, "all of it was taken");
  assert.equal(served.length, 1);
});

// Guards against a connection that counts as made although the node was never reached.
test("a link that refuses, a guard that refuses and a dead node are no connection", async (t) => {
  const { link, client } = await house(t);
  const one = client();
  one.socket.write("x");
  await until("an answer", () => one.text() === "x");
  link.set({ ...soundLink, isRefusing: true });
  await until("the reset", () => one.isClosed());
  await assert.rejects(link.connect(1_000));
  const asked: string[] = [];
  const guarded = await house(t, undefined, async (host, port) => {
    asked.push(`${host}:${port}`);
    throw new Error("not allowed");
  });
  await assert.rejects(guarded.link.connect(1_000));
  assert.equal(asked.length, 1);
  assert.equal(guarded.served.length, 0);
  const dead = await openLink({ host: "127.0.0.1", port: 1 }, { clock });
  await assert.rejects(dead.connect(1_000));
  await dead.close();
});

// Guards against a proxy that keeps sockets, or its process, alive after it was closed.
test("close ends every connection", async (t) => {
  const { link, client } = await house(t);
  const one = client();
  one.socket.write("x");
  await until("an answer", () => one.text() === "x");
  link.set(cut);
  await link.close();
  await until("the reset", () => one.isClosed());
  assert.equal(link.connections(), 0);
  await assert.rejects(link.connect(500));
});
