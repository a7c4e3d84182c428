import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { createClient } from "./client.ts";
import { createCredentialStore, type Credentials } from "./credentials.ts";
import { ApiError } from "./errors.ts";
import { json, type Received, startStub, temporaryHome } from "./fixture.ts";
import { path } from "./transport.ts";

const tenant = { id: "1", slug: "deli", name: "Deli" };
const signedIn = (accessToken: string, refreshToken: string) => ({
  user: { id: "1", email: "ada@example.org", name: "Ada" },
  tenant,
  accessToken,
  refreshToken,
  expiresInSeconds: 900,
});

const held = (accessToken: string, endsInMs = 900_000): Credentials => ({
  accessToken,
  refreshToken: "refresh-1",
  expiresAtMs: systemClock.nowMs() + endsInMs,
  email: "ada@example.org",
  tenant,
});

/** A server that knows the access token "new" only and gives it for refresh-1, once. */
function strictServer() {
  let uses = 0;
  return (request: Received, response: import("node:http").ServerResponse) => {
    if (request.url === "/api/v1/auth/refresh") {
      uses += 1;
      const isFirst = uses === 1 && JSON.parse(request.body).refreshToken === "refresh-1";
      if (!isFirst) return json(response, 401, { title: "Reused", status: 401 });
      return json(response, 200, signedIn("new", "refresh-2"));
    }
    const isKnown = request.headers.authorization === "Bearer new";
    if (!isKnown) return json(response, 401, { title: "No", status: 401, code: "ERR_TEST_NO" });
    json(response, 200, { items: [], nextCursor: null });
  };
}

// Guards against commands at once that trip the reuse detection, which signs everyone out.
test("an ended access token is refreshed once, whoever notices first", async (t) => {
  const { url, received } = await startStub(t, strictServer());
  const folder = await temporaryHome(t);
  const store = createCredentialStore(folder, systemClock);
  await store.set(url, held("old", -1));
  const clients = Array.from({ length: 5 }, () =>
    createClient({ api: url, store: createCredentialStore(folder, systemClock) }),
  );
  await Promise.all(clients.map((client) => client.call({ path: "/shops" })));
  assert.equal(received.filter(({ url: at }) => at.endsWith("/refresh")).length, 1);
  assert.equal((await store.get(url))?.refreshToken, "refresh-2");
});

test("a token refused before its time is refreshed too, and the call repeated", async (t) => {
  const { url, received } = await startStub(t, strictServer());
  const store = createCredentialStore(await temporaryHome(t), systemClock);
  await store.set(url, held("old"));
  await createClient({ api: url, store }).call({ path: "/shops" });
  const paths = received.map(({ url: at }) => at.slice("/api/v1".length));
  assert.deepEqual(paths, ["/shops", "/auth/refresh", "/shops"]);
});

// Guards against an endless circle of refreshes, and against credentials that never work again.
test("a session that is over is forgotten, and the refusal told", async (t) => {
  const { url, received } = await startStub(t, (_, response) =>
    json(response, 401, { title: "Over", status: 401, code: "ERR_TEST_OVER" }),
  );
  const store = createCredentialStore(await temporaryHome(t), systemClock);
  await store.set(url, held("old"));
  const call = createClient({ api: url, store }).call({ path: "/shops" });
  await assert.rejects(call, (error) => error instanceof ApiError && error.problem.status === 401);
  assert.equal(received.length, 2);
  assert.equal(await store.get(url), null);
});

// Guards against a person's token that goes along where an API key was asked for.
test("an API key is used instead of whoever is signed in, and never refreshed", async (t) => {
  const { url, received } = await startStub(t, (_, response) => json(response, 401, {}));
  const store = createCredentialStore(await temporaryHome(t), systemClock);
  await store.set(url, held("old"));
  await assert.rejects(createClient({ api: url, apiKey: "plm_x", store }).call({ path: "/shops" }));
  assert.equal(received.length, 1);
  assert.equal(received[0]?.headers["x-api-key"], "plm_x");
  assert.equal(received[0]?.headers.authorization, undefined);
  assert.ok(await store.get(url));
});

// Guards against a thing that is made twice because the first answer was lost.
test("what creates is repeated with the same key, what changes is not repeated", async (t) => {
  const { url, received } = await startStub(t, (request, response) => {
    if (received.length === 1) return void response.destroy();
    if (received.length === 2) return json(response, 503, {});
    json(response, request.method === "POST" ? 201 : 200, { id: "1" });
  });
  const store = createCredentialStore(await temporaryHome(t), systemClock);
  const client = createClient({ api: url, store });
  const call = { method: "POST" as const, path: "/shops", body: { name: "Deli" } };
  assert.deepEqual(await client.call({ ...call, isCreation: true }), { id: "1" });
  const keys = new Set(received.map(({ headers }) => headers["idempotency-key"]));
  assert.equal(received.length, 3);
  assert.equal(keys.size, 1);
  assert.match([...keys][0] as string, /^[0-9a-f-]{36}$/);
  received.length = 0;
  await assert.rejects(client.call({ ...call, method: "PATCH" }), /can't be reached/);
  assert.equal(received.length, 1);
});

// Guards against a token that a redirect carries to another host.
test("a redirect is not followed", async (t) => {
  const { url, received } = await startStub(t, (_, response) =>
    response.writeHead(302, { location: "/elsewhere" }).end(),
  );
  const store = createCredentialStore(await temporaryHome(t), systemClock);
  await store.set(url, held("new"));
  await assert.rejects(createClient({ api: url, store }).call({ path: "/shops" }), /reached/);
  assert.ok(received.every(({ url: at }) => at !== "/elsewhere"));
});

test("a refusal that is cut off or no problem document still tells its status", async (t) => {
  const answers = ['{"title":"Half', "<html>", '{"title":"Full","code":"ERR_A_B"}'];
  const { url } = await startStub(t, (_, response) => {
    response.writeHead(409, { "content-type": "application/problem+json" }).end(answers.shift());
  });
  const store = createCredentialStore(await temporaryHome(t), systemClock);
  const client = createClient({ api: url, store });
  for (const title of ["Conflict", "Conflict", "Full"]) {
    const isRight = (error: unknown) =>
      error instanceof ApiError && error.problem.title === title && error.problem.status === 409;
    await assert.rejects(client.call({ path: "/shops" }), isRight);
  }
});

test("all pages come as one list, a page of its own otherwise", async (t) => {
  const { url, received } = await startStub(t, (request, response) => {
    const cursor = Number(new URL(request.url, "http://x").searchParams.get("cursor") ?? 0);
    const nextCursor = cursor < 2 ? String(cursor + 1) : null;
    json(response, 200, { items: [{ id: cursor }], nextCursor });
  });
  const store = createCredentialStore(await temporaryHome(t), systemClock);
  const client = createClient({ api: url, store });
  const all = await client.list({ path: "/shops", query: { q: "a b&c" } }, { all: true });
  assert.deepEqual(all, { items: [{ id: 0 }, { id: 1 }, { id: 2 }], nextCursor: null });
  assert.equal(received[2]?.url, "/api/v1/shops?q=a+b%26c&limit=100&cursor=2");
  assert.equal((await client.list({ path: "/shops" })).nextCursor, "1");
});

// Guards against an id that reaches another operation: `../users`.
test("values in a path are encoded", () => {
  assert.equal(path`/shops/${"../a?b"}/history`, "/shops/..%2Fa%3Fb/history");
});
