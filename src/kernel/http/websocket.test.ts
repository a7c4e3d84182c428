import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { type TSchema, Type } from "typebox";
import { Problem, requestErrors } from "../errors.ts";
import { identityErrors } from "../identity/errors.ts";
import type { Principal } from "../identity/types.ts";
import { eventually } from "../testing/events.ts";
import { dial, dialInVain } from "../testing/websocket.ts";
import { rawExchange, testCaller, testHttp, type TestHttpOptions } from "./fixture.ts";
import type { App, Authenticate, WebSocketConnection } from "./types.ts";

const opened: TSchema = Type.Null({ description: "Opened." });
const until = (holds: () => boolean, what = "what was waited for") => eventually(holds, what);
const ada = { headers: { authorization: "Bearer ada" } };

/** A server whose `/talk` says everything back, and `/hold` leaves its connections to the test. */
async function start(t: TestContext, options: TestHttpOptions = {}) {
  const held: WebSocketConnection[] = [];
  const routes = (app: App) => {
    const schema = { response: { 101: opened } };
    const websocket = { protocols: ["talk.v1"] };
    app.get(
      "/talk",
      { schema: { summary: "Talk", ...schema }, config: { permission: "thing:read", websocket } },
      (request, reply) => {
        const connection = app.webSockets.accept(request, reply);
        connection.onMessage((message, isBinary) =>
          connection.send(isBinary ? message : message.toString()),
        );
      },
    );
    app.get(
      "/hold",
      {
        schema: { summary: "Hold", ...schema },
        config: { permission: "thing:delete", websocket: {} },
      },
      (request, reply) => void held.push(app.webSockets.accept(request, reply)),
    );
  };
  const http = testHttp(t, routes, options);
  const url = await http.listen();
  t.after(() => {
    for (const connection of held) connection.close(1000, "");
    http.clock.advance(1_000);
  });
  return { http, url, talk: `${url}/api/v1/talk`, hold: `${url}/api/v1/hold`, held };
}

// Guards against WebSockets that nobody counts, finds in the log, or can tell from each other.
test("a WebSocket carries bytes and text both ways and is counted like a request", async (t) => {
  const { http, talk } = await start(t);
  const headers = { ...ada.headers, "x-request-id": "from-afar" };
  const client = await dial(talk, { headers, protocols: ["talk.v2", "talk.v1"] });
  assert.equal(client.socket.protocol, "talk.v1");
  assert.equal(client.headers["x-request-id"], "from-afar");
  assert.equal(client.headers["sec-websocket-extensions"], undefined);
  client.socket.send(Buffer.from([0, 255, 10]));
  client.socket.send('{"said":"O\'Brien <3"}');
  await until(() => client.told.length === 1);
  assert.deepEqual([...client.bytes()], [0, 255, 10]);
  assert.deepEqual(client.told, [{ said: "O'Brien <3" }]);
  assert.equal(http.app.webSockets.count(), 1);
  const text = await exposed(http.app);
  assert.match(text, /http_requests_total{method="GET",route="\/api\/v1\/talk",status="101"} 1/);
  assert.match(text, /websockets_open 1/);
  const line = http.lines.find(({ status }) => status === 101);
  assert.equal(line?.requestId, "from-afar");
  assert.ok(line?.tenant && line?.user);
  client.socket.close(1000);
  await client.closed;
  await until(() => http.app.webSockets.count() === 0);
});

async function exposed(app: App): Promise<string> {
  return (await app.inject({ url: "/metrics" })).payload;
}

