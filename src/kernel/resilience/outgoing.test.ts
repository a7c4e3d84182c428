import assert from "node:assert/strict";
import { test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { manualClock } from "../clock.ts";
import type { OutgoingInit } from "./outgoing.ts";
import { hasCode, hello, serve, startOutgoing } from "./outgoing-fixture.ts";

// Guards against redirects in a circle, and against one to another scheme.
test("redirects end after so many hops, and stay on the web", async (t) => {
  const circle = await serve(t, (request, reply) => {
    reply
      .writeHead(302, { location: request.url === "/file" ? "file:///etc/passwd" : "/again" })
      .end();
  });
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"] });
  const url = `http://127.0.0.1:${circle.port}/`;
  await assert.rejects(outgoing.fetch(url), hasCode("TOO_MANY_REDIRECTS"));
  assert.equal(circle.requests.length, 6);
  await assert.rejects(outgoing.fetch(`${url}file`), hasCode("BAD_URL"));
  const answer = await outgoing.fetch(url, { maxRedirects: 0 });
  assert.equal(answer.status, 302);
  assert.equal(answer.headers["location"], "/again");
  answer.discard();
});

// Guards against a token or a signature that a redirect carries to a stranger.
test("credentials stay with their origin; method and body follow the redirect", async (t) => {
  const stranger = await serve(t, hello);
  const first = await serve(t, (request, reply) => {
    const [, status = "302", where = ""] = (request.url ?? "").split("/");
    const location = where === "here" ? "/end" : `http://127.0.0.1:${stranger.port}/end`;
    if (request.url === "/end") reply.end("here");
    else reply.writeHead(Number(status), { location }).end();
  });
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"] });
  const init: OutgoingInit = {
    method: "POST",
    body: '{"a":1}',
    headers: {
      Authorization: "Bearer secret",
      cookie: "session=secret",
      "X-Api-Key": "secret",
      "webhook-signature": "v1,secret",
      "content-type": "application/json",
      accept: "application/json",
    },
  };
  const go = async (path: string) => {
    const answer = await outgoing.fetch(`http://127.0.0.1:${first.port}/${path}`, init);
    await answer.text();
    return answer.url;
  };
  assert.equal(await go("302/away"), `http://127.0.0.1:${stranger.port}/end`);
  await go("307/away");
  assert.deepEqual(
    stranger.requests.map((one) => [one.method, one.body]),
    [
      ["GET", ""],
      ["POST", '{"a":1}'],
    ],
  );
  for (const { headers } of stranger.requests) {
    assert.ok(!JSON.stringify(headers).includes("secret"), JSON.stringify(headers));
    assert.equal(headers["accept"], "application/json");
  }
  await go("308/here");
  const kept = first.requests.at(-1);
  assert.equal(kept?.headers["authorization"], "Bearer secret");
  assert.equal(kept?.body, '{"a":1}');
});

// Guards against an allow-list that opens more than it says.
test("the allow-list opens exactly the host and port it names", async (t) => {
  const open = await serve(t, hello);
  const closed = await serve(t, hello);
  const { outgoing } = startOutgoing(t, { allow: [`127.1:${open.port}`] });
  assert.equal(await (await outgoing.fetch(`http://127.0.0.1:${open.port}/`)).text(), "hello");
  assert.equal(await (await outgoing.fetch(`http://2130706433:${open.port}/`)).text(), "hello");
  await assert.rejects(
    outgoing.fetch(`http://127.0.0.1:${closed.port}/`),
    hasCode("PRIVATE_ADDRESS"),
  );
  await assert.rejects(
    outgoing.fetch(`http://localhost:${open.port}/`),
    hasCode("PRIVATE_ADDRESS"),
  );
  await assert.rejects(
    outgoing.fetch(`http://127.0.0.2:${open.port}/`),
    hasCode("PRIVATE_ADDRESS"),
  );
  assert.equal(closed.connections(), 0);
  const whole = startOutgoing(t, { allow: ["localhost", "[::1]:81"] }).outgoing;
  assert.equal(await (await whole.fetch(`http://LOCALHOST:${closed.port}/`)).text(), "hello");
  await assert.rejects(whole.fetch("http://[::1]:82/"), hasCode("PRIVATE_ADDRESS"));
});

// Guards against an answer that fills memory, plain, compressed, or announced.
test("bodies larger than allowed break off, also those that decompress to more", async (t) => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  const layered = brotliCompressSync(Buffer.alloc(50_000_000));
  const nothing = gzipSync("");
  const server = await serve(t, (request, reply) => {
    if (request.url === "/announced") reply.writeHead(200, { "content-length": "5000000" });
    if (request.url === "/gzip") reply.writeHead(200, { "content-encoding": "gzip" }).end(bomb);
    else if (request.url === "/br") reply.writeHead(200, { "content-encoding": "br" }).end(layered);
    else if (request.url === "/empty") {
      reply.writeHead(200, { "content-encoding": "gzip" });
      const more = () => {
        while (!reply.destroyed && reply.write(nothing));
        reply.once("drain", more);
      };
      more();
    } else {
      const chunk = Buffer.alloc(65_536);
      const more = () => {
        while (!reply.destroyed && reply.write(chunk));
        reply.once("drain", more);
      };
      more();
    }
  });
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"] });
  for (const path of ["endless", "gzip", "br", "empty", "announced"]) {
    const call = async () => {
      const answer = await outgoing.fetch(`http://127.0.0.1:${server.port}/${path}`, {
        maxBytes: 1_000_000,
      });
      return answer.bytes();
    };
    const code = path === "empty" ? "BAD_RESPONSE" : "TOO_LARGE";
    await assert.rejects(call(), hasCode(code), path);
  }
});

