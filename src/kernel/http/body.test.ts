import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { Type } from "typebox";
import { eventually } from "../testing/events.ts";
import { rawExchange, testHttp } from "./fixture.ts";
import { strict } from "./schemas.ts";
import type { App } from "./types.ts";

const authorization = "Bearer ada";
/** Of a request that is written byte by byte; its length and body come behind. */
const postHead = [
  "POST /api/v1/things HTTP/1.1",
  "Host: x",
  `Authorization: ${authorization}`,
  "Content-Type: application/json",
  "",
].join("\r\n");
const Thing = strict({
  name: Type.String({ minLength: 1, maxLength: 200 }),
  count: Type.Optional(Type.Integer({ minimum: 0 })),
  kind: Type.Optional(Type.Enum(["big", "small"])),
  tags: Type.Optional(Type.Array(Type.String(), { maxItems: 5 })),
});
const config = { permission: "thing:create" };
const response = { 200: Type.Object({}, { additionalProperties: true }) };

const csv = ["text/csv"];
/** Holds the handler between the head of a request and its reading of the body. */
const waiting = {
  arrived: Promise.withResolvers<void>(),
  turn: Promise.withResolvers<void>(),
};

function routes(app: App): void {
  app.post(
    "/things",
    { schema: { summary: "Echo", body: Thing, response }, config },
    (request) => ({
      got: request.body,
      bytes: request.bodyBytes?.length,
    }),
  );
  app.post(
    "/things/note",
    {
      schema: {
        summary: "Optional body",
        body: strict({ reason: Type.Optional(Type.String()) }),
        response,
      },
      config,
    },
    (request) => ({ got: request.body }),
  );
  app.put(
    "/things/later",
    { schema: { summary: "Reads when it is told", response }, config: { ...config, accepts: csv } },
    async (request) => {
      const { turn } = waiting;
      waiting.arrived.resolve();
      await turn.promise;
      return { length: (await text(request.body as Readable)).length };
    },
  );
  app.post("/things/touch", { schema: { summary: "No body", response }, config }, () => ({}));
  app.put(
    "/things/file",
    {
      schema: { summary: "Streamed body", response },
      config: { ...config, accepts: ["text/csv"], bodyLimitBytes: 2_000_000 },
    },
    (request) => text(request.body as Readable).then(({ length }) => ({ length })),
  );
  app.post(
    "/things/small",
    {
      schema: { summary: "Small", body: Thing, response },
      config: { ...config, bodyLimitBytes: 64 },
    },
    () => ({}),
  );
}

// Guards against injection being met by mangling: what people are called comes back as they wrote
// it.
test("awkward text comes back unharmed", async (t) => {
  const { app } = testHttp(t, routes);
  for (const name of [
    "O'Brien <3",
    '"; drop table shop; --',
    "\u{1F9C0} é\u0301 \u202e",
    "</script>",
    "$1 %s ${x}",
  ]) {
    const answer = await app.inject({
      method: "POST",
      url: "/api/v1/things",
      headers: { authorization },
      payload: { name },
    });
    assert.equal(answer.statusCode, 200, answer.payload);
    assert.equal(answer.json().got.name, name);
    assert.equal(answer.json().bytes, Buffer.byteLength(JSON.stringify({ name })));
  }
});

// Guards against members that slip by, against coercion, and against only one fault being named.
test("what the schema doesn't know is refused, each fault by its path", async (t) => {
  const { app } = testHttp(t, routes);
  const post = (payload: object) =>
    app.inject({ method: "POST", url: "/api/v1/things", headers: { authorization }, payload });
  const answer = await post({ name: 5, count: "3", colour: "red", tags: ["a", 7], kind: "huge" });
  assert.equal(answer.statusCode, 422);
  const { errors, code } = answer.json();
  assert.equal(code, "ERR_REQUEST_INVALID");
  const byPath = Object.fromEntries(
    errors.map(({ path, message }: { path: string; message: string }) => [path, message]),
  );
  assert.deepEqual(Object.keys(byPath).sort(), ["/colour", "/count", "/kind", "/name", "/tags/1"]);
  assert.match(byPath["/colour"], /not a member that is known/);
  assert.equal(byPath["/kind"], 'must be one of "big", "small"');
  assert.deepEqual((await post({ count: 1 })).json().errors, [
    { path: "/name", message: "is required" },
  ]);
  for (const payload of [[], "text", 5, null]) {
    const refused = await app.inject({
      method: "POST",
      url: "/api/v1/things",
      headers: { authorization, "content-type": "application/json" },
      payload: JSON.stringify(payload),
    });
    assert.equal(refused.statusCode, 422, JSON.stringify(payload));
  }
});