// Guards against WebSockets as a way around what every other route asks.
test("what is refused is refused before the upgrade, with a problem document", async (t) => {
  const { talk, hold, http } = await start(t, { config: { corsOrigins: ["https://desk.test"] } });
  const refused = async (url: string, options: Parameters<typeof dialInVain>[1]) => {
    const { status, headers, body } = await dialInVain(url, options);
    assert.match(String(headers["content-type"]), /^application\/problem\+json/);
    assert.equal(headers.connection, "close");
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(body.requestId, headers["x-request-id"]);
    return `${status} ${body.code}`;
  };
  assert.equal(await refused(talk, {}), "401 ERR_IDENTITY_UNAUTHENTICATED");
  const bob = { authorization: "Bearer bob" };
  assert.equal(await refused(hold, { headers: bob }), "403 ERR_ACCESS_FORBIDDEN");
  assert.equal(await refused(talk, { ...ada, protocols: ["chat"] }), "422 ERR_REQUEST_INVALID");
  for (const origin of [
    "https://evil.test",
    "null",
    "http://127.0.0.1:7071",
    "https://desk.test.evil",
  ]) {
    assert.equal(await refused(talk, { ...ada, origin }), "403 ERR_ACCESS_FOREIGN_ORIGIN", origin);
  }
  assert.equal(http.app.webSockets.count(), 0);
  const own = ["http://127.0.0.1:7070", "http://localhost:7070", "https://desk.test"];
  for (const origin of own) (await dial(talk, { ...ada, origin })).socket.terminate();
  const plain = await fetch(talk, ada);
  assert.equal(plain.status, 426);
  assert.equal(plain.headers.get("upgrade"), "websocket");
  const { code } = (await plain.json()) as { code: string };
  assert.equal(code, "ERR_REQUEST_UPGRADE_REQUIRED");
});

const head = (path: string, lines: readonly string[]) =>
  [`GET ${path} HTTP/1.1`, "host: x", "authorization: Bearer ada", ...lines, "", ""].join("\r\n");
const upgrade = ["connection: upgrade", "upgrade: websocket"];
const key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
const version = "sec-websocket-version: 13";

// Guards against handshakes that are half understood, and upgrades to what is not spoken here.
test("a broken handshake is refused, and other upgrades are passed over", async (t) => {
  const { url } = await start(t);
  const path = "/api/v1/talk";
  const first = async (lines: readonly string[], at = path) =>
    (await rawExchange(url, head(at, lines))).split("\r\n")[0];
  assert.match(String(await first([...upgrade, version])), / 400 /);
  assert.match(String(await first([...upgrade, version, "sec-websocket-key: short"])), / 400 /);
  assert.match(String(await first([...upgrade, key, "sec-websocket-version: 12"])), / 426 /);
  const twice = "sec-websocket-protocol: talk.v1, talk.v1";
  assert.match(String(await first([...upgrade, key, version, twice])), / 400 /);
  assert.match(String(await first([...upgrade, key, version], "/api/v1/nothing")), / 404 /);
  // A plain request: the header asks for something that need not be given.
  const other = ["connection: upgrade, close", "upgrade: h2c"];
  assert.match(String(await first(other, "/health")), / 200 /);
});

// Guards against memory and connections that a client takes from all the others.
test("a user opens 50 at most, a message has 64 KiB, and seats are given back", async (t) => {
  const { talk, http } = await start(t);
  const all = await Promise.all(Array.from({ length: 50 }, () => dial(talk, ada)));
  const refused = await dialInVain(talk, ada);
  assert.equal(`${refused.status} ${refused.body.code}`, "429 ERR_REQUEST_RATE_LIMITED");
  assert.equal(refused.headers["retry-after"], "10");
  const [one] = all as [(typeof all)[0]];
  one.socket.send(Buffer.alloc(65_537));
  assert.equal((await one.closed).code, 1009);
  await until(() => http.app.webSockets.count() === 49);
  all.push(await dial(talk, ada));
  for (const { socket } of all) socket.terminate();
  await until(() => http.app.webSockets.count() === 0);
});

/** Credentials that the test ends. */
function credentials(expiresAtMs = Number.POSITIVE_INFINITY) {
  const state = {
    refuse: null as Error | null,
    permissions: null as Principal["permissions"] | null,
  };
  const authenticate: Authenticate = ({ authorization = "" }) => {
    if (state.refuse) throw state.refuse;
    const caller = testCaller(authorization.replace("Bearer ", ""));
    return (
      caller && { ...caller, expiresAtMs, permissions: state.permissions ?? caller.permissions }
    );
  };
  return { state, authenticate };
}

