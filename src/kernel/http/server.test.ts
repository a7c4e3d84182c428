import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Type } from "typebox";
import { rawExchange, testHttp } from "./fixture.ts";
import { ById, strict } from "./schemas.ts";
import type { App } from "./types.ts";

const authorization = "Bearer ada";
const auth = `Authorization: ${authorization}\r\n`;
const response = { 200: Type.Object({}, { additionalProperties: true }) };
const read = { permission: "thing:read" };

function routes(app: App): void {
  const querystring = strict({ q: Type.Optional(Type.String()), n: Type.Optional(Type.Integer()) });
  app.get(
    "/things",
    { schema: { summary: "List", querystring, response }, config: read },
    (request) => ({
      query: request.query,
      id: request.id,
    }),
  );
  app.post(
    "/notes",
    {
      schema: { summary: "Note", body: strict({ a: Type.String() }), response },
      config: { permission: "thing:create" },
    },
    () => ({}),
  );
  app.get(
    "/things/:id",
    { schema: { summary: "One", params: ById, response }, config: read },
    (request) => ({ id: request.params.id }),
  );
  app.delete(
    "/things/:id",
    { schema: { summary: "Gone", params: ById, response }, config: { permission: "thing:delete" } },
    () => ({}),
  );
  app.get("/big", { schema: { summary: "Big", response }, config: read }, () => ({
    text: "plenty of text ".repeat(500),
  }));
  app.get(
    "/secret",
    { schema: { summary: "Secret", response }, config: { ...read, secretAnswer: true } },
    () => ({ text: "plenty of text ".repeat(500) }),
  );
}

const code = (received: string) => JSON.parse(received.slice(received.indexOf("{"))).code;

// Guards against two readers of one connection who disagree where a request ends (smuggling).
test("a request in an ambiguous or broken frame is refused, its connection closed", async (t) => {
  const http = testHttp(t, routes);
  const url = await http.listen();
  const next = "GET /api/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
  const json = "Content-Type: application/json\r\n";
  const head = `POST /api/v1/notes HTTP/1.1\r\nHost: x\r\n${auth}${json}`;
  const broken = [
    `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${next}`,
    `${head}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${next}`,
    `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello${next}`,
    `${head}Content-Length: +5\r\n\r\nhello${next}`,
    `${head}Content-Length: 5, 5\r\n\r\nhello${next}`,
    `${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${next}`,
    `${head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${next}`,
    `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n${next}`,
    `${head}Content-Length : 5\r\n\r\nhello${next}`,
    `${head}X-Folded: a\r\n b\r\n\r\n${next}`,
    `${head}X-Bare: a\nX-Other: b\r\n\r\n${next}`,
    `${head}\0: a\r\n\r\n${next}`,
    `GET /api/v1/things HTTP/9.9\r\nHost: x\r\n\r\n${next}`,
    `GET /api/v1/th ings HTTP/1.1\r\nHost: x\r\n\r\n${next}`,
    `G\0T / HTTP/1.1\r\nHost: x\r\n\r\n${next}`,
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS",
    `GET /api/v1/things HTTP/1.1\r\nHost: x\r\nX-Long: ${"a".repeat(20_000)}\r\n\r\n${next}`,
  ];
  for (const bytes of broken) {
    const received = await rawExchange(url, Buffer.from(bytes, "latin1"));
    const about = JSON.stringify(bytes.slice(0, 160));
    assert.match(received, /^HTTP\/1\.1 4\d\d /, about);
    assert.ok(!received.includes("smuggled"), about);
    assert.match(received, /content-type: application\/problem\+json/i, about);
    assert.equal(code(received), "ERR_REQUEST_MALFORMED", about);
  }
});