// Guards against servers that drip, stall or never answer.
test("the deadline covers headers, redirects and body", async (t) => {
  const server = await serve(t, (request, reply) => {
    if (request.url === "/headers") return;
    reply.writeHead(200);
    reply.write("beginning");
  });
  for (const path of ["headers", "body"]) {
    const clock = manualClock();
    const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"], clock });
    const before = server.requests.length;
    const call = outgoing
      .fetch(`http://127.0.0.1:${server.port}/${path}`, { timeoutMs: 5_000 })
      .then((answer) => answer.text());
    const refused = assert.rejects(call, hasCode("TIMEOUT"), path);
    while (server.requests.length === before) await new Promise((done) => setImmediate(done));
    for (let turn = 0; turn < 50; turn += 1) await new Promise((done) => setImmediate(done));
    clock.advance(4_999);
    clock.advance(1);
    await refused;
  }
  const clock = manualClock();
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"], clock });
  const unread = await outgoing.fetch(`http://127.0.0.1:${server.port}/body`);
  clock.advance(30_000);
  await new Promise((done) => setImmediate(done));
  await assert.rejects(unread.text(), hasCode("TIMEOUT"), "a body that nobody read");
  const abort = new AbortController();
  const given = outgoing.fetch(`http://127.0.0.1:${server.port}/headers`, { signal: abort.signal });
  abort.abort(new Error("caller left"));
  await assert.rejects(given, /caller left/);
});

// Guards against broken answers that come back as a success or as our own failure.
test("what can't be reached or read is said so", async (t) => {
  const server = await serve(t, (request, reply) => {
    if (request.url === "/gzip")
      reply.writeHead(200, { "content-encoding": "gzip" }).end("no gzip");
    else if (request.url === "/two")
      reply.writeHead(200, { "content-encoding": "gzip, br" }).end("x");
    else if (request.url === "/cut") {
      reply.writeHead(200, { "content-length": "100" });
      reply.write("half", () => reply.destroy());
    } else if (request.url === "/garbage") request.socket.end("SMTP ready\r\n\r\n");
    else reply.end("<html>");
  });
  const base = `http://127.0.0.1:${server.port}`;
  const { outgoing } = startOutgoing(t, {
    allow: ["127.0.0.1", "gone.example.com"],
    resolve: async () => [],
  });
  const get = async (path: string) => (await outgoing.fetch(base + path)).text();
  await assert.rejects(get("/gzip"), hasCode("BAD_RESPONSE"));
  await assert.rejects(get("/two"), hasCode("BAD_RESPONSE"));
  await assert.rejects(get("/cut"), hasCode("UNREACHABLE"));
  await assert.rejects(get("/garbage"), hasCode("BAD_RESPONSE"));
  await assert.rejects((await outgoing.fetch(base)).json(), hasCode("NOT_JSON"));
  await assert.rejects(outgoing.fetch("http://127.0.0.1:1/"), hasCode("UNREACHABLE"));
  await assert.rejects(outgoing.fetch("http://gone.example.com/"), hasCode("UNREACHABLE"));
});

// Guards against headers by which a tenant could steer the connection or smuggle a request.
test("methods and headers that steer the connection are refused", async (t) => {
  const server = await serve(t, hello);
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"] });
  const url = `http://127.0.0.1:${server.port}/`;
  for (const name of [
    "Host",
    "connection",
    "Transfer-Encoding",
    "content-length",
    "Proxy-Authorization",
  ]) {
    const call = outgoing.fetch(url, { headers: { [name]: "x" } });
    await assert.rejects(call, hasCode("BAD_REQUEST"), name);
  }
  const smuggled = { "x-a": "b\r\nHost: 169.254.169.254" };
  await assert.rejects(outgoing.fetch(url, { headers: smuggled }), hasCode("BAD_REQUEST"));
  for (const method of ["CONNECT", "TRACE", "GET / HTTP/1.1\r\nX:"]) {
    await assert.rejects(outgoing.fetch(url, { method }), hasCode("BAD_REQUEST"), method);
  }
  assert.equal(server.requests.length, 0);
});

// Guards against plain use that doesn't work.
test("an allowed request answers status, headers, text, JSON, bytes and stream", async (t) => {
  const server = await serve(t, (request, reply) => {
    if (request.url === "/gzip") {
      reply.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("größer"));
    } else if (request.url === "/br") {
      reply.writeHead(200, { "content-encoding": "br" }).end(brotliCompressSync('{"a":1}'));
    } else if (request.url === "/cookies") {
      reply
        .writeHead(
          404,
          [
            ["set-cookie", "a=1"],
            ["set-cookie", "b=2"],
          ].flat(),
        )
        .end();
    } else reply.end(request.method === "HEAD" ? undefined : "plain");
  });
  const base = `http://127.0.0.1:${server.port}`;
  const { outgoing, metrics } = startOutgoing(t, { allow: ["127.0.0.1"] });
  assert.equal(await (await outgoing.fetch(`${base}/gzip`)).text(), "größer");
  assert.deepEqual(await (await outgoing.fetch(`${base}/br`)).json(), { a: 1 });
  const missing = await outgoing.fetch(`${base}/cookies`);
  assert.deepEqual([missing.ok, missing.status], [false, 404]);
  assert.equal(missing.headers["set-cookie"], "a=1, b=2");
  missing.discard();
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await outgoing.fetch(base)).stream()) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), "plain");
  const head = await outgoing.fetch(base, { method: "HEAD" });
  assert.equal((await head.bytes()).length, 0);
  const put = await outgoing.fetch(base, { method: "put", body: Buffer.from([1, 2, 3]) });
  put.discard();
  assert.equal(server.requests.at(-1)?.method, "PUT");
  assert.match((await metrics.expose()).text, /outcome="answered"\} 6/);
});