// Guards against connections that outlive what gave a right to them.
test("a WebSocket ends within 5 s of its credentials or its permission", async (t) => {
  const { state, authenticate } = credentials();
  const { talk, http } = await start(t, { options: { authenticate } });
  const begin = async () => {
    Object.assign(state, { refuse: null, permissions: null });
    const client = await dial(talk, ada);
    http.clock.advance(1_000);
    client.socket.send("1");
    await until(() => client.told.length === 1);
    return client;
  };
  const end = async (client: Awaited<ReturnType<typeof begin>>) => {
    for (let second = 0; second < 5; second += 1) {
      http.clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return (await client.closed).code;
  };
  let client = await begin();
  state.refuse = identityErrors.invalid_token();
  assert.equal(await end(client), 3000);
  client = await begin();
  state.permissions = new Map([["thing:create", "all"]]);
  assert.equal(await end(client), 3003);
  client = await begin();
  state.permissions = new Map([["thing:read", "own"]]);
  assert.equal(await end(client), 3003, "a permission that reaches less far");
  client = await begin();
  state.refuse = requestErrors.unavailable();
  assert.equal(await end(client), 1013, "nobody can tell");
  assert.ok(state.refuse instanceof Problem);
});

// Guards against a terminal that stays open for as long as its tab does.
test("a WebSocket ends at the moment at which its token expires", async (t) => {
  const startMs = Date.UTC(2026, 0, 1);
  const { state, authenticate } = credentials(startMs + 2_500);
  const { talk, http } = await start(t, { options: { authenticate } });
  const client = await dial(talk, ada);
  for (const ms of [1_000, 1_000, 499]) {
    http.clock.advance(ms);
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.socket.send("1");
  await until(() => client.told.length === 1);
  state.refuse = identityErrors.expired_token();
  http.clock.advance(1);
  assert.equal((await client.closed).code, 3000);
});

// Guards against stops that lose what is said, or wait for ever for clients that don't listen.
test("a server that stops says so, and cuts off who does not listen", async (t) => {
  const { talk, url, http } = await start(t);
  const client = await dial(talk, ada);
  const deaf = connect(Number(new URL(url).port), "127.0.0.1");
  deaf.write(head("/api/v1/talk", [...upgrade, key, version]));
  await until(() => http.app.webSockets.count() === 2);
  const gone = new Promise((resolve) => deaf.once("close", resolve));
  deaf.resume();
  let clean: boolean | null = null;
  const draining = http.drain().then((result) => {
    clean = result;
  });
  while (clean === null) {
    http.clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await draining;
  assert.equal(clean, true);
  assert.deepEqual(await client.closed, { code: 1001, reason: "the server stops" });
  await gone;
});

/** A client that never answers a ping. */
async function openMute(url: string, path: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.write(head(path, [...upgrade, key, version]));
  await new Promise((resolve) => socket.once("data", resolve));
  return socket;
}

// Guards against seats that are held by clients long gone.
test("a client that answers no ping is cut off, one that does stays", async (t) => {
  const { talk, url, http } = await start(t);
  const alive = await dial(talk, ada);
  let pings = 0;
  alive.socket.on("ping", () => {
    pings += 1;
  });
  const mute = await openMute(url, "/api/v1/talk");
  const gone = new Promise((resolve) => mute.once("close", resolve));
  for (let round = 1; round <= 3; round += 1) {
    http.clock.advance(20_000);
    await until(() => pings === round, `ping ${round}`);
    // The pong is on its way back.
    alive.socket.send("1");
    await until(() => alive.told.length === round);
  }
  await gone;
  assert.equal(http.app.webSockets.count(), 1);
  assert.match(await exposed(http.app), /websockets_total{why="silent"} 1/);
  alive.socket.terminate();
});

// Guards against memory that fills with what a client does not read.
test("what is unread is known, waited for, and cut off beyond 4 MiB", async (t) => {
  const { hold, url, http, held } = await start(t);
  const reader = await dial(hold, ada);
  const [first] = held as [WebSocketConnection];
  const chunk = Buffer.alloc(65_536, "x");
  let sentBytes = 0;
  reader.socket.pause();
  while (first.unreadBytes() < 262_144) {
    first.send(chunk);
    sentBytes += chunk.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  let isDrained = false;
  const draining = first.drained(65_536).then(() => {
    isDrained = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isDrained, false);
  reader.socket.resume();
  await draining;
  await until(() => reader.bytes().length === sentBytes);
  reader.socket.terminate();

  const deaf = await openMute(url, "/api/v1/hold");
  deaf.pause();
  await until(() => held.length === 2);
  const second = held[1] as WebSocketConnection;
  for (let n = 0; n < 200 && !second.signal.aborted; n += 1) {
    second.send(chunk);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => second.signal.aborted);
  await second.drained(0);
  assert.equal(second.unreadBytes() <= 4_194_304 + 65_600, true);
  assert.match(await exposed(http.app), /websockets_total{why="slow"} 1/);
  deaf.destroy();
});
