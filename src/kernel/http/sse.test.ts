import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { Type } from "typebox";
import { testCaller, type TestHttp, testHttp } from "./fixture.ts";
import type { HttpOptions } from "./server.ts";
import { type EventStream, eventText, type TextStream } from "./sse.ts";
import type { App } from "./types.ts";

interface Bench {
  http: TestHttp;
  url: string;
  streams: EventStream[];
  texts: TextStream[];
}

async function start(t: TestContext, options: Partial<HttpOptions> = {}): Promise<Bench> {
  const streams: EventStream[] = [];
  const texts: TextStream[] = [];
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
    app.get(
      "/text",
      {
        schema: { summary: "Text", response: { 200: Type.String() } },
        config: { permission: "thing:read" },
      },
      (request, reply) => {
        texts.push((held.http as TestHttp).streams.openText(request, reply));
      },
    );
  };
  const http = testHttp(t, routes, { limits: { shutdownDelayMs: 0 }, options });
  held.http = http;
  return { http, url: await http.listen(), streams, texts };
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

// Guards against lines that are lost to a reader for being slow, and memory that they fill.
test("whoever delivers waits for a slow reader, who gets all of it", async (t) => {
  const bench = await start(t);
  for (const path of ["events", "text"] as const) {
    const socket = connect(Number(new URL(bench.url).port), "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.write(`GET /api/v1/${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\n\r\n`);
    await until(() => (path === "events" ? bench.streams : bench.texts).length === 1);
    const [events, text] = [bench.streams[0], bench.texts[0]];
    const piece = "x".repeat(400_000);
    const marked = (n: number) => `${piece}<${n}>`;
    const send = (n: number) =>
      path === "events" ? events?.deliver({ data: marked(n) }) : text?.deliver(`${marked(n)}\n`);
    let sent = 0;
    const sending = (async () => {
      while (sent < 60 && (await send(sent))) sent += 1;
    })();
    let before = -1;
    // Until nothing goes on any more.
    while (before < sent) {
      before = sent;
      for (let n = 0; n < 200; n += 1) await turn();
    }
    assert.ok(sent < 60, `${sent} pieces wait in memory`);
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk;
    });
    socket.resume();
    await sending;
    assert.equal(sent, 60);
    (path === "events" ? events : text)?.close();
    await once(socket, "close");
    const numbers = [...received.matchAll(/<(\d+)>/g)].map(([, n]) => Number(n));
    assert.deepEqual(numbers, [...Array(60).keys()]);
    assert.equal(received.includes("still here"), false);
  }
});

// Guards against a reader who goes on reading what it may not see any more.
test("a stream ends when its caller may no more, or less", async (t) => {
  const held = { may: "all" as "all" | "own" | "nothing" | "gone" };
  const authenticate: HttpOptions["authenticate"] = ({ authorization = "" }) => {
    const caller = testCaller(authorization.replace("Bearer ", ""));
    if (!caller || held.may === "gone") return null;
    if (held.may === "nothing") return { ...caller, permissions: new Map() };
    return { ...caller, permissions: new Map([["thing:read", held.may]]) };
  };
  const bench = await start(t, { authenticate });
  for (const may of ["own", "nothing", "gone"] as const) {
    held.may = "all";
    const events = await listen(bench);
    const text = await fetch(`${bench.url}/api/v1/text`, {
      headers: { authorization: "Bearer ada" },
    });
    assert.equal(text.headers.get("content-type"), "text/plain; charset=utf-8");
    bench.http.clock.advance(5_000);
    for (let n = 0; n < 20; n += 1) await turn();
    assert.equal(events.received.over, false);
    held.may = may;
    bench.http.clock.advance(5_000);
    await until(() => events.received.over);
    assert.equal(await text.text(), "");
  }
});

// Guards against a reader who takes half of a text for all of it.
test("a text that is cut shows that it is not whole", async (t) => {
  const bench = await start(t);
  const answer = await fetch(`${bench.url}/api/v1/text`, {
    headers: { authorization: "Bearer ada" },
  });
  const [text] = bench.texts as [TextStream];
  await text.deliver("half of");
  text.cut();
  await assert.rejects(answer.text());
  await until(() => text.signal.aborted);
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