// Guards against a list of faults that is longer to write than the body was to read.
test("a body full of faults gets a short answer", async (t) => {
  const { app } = testHttp(t, routes);
  for (const count of [100, 100_000]) {
    const payload = {
      name: "x",
      ...Object.fromEntries(Array.from({ length: count }, (_, n) => [`m${n}`, n])),
    };
    const answer = await app.inject({
      method: "POST",
      url: "/api/v1/things",
      headers: { authorization },
      payload,
    });
    assert.equal(answer.statusCode, count === 100 ? 422 : 413);
    assert.ok((answer.json().errors ?? []).length <= 20);
    assert.ok(answer.payload.length < 5_000);
  }
});

// Guards against a content type that gets a body past its schema (CVE-2026-25223 and its kin).
test("only JSON is taken where nothing else is declared, however it is spelled", async (t) => {
  const { app } = testHttp(t, routes);
  const post = (type: string | undefined, payload: string | Buffer, url = "/api/v1/things") =>
    app.inject({
      method: "POST",
      url,
      headers: { authorization, ...(type !== undefined && { "content-type": type }) },
      payload,
    });
  const good = [
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON;charset=UTF-8",
    'application/json; charset="utf-8"',
  ];
  for (const type of good) assert.equal((await post(type, '{"name":"x"}')).statusCode, 200, type);
  const bad = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "application/json; charset=iso-8859-1",
    "application/jsonx",
    "text/json",
    "application/json, text/plain",
    "application/vnd.api+json",
    "application/json;a=b\tc",
    "application/json\ta",
    "application/json garbage",
    "application /json",
    "application/xml",
    "text/plain; application/json",
    "*/*",
    "json",
    ";",
    "application/json; charset=utf-7",
  ];
  for (const type of bad) {
    const answer = await post(type, '{"name":"x","admin":true}');
    assert.equal(answer.statusCode, 415, `${type}: ${answer.payload}`);
    assert.equal(answer.json().code, "ERR_REQUEST_UNSUPPORTED_MEDIA_TYPE");
  }
  assert.equal((await post("", '{"name":"x"}')).statusCode, 415, "no type at all");
  const zipped = await app.inject({
    method: "POST",
    url: "/api/v1/things",
    headers: { authorization, "content-type": "application/json", "content-encoding": "gzip" },
    payload: Buffer.from([0x1f, 0x8b, 8, 0]),
  });
  assert.equal(zipped.statusCode, 415);
  assert.equal(
    (await post("application/json", Buffer.from('{"name":"\xff"}', "latin1"))).statusCode,
    400,
  );
  assert.equal((await post("application/json", '{"name":')).json().code, "ERR_REQUEST_MALFORMED");
});

// Guards against a route whose body is optional in the specification and required in practice.
test("an optional body may be missing, and a body that nobody asked for is refused", async (t) => {
  const { app } = testHttp(t, routes);
  const post = async (url: string, payload?: object | string, type?: string) => {
    const answer = await app.inject({
      method: "POST",
      url: `/api/v1/things/${url}`,
      headers: { authorization, ...(type !== undefined && { "content-type": type }) },
      ...(payload !== undefined && { payload }),
    });
    return [answer.statusCode, answer.json().got];
  };
  assert.deepEqual(await post("note"), [200, {}]);
  assert.deepEqual(await post("note", "", "application/json"), [200, {}]);
  assert.deepEqual(await post("note", { reason: "late" }), [200, { reason: "late" }]);
  assert.equal((await post("note", { other: 1 }))[0], 422);
  assert.equal((await post("touch"))[0], 200);
  assert.equal((await post("touch", {}))[0], 200);
  assert.equal((await post("touch", { a: 1 }))[0], 422);
  assert.equal((await post("touch", [1]))[0], 422);
});

// Guards against memory taken by a body that says its size, and by one that doesn't.
test("a body beyond the limit is 413, told or untold, and the answer arrives", async (t) => {
  const http = testHttp(t, routes);
  const url = await http.listen();
  const name = "x".repeat(1_200_000);
  const told = await fetch(`${url}/api/v1/things`, {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ name }),
  });
  assert.equal(told.status, 413);
  assert.match(await told.text(), /1048576 bytes/);
  const untold = await rawExchange(
    url,
    [
      `POST /api/v1/things HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n`,
      "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
      ...Array<string>(20).fill(`10000\r\n${"x".repeat(65_536)}\r\n`),
    ],
    (received) => received.includes("requestId"),
  );
  assert.match(untold, /^HTTP\/1\.1 413 /);
  const small = await http.app.inject({
    method: "POST",
    url: "/api/v1/things/small",
    headers: { authorization },
    payload: { name: "y".repeat(100) },
  });
  assert.equal(small.statusCode, 413);
});

