import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { dial, dialInVain } from "#kernel/testing/websocket.ts";
import { WebSocketServer } from "ws";
import { makeLease } from "./fixture.ts";
import { askPlainly, startPorts } from "./fixtures/ports.ts";

const codeOf = async (answer: Response) =>
  `${answer.status} ${((await answer.json()) as { code: string }).code}`;

// Guards against a proxy that reads, changes or holds back what goes through it.
test("whatever is asked of a port reaches the program, and its answer comes back", async (t) => {
  const { ask, heard, answers, prefix } = await startPorts(t);
  answers((request, response) => {
    response.writeHead(201, "Made", { "x-odd": "kept", "content-type": "text/odd" });
    request.pipe(response);
  });
  const bytes = Buffer.alloc(3_000_001, "0\r\n\xff\0z", "latin1");
  const path = "/a%2Fb/../c;d=%20?x=1&x=2&limit=none&=";
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    const headers = { "content-type": "application/json", "idempotency-key": "theirs" };
    const answer = await ask(path.replace("/..", ""), { method, headers, body: bytes });
    assert.deepEqual([answer.status, answer.statusText], [201, "Made"]);
    assert.equal(answer.headers.get("x-odd"), "kept");
    assert.equal(answer.headers.get("content-type"), "text/odd");
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes), method);
    const { url, headers: had } = heard.at(-1) as (typeof heard)[0];
    assert.equal(url, "/a%2Fb/c;d=%20?x=1&x=2&limit=none&=");
    assert.equal(had["content-length"], String(bytes.length));
    assert.equal(had["idempotency-key"], "theirs");
    assert.equal(had["x-forwarded-prefix"], prefix);
  }
  answers((_request, response) => response.writeHead(200, { "content-length": "5" }).end("hello"));
  for (const method of ["GET", "HEAD", "OPTIONS"]) {
    const answer = await ask("/", { method });
    assert.equal(answer.headers.get("content-length"), "5");
    assert.equal(await answer.text(), method === "HEAD" ? "" : "hello");
    assert.deepEqual([heard.at(-1)?.method, heard.at(-1)?.url], [method, "/"]);
  }
  answers((_request, response) => response.writeHead(304, { etag: '"theirs"' }).end());
  assert.equal((await ask("/", { headers: { "if-none-match": '"theirs"' } })).status, 304);
});

// Guards against a container that learns its visitors' credentials or speaks for our origin.
test("credentials stay outside, and what would hold for the whole origin inside", async (t) => {
  const { url, prefix, headers, heard, answers } = await startPorts(t);
  answers((_request, response) => {
    response.writeHead(200, {
      "set-cookie": ["plm_refresh=theirs; Path=/", "b=2"],
      "access-control-allow-origin": "https://evil.test",
      "access-control-allow-credentials": "true",
      "clear-site-data": '"*"',
      "content-security-policy": "default-src *",
      "strict-transport-security": "max-age=0",
      "cache-control": "public, max-age=999",
      "service-worker-allowed": "/",
      "www-authenticate": "Basic",
      "cross-origin-opener-policy": "unsafe-none",
      "x-frame-options": "ALLOWALL",
      connection: "close, x-hop",
      "x-hop": "1",
      refresh: "0; url=https://evil.test",
      "content-type": "text/html",
    });
    response.end("<script>1</script>");
  });
  const answer = await askPlainly(`${url}${prefix}/page`, {
    headers: {
      ...headers,
      cookie: "plm_refresh=secret",
      origin: "https://evil.test",
      forwarded: "for=1.2.3.4",
      "x-forwarded-for": "1.2.3.4",
      "x-real-ip": "1.2.3.4",
      "proxy-authorization": "Basic x",
      connection: "keep-alive, x-secret",
      "x-secret": "of the connection",
      te: "trailers",
      "user-agent": "odd/1",
    },
  });
  assert.equal(answer.status, 200);
  const { host, ...asked } = heard[0]?.headers ?? {};
  assert.equal(host, "localhost:8080");
  assert.deepEqual(asked, {
    connection: "close",
    origin: "https://evil.test",
    "user-agent": "odd/1",
    via: "1.1 plimsoll",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-host": new URL(url).host,
    "x-forwarded-prefix": prefix,
    "x-forwarded-proto": "http",
    "x-request-id": answer.headers["x-request-id"],
  });
  const { date: _date, "x-request-id": _id, ratelimit: _limit, ...said } = answer.headers;
  assert.deepEqual(said, {
    "cache-control": "no-store",
    connection: "keep-alive",
    "content-security-policy": "sandbox; frame-ancestors 'none'",
    "content-type": "text/html",
    "cross-origin-resource-policy": "same-origin",
    "keep-alive": "timeout=72",
    "ratelimit-policy": said["ratelimit-policy"],
    "referrer-policy": "no-referrer",
    "transfer-encoding": "chunked",
    via: "1.1 plimsoll",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
  });
  const { signedIn: _none, ...key } = { signedIn: 0, "x-api-key": "plm_nobody" };
  const refused = await askPlainly(`${url}${prefix}/`, { headers: key });
  assert.equal(refused.status, 401);
  assert.equal(heard.length, 1, "a stranger's request reached the container");
});