// Guards against 500s, and against answers that are no problem documents, for strange addresses.
test("a malformed address or host is 4xx with a problem document", async (t) => {
  const http = testHttp(t, routes);
  const url = await http.listen();
  const ask = (target: string, headers = "Host: x\r\n") =>
    rawExchange(url, `GET ${target} HTTP/1.1\r\n${headers}${auth}Connection: close\r\n\r\n`);
  const cases: [string, RegExp][] = [
    ["/api/v1/things/%zz", /^HTTP\/1\.1 400 /],
    ["/api/v1/things/%ff", /^HTTP\/1\.1 400 /],
    ["/api/v1/things?q=%ff", /^HTTP\/1\.1 400 /],
    ["/api/v1/things?q=%00", /^HTTP\/1\.1 422 /],
    ["/api/v1/things/%00", /^HTTP\/1\.1 422 /],
    [`/api/v1/things/${"a".repeat(600)}`, /^HTTP\/1\.1 400 /],
    ["/api/v1/things/not-a-uuid", /^HTTP\/1\.1 422 /],
    ["/api/v1/things?n=1.5", /^HTTP\/1\.1 422 /],
    ["/api/v1/things?q=a&q=b", /^HTTP\/1\.1 422 /],
    ["/api/v1/things?__proto__=1", /^HTTP\/1\.1 422 /],
    ["/api/v1/../things", /^HTTP\/1\.1 404 /],
    ["//api/v1/things", /^HTTP\/1\.1 404 /],
    ["/api/v1/things;a=b", /^HTTP\/1\.1 404 /],
    ["/api/v1/things/", /^HTTP\/1\.1 404 /],
    ["/api/v1/things/?limit=1", /^HTTP\/1\.1 404 /],
    ["/api/v1/things//", /^HTTP\/1\.1 404 /],
    ["*", /^HTTP\/1\.1 404 /],
    ["/api/v1/things", /^HTTP\/1\.1 200 /],
    ["http://elsewhere/api/v1/things", /^HTTP\/1\.1 200 /],
  ];
  for (const [target, expected] of cases) {
    const received = await ask(target);
    assert.match(received, expected, target);
    if (received.startsWith("HTTP/1.1 4")) assert.match(code(received), /^ERR_REQUEST_/, target);
    assert.match(received, /x-request-id: /i, target);
  }
  // What it expects is refused before anything is done, whatever is asked for.
  for (const expect of ["nonsense", "100-continue, nonsense"]) {
    const received = await ask("/api/v1/things", `Host: x\r\nExpect: ${expect}\r\n`);
    assert.match(received, /HTTP\/1\.1 417 /);
    assert.match(received, /content-type: application\/problem\+json/i);
    assert.equal(code(received), "ERR_REQUEST_EXPECTATION_FAILED");
  }
  const served = await ask("/api/v1/things", "Host: x\r\nExpect: 100-Continue\r\n");
  assert.match(served, /HTTP\/1\.1 200 /);
  assert.match(await ask("/api/v1/things", ""), /^HTTP\/1\.1 400 .*must name its Host/s);
  assert.ok(!http.lines.some(({ level }) => level === "error"));
});

// Guards against a wrong method that looks like a missing thing, and against Allow that lies.
test("an unknown path is 404, a wrong method 405 with Allow, OPTIONS says so too", async (t) => {
  const { app } = testHttp(t, routes);
  const id = "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a";
  const ask = (method: string, url: string) => app.inject({ method: method as "GET", url });
  const unknown = await ask("GET", "/api/v1/nothing");
  assert.equal(unknown.statusCode, 404);
  assert.equal(unknown.json().code, "ERR_REQUEST_NOT_FOUND");
  for (const method of ["POST", "PUT", "PATCH", "TRACE"]) {
    const wrong = await ask(method, `/api/v1/things/${id}`);
    assert.equal(wrong.statusCode, 405, method);
    assert.equal(wrong.headers.allow, "GET, HEAD, DELETE, OPTIONS");
  }
  const options = await ask("OPTIONS", "/api/v1/things");
  assert.deepEqual([options.statusCode, options.headers.allow], [204, "GET, HEAD, OPTIONS"]);
  assert.equal((await ask("OPTIONS", "/api/v1/nothing")).statusCode, 404);
  const head = await app.inject({
    method: "HEAD",
    url: "/api/v1/things",
    headers: { authorization },
  });
  assert.deepEqual([head.statusCode, head.payload], [200, ""]);
  assert.equal((await ask("HEAD", "/api/v1/things")).statusCode, 401);
});

