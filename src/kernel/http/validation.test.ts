import assert from "node:assert/strict";
import { test } from "node:test";
import { type TSchema, Type } from "typebox";
import { testHttp } from "./fixture.ts";
import { ById, Currency, Day, Id, line, strict, Timestamp } from "./schemas.ts";

const query = strict({
  limit: Type.Integer({ minimum: -5, maximum: 100, default: 20 }),
  ratio: Type.Optional(Type.Number()),
  active: Type.Optional(Type.Boolean()),
});
const headers = Type.Object({ "x-page": Type.Optional(Type.Integer({ minimum: 1 })) });
const body = strict({ items: Type.Array(strict({ quantity: Type.Integer() })) });

function start(t: Parameters<typeof testHttp>[0]) {
  const { app } = testHttp(t, (scope) => {
    scope.post(
      "/things/:id",
      {
        schema: {
          summary: "Echo",
          params: ById,
          querystring: query,
          headers,
          body,
          response: { 200: query },
        },
        config: { permission: "thing:read" },
      },
      async (request) => request.query,
    );
  });
  const good = "0d000000-0000-7000-8000-00000000000d";
  return async (search: string, { id = good, header = "1", payload = noItems } = {}) => {
    const answer = await app.inject({
      method: "POST",
      url: `/api/v1/things/${id}${search}`,
      headers: { authorization: "Bearer ada", "x-page": header },
      payload,
    });
    return answer.json();
  };
}

const moment = 'a moment with its zone, such as "2026-11-20T12:00:00Z"';
const noItems: object = { items: [] };
const pathsOf = ({ errors }: { errors: { path: string }[] }) => errors.map(({ path }) => path);

// Guards against clients that need two ways of reading where a fault is.
test("a fault's path is a pointer, after the part's name where it isn't in the body", async (t) => {
  const ask = start(t);
  const payload = { items: [{ quantity: "1" }], "a/b": 1 };
  assert.deepEqual(pathsOf(await ask("", { payload })), ["/a~1b", "/items/0/quantity"]);
  assert.deepEqual(pathsOf(await ask("?limit=101&what=1")), ["query/what", "query/limit"]);
  assert.deepEqual(pathsOf(await ask("", { id: "x" })), ["path/id"]);
  assert.deepEqual(pathsOf(await ask("", { header: "0" })), ["header/x-page"]);
});

// Guards against numbers that another program, or a cache, reads as something else.
test("a number in an address is written in plain decimal digits", async (t) => {
  const ask = start(t);
  for (const limit of ["1", "20", "-3", "007"]) {
    assert.equal((await ask(`?limit=${limit}`)).limit, Number(limit), limit);
  }
  for (const limit of [
    "1e1",
    "0x10",
    "1.0",
    "%201",
    "1%20",
    "%2B1",
    "--1",
    "1_0",
    "",
    "Infinity",
  ]) {
    const answer = await ask(`?limit=${limit}`);
    assert.equal(answer.code, "ERR_REQUEST_INVALID", limit);
    assert.deepEqual(answer.errors, [{ path: "query/limit", message: "must be integer" }]);
  }
  for (const ratio of ["1", "-0.25", "10.5"]) {
    assert.equal((await ask(`?ratio=${ratio}`)).ratio, Number(ratio));
  }
  for (const ratio of ["1e1", ".5", "5.", "0x1", "NaN"]) {
    assert.deepEqual(pathsOf(await ask(`?ratio=${ratio}`)), ["query/ratio"], ratio);
  }
  assert.deepEqual(pathsOf(await ask("", { header: "1e0" })), ["header/x-page"]);
  assert.equal((await ask("?active=true")).active, true);
  assert.deepEqual(pathsOf(await ask("?limit=1&limit=2")), ["query/limit"]);
});

// Guards against a refusal of what may also be null that says nothing of what is wrong with it.
test("of a member that may be null it is said what its other kind lacks", async (t) => {
  const nullable = (kind: TSchema) => Type.Optional(Type.Union([kind, Type.Null()]));
  const { app } = testHttp(t, (scope) => {
    const schema = {
      summary: "Take",
      body: strict({
        expiresAt: nullable(Type.String({ format: "date-time" })),
        size: nullable(strict({ width: Type.Integer({ minimum: 1 }) })),
        kind: Type.Optional(Type.Union([Type.String(), Type.Integer()])),
      }),
      response: { 200: strict({}) },
    };
    scope.post("/things", { schema, config: { permission: "thing:read" } }, async () => ({}));
  });
  const asAda = { url: "/api/v1/things", headers: { authorization: "Bearer ada" } };
  const ask = (payload: object) => app.inject({ ...asAda, method: "POST", payload });
  assert.equal((await ask({ expiresAt: null, size: null })).statusCode, 200);
  for (const [payload, path, message] of [
    [{ expiresAt: "2030-01-01" }, "/expiresAt", `must be ${moment}`],
    [{ expiresAt: 7 }, "/expiresAt", "must be string or null"],
    [{ size: { width: 0 } }, "/size/width", "must be >= 1"],
    [{ size: {} }, "/size/width", "is required"],
    [{ size: 1 }, "/size", "must be object or null"],
    [{ kind: true }, "/kind", "must be of one of the kinds that are allowed here"],
  ] as const) {
    assert.deepEqual((await ask(payload)).json().errors, [{ path, message }]);
  }
});

// Guards against people who are shown a regular expression where a sentence would help.
test("what a text should look like is said in words, never by its pattern", async (t) => {
  const { app } = testHttp(t, (scope) => {
    const schema = {
      summary: "Take",
      querystring: strict({ from: Type.Optional(Timestamp), on: Type.Optional(Day) }),
      body: strict({
        name: Type.Optional(line(20, "Its name.", "Deli")),
        currency: Type.Optional(Currency),
        code: Type.Optional(Type.String({ pattern: "^[a-z]+-[0-9]$", examples: ["ab-1"] })),
        bare: Type.Optional(Type.String({ pattern: "^[a-z]+$" })),
        id: Type.Optional(Id),
        host: Type.Optional(Type.String({ format: "hostname" })),
      }),
      response: { 200: strict({}) },
    };
    scope.post("/things", { schema, config: { permission: "thing:read" } }, async () => ({}));
  });
  const asAda = { method: "POST", headers: { authorization: "Bearer ada" } } as const;
  const ask = async (payload: object, search = "") => {
    const answer = await app.inject({ ...asAda, url: `/api/v1/things${search}`, payload });
    return answer.json().errors as { path: string; message: string }[];
  };
  for (const [payload, path, message] of [
    [{ name: " Deli" }, "/name", "must be one line without blanks around it"],
    [{ name: "De\nli" }, "/name", "must be one line without blanks around it"],
    [{ currency: "gbp" }, "/currency", 'must be a code of three capital letters, such as "GBP"'],
    [{ code: "7" }, "/code", 'must look like "ab-1"'],
    [{ bare: "7" }, "/bare", "has a form that is not allowed here"],
    [{ id: "x" }, "/id", 'must be a UUID, such as "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a"'],
    [{ host: "-" }, "/host", "must be of the format hostname"],
  ] as const) {
    assert.deepEqual(await ask(payload), [{ path, message }]);
  }
  assert.deepEqual(await ask({}, "?from=2026-11-20&on=today"), [
    { path: "query/from", message: `must be ${moment}` },
    { path: "query/on", message: 'must be a day, such as "2026-11-20"' },
  ]);
});