// Guards against redirects that lead out of the container's part of the address, with credentials.
test("a redirect stays below its port, and one that leads elsewhere leads nowhere", async (t) => {
  const { ask, answers, prefix, url } = await startPorts(t);
  const follow = async (location: string, from = "/deep/page") => {
    answers((_request, response) => response.writeHead(302, { location }).end());
    const answer = await ask(from);
    assert.equal(answer.status, 302);
    return answer.headers.get("location");
  };
  const host = new URL(url).host;
  assert.equal(await follow("/login?next=%2F#top"), `${prefix}/login?next=%2F#top`);
  assert.equal(await follow("next"), `${prefix}/deep/next`);
  assert.equal(await follow("../../../../up"), `${prefix}/up`);
  assert.equal(await follow("?page=2"), `${prefix}/deep/page?page=2`);
  assert.equal(await follow("http://localhost:8080/x"), `${prefix}/x`);
  assert.equal(await follow(`https://${host}${prefix}/x`), `${prefix}/x`);
  assert.equal(await follow(`${prefix}/known`), `${prefix}/known`);
  assert.equal(await follow(`http://${host}/api/v1/auth/me`), `${prefix}/api/v1/auth/me`);
  for (const away of ["https://evil.test/", "//evil.test/x", "javascript:alert(1)", "http://["]) {
    assert.equal(await follow(away), null, away);
  }
});

// Guards against events that come late, or go on for who may hear them no longer.
test("a stream of events comes as it is sent, and ends with credentials and server", async (t) => {
  const { ask, answers, clock, test: house } = await startPorts(t);
  let send = (_text: string) => {};
  let ended = 0;
  answers((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    send = (text) => void response.write(text);
    response.once("close", () => {
      ended += 1;
    });
  });
  const open = async (headers: Record<string, string>) => {
    const answer = await ask("/events", { headers: { "accept-encoding": "gzip", ...headers } });
    assert.equal(answer.status, 200);
    const reader = answer.body?.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    return { read: async () => Buffer.from((await reader.read()).value ?? []).toString(), reader };
  };
  const first = await open({});
  for (const text of ["data: 1\n\n", "data: 2\n\n"]) {
    send(text);
    assert.equal(await first.read(), text);
  }
  const cut = assert.rejects(first.read());
  clock.advance(16 * 60_000);
  await cut;
  await eventually(() => ended === 1, "the end inside");

  const { signedIn } = await house.person("shared-mine", "admin");
  const second = await open({ authorization: `Bearer ${signedIn.accessToken}` });
  send("data: 3\n\n");
  assert.equal(await second.read(), "data: 3\n\n");
  const over = assert.rejects(second.read());
  const draining = house.app.http.drain();
  await eventually(() => ended === 2, "the end inside", clock);
  await over;
  let clean: boolean | null = null;
  void draining.then((result) => {
    clean = result;
  });
  await eventually(() => clean !== null, "the stop", clock);
  assert.equal(clean, true, "a stream kept the server from stopping");
});

