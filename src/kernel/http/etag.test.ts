import assert from "node:assert/strict";
import { test } from "node:test";
import type { FastifyRequest } from "fastify";
import { Problem } from "../errors.ts";
import { current } from "../versions.ts";
import {
  assertExpected,
  etag,
  expectedVersion,
  expectedVersionOrNone,
  optionalVersion,
  sendFound,
} from "./etag.ts";
import { testHttp } from "./fixture.ts";
import { ById, Id, strict, Version } from "./schemas.ts";
import type { App, RouteConfig } from "./types.ts";

const request = (ifMatch?: string) =>
  ({
    headers: ifMatch === undefined ? {} : { "if-match": ifMatch },
    routeOptions: { method: "PATCH", config: { ifMatch: true } },
  }) as FastifyRequest;

const statusOf = (read: () => unknown) => {
  try {
    return read();
  } catch (error) {
    assert.ok(error instanceof Problem);
    return error.status;
  }
};

// Guards against a change that overwrites another one unseen, by a header read too kindly.
test("If-Match names strong tags of ours, or any, or is refused by what is wrong with it", () => {
  assert.equal(etag(3), '"3"');
  const cases: [string | undefined, unknown, unknown?][] = [
    ['"3"', 3],
    [' "3" ', 3],
    [undefined, 428, null],
    ["*", null],
    ['"3", "4"', [3, 4]],
    ['"3","4" , "5"', [3, 4, 5]],
    [', "3",, W/"4","x,y",', 3],
    ['W/"3"', 412],
    ['W/"3", W/"4"', 412],
    ['"abc"', 412],
    ['"a,b"', 412],
    ['"0"', 412],
    ['"03"', 412],
    ['"99999999999999999999"', 412],
    ['""', 412],
    ["3", 400],
    ['"3', 400],
    ['"3" "4"', 400],
    ['"3"; "4"', 400],
    ['*, "3"', 400],
    ['"3", *', 400],
    ["", 400],
    [",", 400],
    ['w/"3"', 400],
    [Array(101).fill('"3"').join(), 400],
  ];
  for (const [header, expected, optional = expected] of cases) {
    assert.deepEqual(
      statusOf(() => expectedVersion(request(header))),
      expected,
      String(header),
    );
    assert.deepEqual(
      statusOf(() => optionalVersion(request(header))),
      optional,
      String(header),
    );
  }
});

// Guards against `*` making what it was to change, and against a PUT that is told neither.
test("a PUT that may also make tells any version from none", () => {
  const asked = (headers: object) => expectedVersionOrNone({ ...request(), headers } as never);
  assert.equal(asked({ "if-match": "*" }), null);
  assert.equal(asked({ "if-none-match": "*" }), "none");
  assert.equal(
    statusOf(() => asked({})),
    428,
  );
  const row = { version: 4 };
  for (const [found, expected, outcome] of [
    [row, null, undefined],
    [row, [3, 4], undefined],
    [row, [3, 5], 412],
    [row, "none", 412],
    [null, "none", undefined],
    [null, null, 412],
    [null, 4, 412],
  ] as const) {
    assert.equal(
      statusOf(() => assertExpected(found, expected)),
      outcome,
      JSON.stringify([found, expected]),
    );
  }
});

// Guards against a reference that doesn't say that an operation looks at If-Match.
test("only a route that declares it may look at If-Match", () => {
  const asked = (method: string, config: RouteConfig) => () =>
    optionalVersion({ headers: {}, routeOptions: { method, config } } as FastifyRequest);
  assert.throws(asked("POST", {}), /acceptsIfMatch/);
  for (const good of [
    asked("POST", { acceptsIfMatch: true }),
    asked("PATCH", { ifMatch: true }),
    asked("DELETE", {}),
  ]) {
    assert.equal(good(), null);
  }
});

// Guards against a lost race that is told as a missing row, or the other way round.
test("current tells a row that is gone from one that moved on", () => {
  const row = { version: 4, name: "x" };
  assert.equal(current(row, 4), row);
  assert.equal(current(row), row);
  assert.equal(current(row, [3, 4]), row);
  assert.equal(
    statusOf(() => current(row, [2, 3])),
    412,
  );
  assert.equal(
    statusOf(() => current(null, 4)),
    404,
  );
  assert.equal(
    statusOf(() => current(undefined)),
    404,
  );
  assert.equal(
    statusOf(() => current(row, 3)),
    412,
  );
  assert.throws(
    () => current(row, 3),
    ({ options }: Problem) => options.headers?.etag === '"4"',
  );
});

// Guards against bytes sent again to who has them, and a hidden row that shows by its tag.
test("a resource is sent with its tag, or 304 to who has it", async (t) => {
  const routes = (app: App) => {
    const response = { 200: strict({ version: Version }) };
    app.get(
      "/things/:id",
      { schema: { summary: "One", params: ById, response }, config: { permission: "thing:read" } },
      async (req, reply) =>
        sendFound(req, reply, req.params.id.startsWith("0d") ? { version: 5 } : null),
    );
  };
  const { app } = testHttp(t, routes);
  const ask = async (id: string, ifNoneMatch?: string) => {
    const answer = await app.inject({
      url: `/api/v1/things/${id}000000-0000-7000-8000-00000000000d`,
      headers: {
        authorization: "Bearer ada",
        ...(ifNoneMatch && { "if-none-match": ifNoneMatch }),
      },
    });
    return [answer.statusCode, answer.headers.etag];
  };
  assert.deepEqual(await ask("0d"), [200, '"5"']);
  for (const header of ['"5"', 'W/"5"', '"4", "5"', "*"]) {
    assert.deepEqual(await ask("0d", header), [304, '"5"'], header);
  }
  assert.deepEqual(await ask("0d", '"4"'), [200, '"5"']);
  assert.deepEqual(await ask("0e", "*"), [404, undefined]);
});

// Guards against a route that answers with what its schema doesn't show, unseen by the compiler.
test("what is sent has the type that the route declares", async (t) => {
  const schema = {
    summary: "One",
    params: ById,
    response: { 200: strict({ id: Id, version: Version }) },
  };
  const config = { permission: "thing:read" };
  const { app } = testHttp(t, (scope) => {
    scope.get("/whole/:id", { schema, config }, async (req, reply) =>
      sendFound(req, reply, { id: req.params.id, version: 5 }),
    );
    scope.get("/less/:id", { schema, config }, async (req, reply) =>
      // @ts-expect-error: the id is missing
      sendFound(req, reply, { version: 5 }),
    );
  });
  await app.ready();
});
