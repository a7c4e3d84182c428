import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { ConnectionError } from "../db/pg-errors.ts";
import { requestErrors } from "../errors.ts";
import { identityErrors } from "../identity/errors.ts";
import { sendFound } from "./etag.ts";
import { testHttp } from "./fixture.ts";
import { ById, strict, Version } from "./schemas.ts";
import type { App, RouteConfig } from "./types.ts";

const known = "0d000000-0000-7000-8000-00000000000d";
const unknown = "0e000000-0000-7000-8000-00000000000e";
const Thing = strict({ id: ById.properties.id, version: Version });
const one = { summary: "One", params: ById, response: { 200: Thing } };

function routes(app: App): void {
  let bodiesRead = 0;
  app.get(
    "/things/:id",
    { schema: one, config: { permission: "thing:read" } },
    async (request, reply) => {
      const { id } = request.params;
      const visible = id === known && request.tenant.id.startsWith("0a");
      return sendFound(request, reply, visible ? { id, version: 3 } : null);
    },
  );
  app.patch(
    "/things/:id",
    {
      schema: { ...one, body: strict({ name: Type.String() }) },
      config: { permission: "thing:update", ifMatch: true },
      preValidation: (_request, _reply, done) => {
        bodiesRead += 1;
        done();
      },
    },
    (request) => ({ id: request.scope === "own" ? unknown : known, version: 4 }),
  );
  app.get(
    "/count",
    {
      schema: { summary: "x", response: { 200: strict({ n: Type.Integer() }) } },
      config: { public: true },
    },
    () => ({ n: bodiesRead }),
  );
}

interface Answer {
  statusCode: number;
  headers: object;
  payload: string;
}

/** An answer without what must differ: request id, time, and the path that was asked for. */
function comparable({ statusCode, headers, payload }: Answer, id: string): string {
  const { "x-request-id": requestId, ...others } = headers as Record<string, string>;
  for (const name of ["date", "ratelimit"]) delete others[name];
  return JSON.stringify([
    statusCode,
    others,
    payload.replace(String(requestId), "…").replaceAll(id, "…"),
  ]);
}