// Guards against WebSockets that carry credentials inside, or outlive the right to them.
test("a WebSocket goes through to the program and ends with its caller's right", async (t) => {
  const { inside, url, prefix, headers, clock, test: house } = await startPorts(t);
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => "chat.v2" });
  const asked: Record<string, unknown>[] = [];
  inside.on("upgrade", (request, socket, head) => {
    if (request.url === "/none")
      return socket.end("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno");
    asked.push({ url: request.url, ...request.headers });
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      accepted.on("message", (data, isBinary) => accepted.send(data, { binary: isBinary }));
    });
  });
  const at = `${url}${prefix}`;
  const protocols = ["chat.v1", "ticket.secret", "chat.v2"];
  const both = await dialInVain(`${at}/ws`, { headers, protocols });
  assert.equal(both.status, 400, "a token and a ticket");
  const client = await dial(`${at}/ws?room=1`, { headers, protocols: ["chat.v1", "chat.v2"] });
  assert.equal(client.socket.protocol, "chat.v2");
  const [first] = asked;
  assert.equal(first?.url, "/ws?room=1");
  assert.equal(first?.authorization, undefined);
  assert.equal(first?.["sec-websocket-protocol"], "chat.v1, chat.v2");
  assert.equal(first?.["x-forwarded-prefix"], prefix);
  const bytes = Buffer.alloc(1_000_000, "abc");
  client.socket.send(bytes);
  await eventually(() => client.bytes().equals(bytes), "the echo");
  client.socket.close(1000);
  assert.equal((await client.closed).code, 1000);

  const refused = await dialInVain(`${at}/none`, { headers });
  assert.deepEqual([refused.status, refused.body], [403, "no"], "as the program says");
  const foreign = await dialInVain(`${at}/ws`, { headers, origin: "https://evil.test" });
  assert.equal(foreign.body.code, "ERR_ACCESS_FOREIGN_ORIGIN");
  assert.equal((await dialInVain(`${at}/ws`)).status, 401);

  const held = await dial(`${at}/ws`, { headers });
  for (let minute = 0; minute < 5; minute += 1) clock.advance(60_000);
  held.socket.send(Buffer.from("still here"));
  await eventually(() => house.app.http.app.webSockets.count() === 1, "the one that is left");
  clock.advance(16 * 60_000);
  assert.equal((await held.closed).code, 1006);
  await eventually(() => sockets.clients.size === 0, "the end inside");
  await eventually(() => house.app.http.app.webSockets.count() === 0, "the end outside");
});

// Guards against a way to ports that nobody has declared, and to others' leases.
test("only declared ports of leases that one may connect to are reached", async (t) => {
  const { ask, heard, headers, test: house, lease, admin, url } = await startPorts(t);
  const at = `/api/v1/leases/${lease.id}/ports`;
  assert.equal(await codeOf(await ask(`${at}/22/`)), "404 ERR_LEASES_UNKNOWN_PORT");
  assert.equal(await codeOf(await ask(`${at}/0/`)), "422 ERR_REQUEST_INVALID");
  assert.equal(await codeOf(await ask(`${at}/8080.5/`)), "422 ERR_REQUEST_INVALID");
  const unknown = "/api/v1/leases/01890000-0000-7000-8000-000000000000/ports";
  const without = async (path: string, who: Record<string, string>) => {
    const answer = await fetch(`${url}${path}/8080/x`, { headers: who });
    const text = (await answer.text()).replaceAll(/[0-9a-f-]{36}/g, "<id>");
    return { status: answer.status, text };
  };
  for (const [tenant, role] of [
    ["shared-other", "tenant_admin"],
    ["shared-mine", "user"],
  ] as const) {
    const { signedIn } = await house.person(tenant, role);
    const who = { authorization: `Bearer ${signedIn.accessToken}` };
    const [foreign, none] = [await without(at, who), await without(unknown, who)];
    assert.equal(foreign.status, 404);
    assert.deepEqual(foreign, none);
  }
  await admin.post("/roles", { name: "reader", permissions: ["lease:read"] });
  const dotted = `${at}/8080/../%2e%2e/..%2f/x`;
  assert.equal((await askPlainly(url, { headers, path: dotted })).status, 200);
  assert.equal(heard.at(-1)?.url, "/../%2e%2e/..%2f/x", "dots are the program's to read");
  const before = heard.length;
  await admin.post(`/leases/${lease.id}/pause?wait=10`);
  assert.equal(await codeOf(await ask("/")), "409 ERR_LEASES_WRONG_STATE");
  await admin.delete(`/leases/${lease.id}`);
  assert.equal(await codeOf(await ask("/")), "410 ERR_LEASES_OVER");
  assert.equal(heard.length, before);
  assert.ok(headers.authorization);
});

