import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { Type } from "typebox";
import { type TestHttp, testHttp } from "./fixture.ts";
import { type EventStream, eventText } from "./sse.ts";
import type { App } from "./types.ts";

interface Bench {
  http: TestHttp;
  url: string;
  streams: EventStream[];
}

async function start(t: TestContext): Promise<Bench> {
  const streams: EventStream[] = [];
  const held: { http?: TestHttp } = {};
  const routes = (app: App) => {
    app.get(
      "/events",
      {
        schema: { summary: "Events", response: { 200: Type.String() } },
        config: { permission: "thing:read" },
      },
      (request, reply) => {
        streams.push((held.http as TestHttp).streams.open(request, reply));
      },
    );
  };
  const http = testHttp(t, routes, { limits: { shutdownDelayMs: 0 } });
  held.http = http;
  return { http, url: await http.listen(), streams };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function until(holds: () => boolean): Promise<void> {
  for (let n = 0; n < 20_000 && !holds(); n += 1) await turn();
  assert.ok(holds());
}

/** Opens a stream and collects what arrives. */
async function listen({ url }: Bench, as = "ada") {
  const abort = new AbortController();
  const answer = await fetch(`${url}/api/v1/events`, {
    headers: { authorization: `Bearer ${as}`, "accept-encoding": "gzip" },
    signal: abort.signal,
  });
  const received = { text: "", over: false };
  const reading = (async () => {
    for await (const chunk of answer.body ?? []) received.text += Buffer.from(chunk).toString();
  })();
  const over = () => {
    received.over = true;
  };
  reading.then(over, over);
  return { answer, received, abort };
}

// Guards against events that arrive late, mixed up or not at all, and proxies that swallow them.
test("events arrive as they are sent, with heartbeats in between", async (t) => {
  const bench = await start(t);
  const { answer, received } = await listen(bench);
  assert.equal(answer.headers.get("content-type"), "text/event-stream");
  assert.match(String(answer.headers.get("cache-control")), /no-transform/);
  assert.equal(answer.headers.get("content-encoding"), null);
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  assert.ok(answer.headers.get("x-request-id"));
  const [stream] = bench.streams as [EventStream];
  await until(() => received.text === "retry: 2000\n\n");
  assert.ok(stream.send({ id: "7", event: "order.created", data: { name: "O'Brien\n<3" } }));
  const event = 'id: 7\nevent: order.created\ndata: {"name":"O\'Brien\\n<3"}\n\n';
  await until(() => received.text.endsWith(event));
  for (let beats = 1; beats <= 3; beats += 1) {
    bench.http.clock.advance(15_000);
    await until(() => received.text.split(": still here\n\n").length === beats + 1);
  }
  stream.close();
  await until(() => received.over);
  assert.ok(stream.signal.aborted);
  assert.equal(stream.send({ data: 1 }), false);
  await until(() => bench.http.streams.count() === 0);
});

// Guards against a name or id that smuggles in an event of its own.
test("an event is what it was, whatever its parts hold", () => {
  assert.equal(eventText({ data: "a\r\n\r\ndata: b" }), 'data: "a\\r\\n\\r\\ndata: b"\n\n');
  assert.equal(
    eventText({ id: "1\n\ndata: x", event: "a\rb\0", data: 1 }),
    "id: 1data: x\nevent: ab\ndata: 1\n\n",
  );
});

// Guards against memory filled with events that a client never reads.
test("a client that doesn't read is cut off", async (t) => {
  const bench = await start(t);
  const socket = connect(Number(new URL(bench.url).port), "127.0.0.1");
  socket.on("error", () => {});
  socket.pause();
  socket.write("GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\n\r\n");
  await until(() => bench.streams.length === 1);
  const [stream] = bench.streams as [EventStream];
  const data = "x".repeat(60_000);
  let sent = 0;
  while (stream.send({ data })) {
    sent += 1;
    assert.ok(sent < 10_000);
    await turn();
  }
  assert.ok(stream.signal.aborted);
  await until(() => bench.http.streams.count() === 0);
  socket.destroy();
});

// Guards against streams that outlive their reader or their server.
test("a stream ends with its client and with its server", async (t) => {
  const bench = await start(t);
  const one = await listen(bench);
  const two = await listen(bench);
  assert.equal(bench.http.streams.count(), 2);
  one.abort.abort();
  await until(() => bench.streams[0]?.signal.aborted === true);
  assert.equal(bench.http.streams.count(), 1);
  const drained = bench.http.drain();
  await turn();
  bench.http.clock.advance(0);
  await until(() => two.received.over);
  for (let n = 0; n < 5; n += 1) {
    bench.http.clock.advance(500);
    await turn();
  }
  assert.equal(await drained, true);
});

// Guards against one tenant that opens streams until nobody else can, and a HEAD that hangs.
test("streams are bounded per tenant", async (t) => {
  const bench = await start(t);
  const head = await fetch(`${bench.url}/api/v1/events`, {
    method: "HEAD",
    headers: { authorization: "Bearer ada" },
  });
  assert.equal(head.status, 200);
  await until(() => bench.http.streams.count() === 0);
  const open = await Promise.all(Array.from({ length: 200 }, () => listen(bench)));
  assert.equal((await listen(bench)).answer.status, 429);
  assert.equal((await listen(bench, "eve")).answer.status, 200);
  open[0]?.abort.abort();
  await until(() => bench.http.streams.count() === 200);
  assert.equal((await listen(bench)).answer.status, 200);
  const closed = once(bench.http.app.server, "close");
  bench.http.app.server.closeAllConnections();
  bench.http.app.server.close();
  await closed;
});