// Guards against learning what exists from how its absence is told.
test("what a caller may not see answers like what does not exist, byte for byte", async (t) => {
  const { app } = testHttp(t, routes);
  const ask = (id: string, name: string, method: "GET" | "PATCH" = "GET") =>
    app.inject({
      method,
      url: `/api/v1/things/${id}`,
      headers: { authorization: `Bearer ${name}` },
      ...(method === "PATCH" && { payload: { name: "x" } }),
    });
  const seen = await ask(known, "ada");
  assert.deepEqual([seen.statusCode, seen.headers.etag], [200, '"3"']);
  const hidden = comparable(await ask(known, "eve"), known);
  assert.match(hidden, /^\[404,/);
  assert.equal(hidden, comparable(await ask(unknown, "eve"), unknown));
  for (const name of ["nobody", "bob", "eve"]) {
    const [a, b] = [await ask(known, name, "PATCH"), await ask(unknown, name, "PATCH")];
    assert.equal(comparable(a, known), comparable(b, unknown), name);
  }
});

// Guards against work done, or anything told, for somebody who is nobody.
test("strangers are refused before their body is looked at", async (t) => {
  const { app } = testHttp(t, routes);
  const patch = (headers: Record<string, string>, payload: string) =>
    app.inject({ method: "PATCH", url: `/api/v1/things/${known}`, headers, payload });
  const type = { "content-type": "application/json" };
  const stranger = await patch(type, "{{{ not json");
  assert.equal(stranger.statusCode, 401);
  assert.match(String(stranger.headers["www-authenticate"]), /^Bearer/);
  assert.equal(stranger.json().code, "ERR_IDENTITY_UNAUTHENTICATED");
  const ada = { ...type, authorization: "Bearer ada" };
  assert.equal((await patch(ada, '{"name":"x"}')).statusCode, 428);
  assert.equal((await app.inject("/api/v1/count")).json().n, 0);
  const done = await patch({ ...ada, "if-match": '"3"' }, '{"name":"x"}');
  assert.deepEqual([done.statusCode, done.json().id], [200, known]);
  const own = await patch(
    { ...type, authorization: "Bearer bob", "if-match": '"3"' },
    '{"name":"x"}',
  );
  assert.deepEqual([own.statusCode, own.json().id], [200, unknown], "the scope is the caller's");
});

// Guards against a wrong permission that looks like a wrong id, and against a bare 403.
test("a caller without the permission is told which one it lacks", async (t) => {
  const { app } = testHttp(t, (scope) => {
    const response = { 200: strict({}) };
    scope.get(
      "/x",
      { schema: { summary: "x", response }, config: { permission: "thing:delete" } },
      () => ({}),
    );
  });
  const answer = await app.inject({ url: "/api/v1/x", headers: { authorization: "Bearer bob" } });
  assert.equal(answer.statusCode, 403);
  assert.equal(answer.json().code, "ERR_ACCESS_FORBIDDEN");
  assert.match(answer.json().detail, /"thing:delete"/);
});

// Guards against an outage that looks like bad credentials, and locks everybody's address out.
test("authentication may be slow, may refuse, and may fail, each told apart", async (t) => {
  const http = testHttp(t, routes, {
    limits: { anonymousPerMinute: 60, anonymousBurst: 2 },
    options: {
      authenticate: async ({ authorization }) => {
        if (authorization === "Bearer expired") throw identityErrors.expired_token();
        if (authorization === "Bearer outage")
          throw new ConnectionError("connect ECONNREFUSED 10.0.0.5");
        return null;
      },
    },
  });
  const ask = (name: string) =>
    http.app.inject({
      url: `/api/v1/things/${known}`,
      headers: { authorization: `Bearer ${name}` },
    });
  for (let round = 0; round < 5; round += 1) {
    const outage = await ask("outage");
    assert.equal(outage.statusCode, 503);
    assert.equal(outage.json().code, requestErrors.unavailable.code);
    assert.equal(outage.headers["retry-after"], "2");
    assert.ok(!outage.payload.includes("10.0.0.5"));
  }
  assert.equal((await ask("expired")).json().code, identityErrors.expired_token.code);
  assert.equal((await ask("none")).statusCode, 401);
  assert.equal((await ask("expired")).statusCode, 429, "guessing is limited by address");
});

// Guards against callers who sign being limited as strangers, and strangers not being limited.
test("where a signature says who calls, only refusals count against the address", async (t) => {
  const signed = (scope: App) =>
    scope.post(
      "/signed",
      {
        schema: {
          summary: "x",
          body: strict({ n: Type.Integer() }),
          response: { 200: strict({}) },
        },
        config: { public: true, rateLimit: "refusals" },
        preValidation: async ({ headers }) => {
          if (headers.signature === "broken") throw new Error("a fault of ours");
          if (headers.signature !== "good") throw identityErrors.unauthenticated();
        },
      },
      () => ({}),
    );
  const limits = { anonymousPerMinute: 1, anonymousBurst: 3 };
  const { app } = testHttp(t, (scope) => void signed(scope), { limits });
  const send = async (signature: string, payload = '{"n":1}') => {
    const headers = { signature, "content-type": "application/json" };
    const options = { method: "POST" as const, url: "/api/v1/signed", headers, payload };
    return (await app.inject(options)).statusCode;
  };
  for (let round = 0; round < 5; round += 1) assert.equal(await send("good"), 200);
  for (let round = 0; round < 5; round += 1) assert.equal(await send("broken"), 500);
  assert.deepEqual(
    [await send("bad"), await send("good", "{"), await send("bad")],
    [401, 400, 401],
  );
  assert.deepEqual([await send("bad"), await send("bad", "{")], [429, 429]);
  assert.equal(await send("good"), 200);
});

// Guards against a route that is served although nobody decided who may call it.
test("a route that doesn't say enough stops the boot, by name", async (t) => {
  const response = { 200: strict({}) };
  const faults: [RouteConfig, object, RegExp][] = [
    [
      {},
      { summary: "x", response },
      /GET \/api\/v1\/x of service "things" has neither a permission nor public/,
    ],
    [
      { permission: "thing:fly" },
      { summary: "x", response },
      /"thing:fly", which no service declares/,
    ],
    [{ permission: "constructor" }, { summary: "x", response }, /no service declares/],
    [
      { permission: "thing:read", public: true },
      { summary: "x", response },
      /has a permission and is public/,
    ],
    [{ permission: "thing:read" }, { response }, /has no schema\.summary/],
    [{ permission: "thing:read" }, { summary: "x" }, /has no schema\.response/],
    [
      { permission: "thing:read" },
      { summary: "x", response: { 404: strict({}) } },
      /has no schema\.response/,
    ],
    [
      { permission: "thing:read", idempotent: true },
      { summary: "x", response },
      /idempotent but not a POST/,
    ],
  ];
  for (const [config, schema, complaint] of faults) {
    const { app } = testHttp(t, (scope) => {
      scope.get("/x", { schema, config }, () => ({}));
    });
    await assert.rejects(async () => app.ready(), complaint);
  }
});