// Guards against a request that reaches whoever got the address of a container that has ended.
test("a container that ended meanwhile gets nothing, nor does its heir", async (t) => {
  const { ask, heard, engine, lease, inside } = await startPorts(t);
  inside.once("connection", () => engine.die(engine.of(lease.id)?.id ?? "", { exitCode: 0 }));
  assert.equal(await codeOf(await ask("/secret")), "502 ERR_LEASES_PORT_SILENT");
  assert.equal(heard.length, 0);
});

// Guards against requests that wait for ever for programs that are not there, or not done.
test("a port that is dead, late or speaks something else is answered 502 or 504", async (t) => {
  const { ask, engine, clock, answers, address } = await startPorts(t);
  engine.reach.portAddress = async () => null;
  assert.equal(await codeOf(await ask("/")), "502 ERR_LEASES_PORT_SILENT");
  engine.reach.portAddress = async () => ({ host: "127.0.0.1", port: 1 });
  assert.equal(await codeOf(await ask("/")), "502 ERR_LEASES_PORT_SILENT");
  const other = createServer((socket) => socket.end("SSH-2.0-OpenSSH\r\n")).listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  const { port } = other.address() as { port: number };
  engine.reach.portAddress = async () => ({ host: "127.0.0.1", port });
  assert.equal(await codeOf(await ask("/")), "502 ERR_LEASES_PORT_SILENT");
  engine.reach.portAddress = async () => address;
  let waits = false;
  answers(() => {
    waits = true;
  });
  const late = ask("/", { method: "POST", body: "x" });
  await eventually(() => waits, "the request");
  let isOver = false;
  void late.then(() => {
    isOver = true;
  });
  for (let second = 0; second < 70 && !isOver; second += 1) {
    clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.equal(await codeOf(await late), "504 ERR_LEASES_PORT_LATE");
});

// Guards against half an answer that is taken for a whole one, and work for who has gone.
test("what breaks off inside breaks off outside, and the other way round", async (t) => {
  const { ask, answers } = await startPorts(t);
  answers((_request, response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("half", () => response.destroy());
  });
  const half = await ask("/");
  assert.equal(half.status, 200);
  await assert.rejects(half.text());

  let gone = false;
  answers((_request, response) => {
    response.write("begun");
    response.once("close", () => {
      gone = true;
    });
  });
  const leaving = new AbortController();
  const left = await ask("/", { signal: leaving.signal });
  assert.equal(left.status, 200);
  leaving.abort();
  await eventually(() => gone, "that the program is told");
});

// Guards against one lease that takes every connection, and bodies without end.
test("a lease has 64 requests at once, and a body 256 MiB", async (t) => {
  const { ask, answers, url, prefix, headers, heard } = await startPorts(t);
  const waiting: (() => void)[] = [];
  answers((_request, response) => void waiting.push(() => response.end("done")));
  const all = Array.from({ length: 64 }, () => ask("/slow"));
  await eventually(() => waiting.length === 64, "64 requests");
  assert.equal(await codeOf(await ask("/")), "429 ERR_LEASES_BUSY");
  for (const done of waiting) done();
  for (const answer of await Promise.all(all)) assert.equal(await answer.text(), "done");
  answers((_request, response) => response.end("small"));
  assert.equal(await (await ask("/")).text(), "small");
  const count = heard.length;
  const large = await askPlainly(`${url}${prefix}/`, {
    method: "POST",
    headers: { ...headers, "content-length": "268435457", connection: "close" },
  }).catch((error) => error);
  assert.equal(large.status ?? String(large), 413);
  assert.equal(heard.length, count);
});

// Guards against a lease that goes idle while its ports are used.
test("reaching a port is use of the lease", async (t) => {
  const { admin, ask, clock, pass } = await startPorts(t);
  const { id } = await makeLease(admin, { preset: "large", idleTtlSeconds: 60, ports: [8_080] });
  await pass(50);
  assert.equal(await (await ask(`/api/v1/leases/${id}/ports/8080/`)).text(), "hello");
  await pass(50);
  const { body } = await admin.get(`/leases/${id}`);
  assert.equal(body.state, "running");
  assert.ok(clock.nowMs() > 0);
});
