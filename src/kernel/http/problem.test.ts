import assert from "node:assert/strict";
import { test } from "node:test";
import { CommitUnknownError, ConnectionError } from "../db/pg-errors.ts";
import { defineErrors, Problem, requestErrors } from "../errors.ts";
import { dependencyErrors } from "../resilience/policy-types.ts";
import { testHttp } from "./fixture.ts";
import { problemOf, problemText, rawProblem } from "./problem.ts";
import { strict } from "./schemas.ts";
import type { App } from "./types.ts";

/** An error as `pg` makes it, with what must never be shown. */
function pgError(code: string): Error {
  return Object.assign(new Error(`secret value in "shop" at /srv/app/store.ts ${code}`), {
    code,
    severity: "ERROR",
    detail: "Key (email)=(ada@example.com) already exists.",
    schema: "orders",
    table: "shop",
    where: "SQL statement select 1",
  });
}

// Guards against a fault of the caller's that looks like ours, and the other way round.
test("every error becomes the problem that it is", () => {
  const cases: [unknown, number, string][] = [
    [requestErrors.conflict(), 409, "CONFLICT"],
    [new ConnectionError("connect ECONNREFUSED 10.0.0.5:5432"), 503, "UNAVAILABLE"],
    [new CommitUnknownError(), 503, "UNAVAILABLE"],
    [pgError("57014"), 503, "UNAVAILABLE"],
    [pgError("55P03"), 503, "UNAVAILABLE"],
    [pgError("40001"), 503, "UNAVAILABLE"],
    [pgError("40P01"), 503, "UNAVAILABLE"],
    [pgError("53100"), 503, "UNAVAILABLE"],
    [pgError("23505"), 409, "CONFLICT"],
    [pgError("23503"), 409, "CONFLICT"],
    [pgError("23514"), 422, "INVALID"],
    [pgError("22P02"), 422, "INVALID"],
    [pgError("22003"), 422, "INVALID"],
    [pgError("42501"), 500, "INTERNAL"],
    [pgError("42P01"), 500, "INTERNAL"],
    [pgError("23502"), 500, "INTERNAL"],
    [new TypeError("x is not a function"), 500, "INTERNAL"],
    [Object.assign(new Error("mine"), { statusCode: 404, status: 404 }), 500, "INTERNAL"],
    [
      Object.assign(new Error("fst"), { code: "FST_ERR_CTP_INVALID_MEDIA_TYPE", statusCode: 415 }),
      415,
      "UNSUPPORTED_MEDIA_TYPE",
    ],
    [
      Object.assign(new Error("fst"), {
        code: "FST_ERR_REP_INVALID_PAYLOAD_TYPE",
        statusCode: 500,
      }),
      500,
      "INTERNAL",
    ],
    ["a string", 500, "INTERNAL"],
    [undefined, 500, "INTERNAL"],
    [null, 500, "INTERNAL"],
    [{ statusCode: 400 }, 500, "INTERNAL"],
  ];
  for (const [error, status, name] of cases) {
    const problem = problemOf(error);
    assert.deepEqual(
      [problem.status, problem.code],
      [status, `ERR_REQUEST_${name}`],
      String(error),
    );
    const text = problemText(problem, "/x", "id");
    assert.ok(!/secret|shop|srv|ada@|select|10\.0\.0\.5|not a function|mine|fst/.test(text), text);
  }
});

// Guards against clients that read by position or miss a member, and a type that leads nowhere.
test("the document has its members in one order, and those of its kind", () => {
  const members = { allowedTransitions: { type: "array" } };
  const entry = { ...requestErrors.conflict.entry, members };
  const problem = defineErrors("request", { conflict: entry }).conflict({
    errors: [{ path: "/a", message: "b" }],
    extensions: { allowedTransitions: ["submit"] },
    cause: new Error("private"),
  });
  const document = JSON.parse(problemText(problem, "/api/v1/x", "r1"));
  assert.deepEqual(Object.keys(document), [
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "code",
    "requestId",
    "errors",
    "allowedTransitions",
  ]);
  assert.equal(document.type, "/docs/errors#ERR_REQUEST_CONFLICT");
  assert.equal(document.detail, "The request conflicts with what is already stored.");
  const [head = "", body = ""] = rawProblem(requestErrors.timeout(), "r2").split("\r\n\r\n");
  assert.match(
    head,
    new RegExp(
      `^HTTP/1\\.1 408 Request Timeout\r\n.*content-length: ${Buffer.byteLength(body)}`,
      "s",
    ),
  );
});

// Guards against a stack, a query or a file name in an answer, and against losing them in the log.
test("an unexpected error is logged with its cause and tells the caller nothing", async (t) => {
  const routes = (app: App) => {
    const response = { 200: strict({}) };
    const schema = { summary: "x", response };
    const config = { permission: "thing:read" } as const;
    app.get("/boom", { schema, config }, () => {
      throw pgError("42P01");
    });
    app.get(
      "/off-schema",
      { schema: { ...schema, response: { 200: strict({ a: strict({}) }) } }, config },
      () => ({}) as never,
    );
    app.get("/tagged", { schema, config }, (_request, reply) => {
      reply.headers({ etag: '"1"', location: "/x", "content-disposition": "attachment" });
      throw requestErrors.conflict();
    });
    app.get("/rejects", { schema, config }, () => Promise.reject("not even an error"));
    app.get("/broken", { schema, config }, () => {
      throw dependencyErrors.broken();
    });
  };
  const http = testHttp(t, routes);
  const ask = (path: string) =>
    http.app.inject({ url: `/api/v1${path}`, headers: { authorization: "Bearer ada" } });
  const boom = await ask("/boom");
  assert.equal(boom.statusCode, 500);
  assert.equal(boom.headers["content-type"], "application/problem+json");
  const expected = {
    type: "/docs/errors#ERR_REQUEST_INTERNAL",
    title: "Something went wrong on our side",
    status: 500,
    detail: "Something went wrong on our side.",
    instance: "/api/v1/boom",
    code: "ERR_REQUEST_INTERNAL",
    requestId: boom.headers["x-request-id"],
  };
  assert.deepEqual(boom.json(), expected);
  const line = http.lines.find(({ level }) => level === "error") as Record<string, unknown>;
  assert.equal(line.requestId, boom.headers["x-request-id"]);
  assert.equal((line.err as { code: string }).code, "42P01");
  assert.equal((await ask("/off-schema")).statusCode, 500);
  assert.equal((await ask("/rejects")).statusCode, 500);
  const tagged = await ask("/tagged");
  assert.equal(tagged.statusCode, 409);
  for (const name of ["etag", "location", "content-disposition"])
    assert.equal(tagged.headers[name], undefined);
  assert.equal((await ask("/broken")).headers["retry-after"], "2");
});

// Guards against a Problem that loses its headers, or a 401 that doesn't say how to come in.
test("a problem brings its own headers", async (t) => {
  const { app } = testHttp(t, (scope) => {
    scope.get(
      "/busy",
      { schema: { summary: "x", response: { 200: strict({}) } }, config: { public: true } },
      () => {
        throw new Problem(
          "ERR_X_BUSY",
          { status: 503, title: "Busy" },
          { headers: { "Retry-After": "17" } },
        );
      },
    );
  });
  const answer = await app.inject("/api/v1/busy");
  assert.deepEqual([answer.statusCode, answer.headers["retry-after"]], [503, "17"]);
});
