import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { testHttp } from "./fixture.ts";
import { rawRoutes } from "./raw.ts";
import { strict } from "./schemas.ts";
import type { App } from "./types.ts";

const schema = {
  summary: "Hand on",
  params: strict({ id: Type.String(), "*": Type.String() }),
  response: { 200: Type.Null({ description: "Whatever." }) },
};

const routes = (app: App) =>
  rawRoutes(app, (scope) => {
    for (const method of ["GET", "POST", "OPTIONS"] as const) {
      scope.route({
        method,
        url: "/things/:id/*",
        schema,
        config: { permission: "thing:read", raw: true },
        async handler({ raw, body }, reply) {
          const chunks: Buffer[] = [];
          for await (const chunk of raw) chunks.push(chunk as Buffer);
          const said = { url: raw.url, body: body ?? null, got: Buffer.concat(chunks).toString() };
          return reply.send(Buffer.from(JSON.stringify(said)) as unknown as null);
        },
      });
    }
  });

// Guards against a kernel that reads, and refuses, what is meant for somebody else.
test("a raw route gets query and body as they came, from who may", async (t) => {
  const http = testHttp(t, routes);
  const url = `${await http.listen()}/api/v1/things/7/a%2Fb?limit=nonsense&x=1&x=2`;
  const ada = { authorization: "Bearer ada" };
  for (const type of ["application/json", "text/x-odd; charset=latin1", undefined]) {
    const headers = { ...ada, ...(type !== undefined && { "content-type": type }) };
    const answer = await fetch(url, { method: "POST", headers, body: Buffer.from("{not json") });
    assert.equal(answer.status, 200, type);
    assert.deepEqual(await answer.json(), {
      url: "/api/v1/things/7/a%2Fb?limit=nonsense&x=1&x=2",
      body: null,
      got: "{not json",
    });
  }
  const refused = await fetch(url, { method: "POST", body: "x" });
  assert.equal(refused.status, 401);
  const long = await fetch(`${url.split("?")[0]}${"a/".repeat(2_000)}`, { headers: ada });
  assert.equal(long.status, 200, "a path of any depth");
});

// Guards against a preflight that strangers' routes get to answer, or that nobody does.
test("of a raw route the kernel answers preflights, the route every other OPTIONS", async (t) => {
  const origin = "https://desk.test";
  const http = testHttp(t, routes, { config: { corsOrigins: [origin] } });
  const url = `${await http.listen()}/api/v1/things/7/x`;
  const ask = (headers: Record<string, string>) => fetch(url, { method: "OPTIONS", headers });
  const asked = await ask({ origin, "access-control-request-method": "POST" });
  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get("access-control-allow-origin"), origin);
  assert.match(String(asked.headers.get("access-control-allow-methods")), /POST/);
  const foreign = { origin: "https://evil.test", "access-control-request-method": "POST" };
  assert.equal((await ask(foreign)).headers.get("access-control-allow-origin"), null);
  assert.equal((await ask({})).status, 401);
  assert.equal((await ask({ authorization: "Bearer ada" })).status, 200);
});

// Guards against a route that is read by nobody because somebody put it into the wrong place.
test("a route that stands among raw ones and does not say so stops the boot", async (t) => {
  const http = testHttp(t, (app) =>
    rawRoutes(app, (scope) => {
      scope.get("/plain", { schema, config: { permission: "thing:read" } }, async () => null);
    }),
  );
  await assert.rejects(async () => http.app.ready(), /say `raw`/);
});