// Guards against streamed bodies that no limit applies to, and JSON that pretends to be a stream.
test("a streamed body has its own type and limit", async (t) => {
  const http = testHttp(t, routes);
  const url = await http.listen();
  const put = (type: string, body: string | ReadableStream) =>
    fetch(`${url}/api/v1/things/file`, {
      method: "PUT",
      headers: { authorization, "content-type": type },
      body,
      ...(typeof body !== "string" && { duplex: "half" }),
    });
  assert.deepEqual(await (await put("text/csv; charset=utf-8", "a,b\n1,2\n")).json(), {
    length: 8,
  });
  assert.equal((await put("application/json", "{}")).status, 415);
  assert.equal((await put("text/plain", "a")).status, 415);
  assert.equal((await put("text/csv", "x".repeat(2_000_001))).status, 413);
  const chunks = Readable.from(Array<string>(40).fill("x".repeat(65_536)));
  // A client that is still sending may see its connection end before it sees the answer.
  const answer = await put("text/csv", Readable.toWeb(chunks) as ReadableStream).catch(() => null);
  if (answer) assert.equal(answer.status, 413);
  const untold = await rawExchange(
    url,
    [
      `PUT /api/v1/things/file HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n`,
      "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n",
      ...Array<string>(40).fill(`10000\r\n${"x".repeat(65_536)}\r\n`),
    ],
    (received) => received.includes("requestId"),
  );
  assert.match(untold, /^HTTP\/1\.1 413 .*ERR_REQUEST_TOO_LARGE/s);
  assert.match(untold, /2000000 bytes at most/);
  const inject = (headers: Record<string, string>) =>
    http.app.inject({
      method: "PUT",
      url: "/api/v1/things/file",
      headers: { authorization, ...headers },
    });
  assert.equal((await inject({})).statusCode, 415);
  // A file of no bytes is a file; what is compressed or in another encoding is none of ours.
  assert.deepEqual((await inject({ "content-type": "text/csv" })).json(), { length: 0 });
  assert.equal((await put("text/csv; charset=ISO-8859-1", "a")).status, 415);
  assert.equal((await put('text/csv; header=present; charset="UTF-8"', "a")).status, 200);
  const zipped = await fetch(`${url}/api/v1/things/file`, {
    method: "PUT",
    headers: { authorization, "content-type": "text/csv", "content-encoding": "gzip" },
    body: Buffer.from([0x1f, 0x8b, 8, 0]),
  });
  assert.equal(zipped.status, 415);
});

// Guards against a connection that is held open by sending a body one byte at a time.
test("a request that doesn't arrive in time is 408 and its connection ends", async (t) => {
  const http = testHttp(t, routes, { limits: { requestTimeoutMs: 120 } });
  const url = await http.listen();
  for (const start of [
    `${postHead}Content-Length: 100\r\n\r\n{"na`,
    "GET /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Slow",
  ]) {
    const received = await rawExchange(url, start);
    assert.match(received, /^HTTP\/1\.1 408 /);
    assert.match(received, /application\/problem\+json/);
    assert.equal(JSON.parse(received.split("\r\n\r\n")[1] as string).code, "ERR_REQUEST_TIMEOUT");
  }
});

// Guards against a dropped upload that leaves the process, or the next request, worse off.
test("a client that goes away in the middle of its body harms nobody", async (t) => {
  const http = testHttp(t, routes);
  const url = await http.listen();
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  await once(socket, "connect");
  socket.write(`${postHead}Content-Length: 1000\r\n\r\n{"name":`);
  await once(http.app.server, "request");
  socket.destroy();
  const after = await fetch(`${url}/health`);
  assert.equal(after.status, 200);
  assert.ok(!http.lines.some(({ level }) => level === "error"));
});

// Guards against an upload that takes the process with it, by ending before anybody reads it.
test("a streamed body that breaks off unread harms nobody, and its reader is told", async (t) => {
  const http = testHttp(t, routes);
  const url = await http.listen();
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  await once(socket, "connect");
  socket.write(
    `PUT /api/v1/things/later HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n` +
      "Content-Type: text/csv\r\nContent-Length: 1000\r\n\r\na,b",
  );
  await waiting.arrived.promise;
  const connections = () =>
    new Promise((resolve) => http.app.server.getConnections((_, count) => resolve(count)));
  socket.destroy();
  await eventually(async () => (await connections()) === 0, "the end of the connection");
  waiting.turn.resolve();
  assert.equal((await fetch(`${url}/health`)).status, 200);
  assert.ok(!http.lines.some(({ level }) => level === "error"));
});