// Guards against a log line that can't be found by the id that the client was told, and forged
// lines.
test("a request id is taken if it is safe, made if not, and a trace is continued", async (t) => {
  const http = testHttp(t, routes);
  const ask = (headers: Record<string, string>) =>
    http.app.inject({ url: "/api/v1/things", headers: { authorization, ...headers } });
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const given = await ask({ "x-request-id": "job-17/a.b:c", traceparent });
  assert.equal(given.headers["x-request-id"], "job-17/a.b:c");
  assert.equal(given.json().id, "job-17/a.b:c");
  assert.match(
    String(given.headers.traceresponse),
    /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/,
  );
  const line = http.lines.at(-1);
  assert.equal(line?.requestId, "job-17/a.b:c");
  assert.equal(line?.trace, "0af7651916cd43dd8448eb211c80319c");
  assert.equal(line?.tenant, "0a000000-0000-7000-8000-000000000001");
  for (const unsafe of ["a b", 'x","level":"fatal', "x".repeat(129), "é", ""]) {
    const made = await ask({ "x-request-id": unsafe });
    assert.match(String(made.headers["x-request-id"]), /^[0-9a-f-]{36}$/, unsafe);
  }
  for (const invalid of [
    "00-0-0-0",
    `ff${traceparent.slice(2)}`,
    `${traceparent}-more`,
    `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
  ]) {
    assert.equal((await ask({ traceparent: invalid })).headers.traceresponse, undefined, invalid);
  }
  assert.ok((await ask({ traceparent: `01${traceparent.slice(2)}-more` })).headers.traceresponse);
});

// Guards against a page of another origin that reads a tenant's data, and against a framed console.
test("headers keep browsers strict, and only listed origins may read answers", async (t) => {
  const { app } = testHttp(t, routes, {
    config: { corsOrigins: ["https://app.example.com"], publicUrl: "https://plimsoll.example.com" },
  });
  const from = (origin?: string, method: "GET" | "OPTIONS" = "GET") =>
    app.inject({
      method,
      url: "/api/v1/things",
      headers: {
        authorization,
        ...(origin !== undefined && { origin }),
        ...(method === "OPTIONS" && { "access-control-request-method": "GET" }),
      },
    });
  const plain = await from();
  assert.equal(plain.headers["x-content-type-options"], "nosniff");
  assert.match(
    String(plain.headers["content-security-policy"]),
    /default-src 'none'.*frame-ancestors 'none'/,
  );
  assert.equal(plain.headers["referrer-policy"], "no-referrer");
  assert.match(String(plain.headers["strict-transport-security"]), /max-age=\d{8}/);
  assert.equal(plain.headers["cache-control"], "no-store");
  assert.equal(plain.headers.server, undefined);
  assert.equal(plain.headers["x-powered-by"], undefined);
  const friend = await from("https://app.example.com");
  assert.equal(friend.headers["access-control-allow-origin"], "https://app.example.com");
  const preflight = await from("https://app.example.com", "OPTIONS");
  assert.equal(preflight.statusCode, 204);
  assert.equal(preflight.headers["access-control-allow-methods"], "GET, HEAD");
  assert.match(String(preflight.headers["access-control-allow-headers"]), /Idempotency-Key/);
  const foreign = [
    "null",
    "*",
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://evil-app.example.com",
    "https://app.example.com.evil.example",
    "https://sub.app.example.com",
    "https://APP.example.com",
    "https://app.example.com ",
    "",
    "https://plimsoll.example.com",
  ];
  for (const origin of foreign) {
    for (const method of ["GET", "OPTIONS"] as const) {
      const { headers } = await from(origin, method);
      assert.equal(headers["access-control-allow-origin"], undefined, origin);
      assert.equal(headers["access-control-allow-methods"], undefined, origin);
    }
  }
  for (const answer of [plain, friend, preflight]) {
    assert.equal(answer.headers["access-control-allow-credentials"], undefined);
    assert.match(String(answer.headers.vary), /Origin/);
  }
  const { app: closed } = testHttp(t, routes, { config: { corsOrigins: ["null", "*"] } });
  const asked = await closed.inject({ url: "/health", headers: { origin: "null" } });
  assert.equal(asked.headers["access-control-allow-origin"], undefined);
  assert.equal(asked.headers["strict-transport-security"], undefined);
});

// Guards against bytes paid for twice, and against lengths that tell a secret (BREACH).
test("long answers are compressed on request, those with a secret never", async (t) => {
  const { app } = testHttp(t, routes);
  const ask = (url: string, encoding = "gzip, br") =>
    app.inject({ url, headers: { authorization, "accept-encoding": encoding } });
  const big = await ask("/api/v1/big");
  assert.equal(big.headers["content-encoding"], "gzip");
  assert.match(String(big.headers.vary), /accept-encoding/i);
  assert.ok(big.rawPayload.length < 500);
  assert.equal((await ask("/api/v1/secret")).headers["content-encoding"], undefined);
  assert.equal((await ask("/api/v1/things")).headers["content-encoding"], undefined);
  assert.equal((await ask("/api/v1/big", "identity")).headers["content-encoding"], undefined);
});

// Guards against TLS that is configured and not spoken.
test("TLS is served from the certificate and key files", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "plimsoll-tls-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const certFile = join(folder, "cert.pem");
  const keyFile = join(folder, "key.pem");
  try {
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        keyFile,
        "-out",
        certFile,
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
      ],
      { stdio: "ignore" },
    );
  } catch {
    return t.skip("needs the openssl command to make a certificate");
  }
  const http = testHttp(t, routes, { config: { tls: { certFile, keyFile } } });
  const url = (await http.listen()).replace("http:", "https:");
  const agent = new Agent({ rejectUnauthorized: false });
  const { status, hsts } = await new Promise<{ status?: number; hsts?: string }>(
    (resolve, reject) => {
      get(`${url}/health`, { agent }, (answer) => {
        answer.resume();
        resolve({
          status: answer.statusCode ?? 0,
          hsts: String(answer.headers["strict-transport-security"]),
        });
      }).on("error", reject);
    },
  );
  agent.destroy();
  assert.equal(status, 200);
  assert.match(String(hsts), /max-age=/);
});

// Guards against a page of another origin locking its users out by asking what it may do.
test("preflights are not counted against the address", async (t) => {
  const http = testHttp(t, () => {}, {
    config: { corsOrigins: ["https://app.example.com"] },
    limits: { anonymousPerMinute: 100, anonymousBurst: 20 },
  });
  for (let n = 0; n < 60; n += 1) {
    const answer = await http.app.inject({
      method: "OPTIONS",
      url: "/health",
      headers: { origin: "https://app.example.com", "access-control-request-method": "GET" },
    });
    assert.equal(answer.statusCode, 204);
  }
});
