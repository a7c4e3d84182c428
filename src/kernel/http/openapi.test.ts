import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { defineErrors } from "../errors.ts";
import { openApiFaults } from "../testing/openapi.ts";
import { RowFormat, rowsAnswer } from "./download.ts";
import { exampleOf } from "./examples.ts";
import { testHttp } from "./fixture.ts";
import type { OpenApiDocument } from "./openapi.ts";
import {
  AmountMinor,
  ById,
  Day,
  Id,
  ListQuery,
  Money,
  NoContent,
  pageOf,
  strict,
  Timestamp,
  Version,
} from "./schemas.ts";
import type { App } from "./types.ts";

const thingErrors = defineErrors("things", { taken: { status: 409, title: "The name is taken" } });

const Thing = strict(
  {
    id: Id,
    name: Type.String({ pattern: "^\\S+$", examples: ["Deli"] }),
    kind: Type.Enum(["big", "small"]),
    price: Type.Union([Money, Type.Null()]),
    parts: Type.Array(strict({ n: Type.Integer({ minimum: 3 }), on: Day }, { title: "Part" }), {
      minItems: 1,
    }),
    labels: Type.Record(Type.String(), Type.String({ examples: ["red"] })),
    createdAt: Timestamp,
    version: Version,
  },
  { title: "Thing" },
);
const NewThing = strict({
  name: Thing.properties.name,
  amountMinor: AmountMinor,
  note: Type.Optional(Type.String({ minLength: 9, examples: ["By the door"] })),
});

function routes(app: App): void {
  readRoutes(app);
  changeRoutes(app);
}

function readRoutes(app: App): void {
  app.get(
    "/things",
    {
      schema: {
        summary: "List things",
        querystring: ListQuery,
        response: { 200: pageOf(Thing, { title: "ThingPage" }) },
      },
      config: { permission: "thing:read" },
    },
    () => ({ items: [], nextCursor: null }),
  );
  app.get(
    "/things/:id",
    {
      schema: { summary: "Get", params: ById, response: { 200: Thing } },
      config: { permission: "thing:read" },
    },
    () => ({}) as never,
  );
  app.get(
    "/things/export",
    {
      schema: {
        summary: "Export",
        querystring: strict({ format: RowFormat }),
        response: { 200: rowsAnswer("All.", Thing, { id: ({ id }: { id: string }) => id }) },
      },
      config: { permission: "thing:read" },
    },
    () => "",
  );
}

function changeRoutes(app: App): void {
  app.post(
    "/things",
    {
      schema: {
        summary: "Make a thing",
        description: "Long.",
        body: NewThing,
        response: { 201: Thing },
      },
      config: { permission: "thing:create", idempotent: true, errors: [thingErrors.taken] },
    },
    () => ({}) as never,
  );
  app.patch(
    "/things/:id",
    {
      schema: {
        summary: "Change",
        params: ById,
        body: strict({ name: Type.Optional(Thing.properties.name) }),
        response: { 200: Thing },
      },
      config: { permission: "thing:update", ifMatch: true },
    },
    () => ({}) as never,
  );
  app.delete(
    "/things/:id",
    {
      schema: { summary: "Delete", params: ById, response: { 204: NoContent } },
      config: { permission: "thing:delete" },
    },
    () => null,
  );
  app.post(
    "/things/:id/activate-now",
    {
      schema: { summary: "Do", params: ById, response: { 202: Thing } },
      config: { public: true, operationId: "activateThing" },
    },
    () => ({}) as never,
  );
  app.put(
    "/things/file",
    {
      schema: { summary: "Upload", response: { 200: strict({}) } },
      config: {
        permission: "thing:create",
        accepts: ["text/csv"],
        bodyExamples: { "text/csv": "name\r\nDeli\r\n" },
      },
    },
    () => ({}),
  );
}

// Guards against a document that tools refuse, or that promises what the server doesn't do.
test("every operation is described, with examples that its own schemas accept", async (t) => {
  const { app } = testHttp(t, routes);
  const answer = await app.inject("/openapi.json");
  assert.equal(answer.headers["content-type"], "application/json; charset=utf-8");
  const document = answer.json<OpenApiDocument>();
  assert.deepEqual(openApiFaults(document), []);
  assert.equal(document.openapi, "3.1.0");
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  const ids = operations.map(({ operationId }) => operationId);
  assert.deepEqual(ids.sort(), [
    "activateThing",
    "deleteThingsById",
    "getHealth",
    "getMetrics",
    "getReady",
    "getThings",
    "getThingsById",
    "getThingsExport",
    "patchThingsById",
    "postThings",
    "putThingsFile",
  ]);
  assert.ok(!answer.payload.includes("/docs/assets"), "pages for people are not operations");
});

// Guards against clients that can't know what to send, or what they may get.
test("headers, permissions, problems and shared schemas are part of an operation", async (t) => {
  const { app } = testHttp(t, routes);
  const document = (await app.inject("/openapi.json")).json();
  const { post, get } = document.paths["/api/v1/things"];
  const { patch, get: one, delete: remove } = document.paths["/api/v1/things/{id}"];
  const names = ({ parameters }: { parameters: { name: string }[] }) =>
    parameters.map(({ name }) => name);
  assert.deepEqual(names(get), ["limit", "cursor"]);
  assert.equal(get.parameters[0].required, false, "what has a default may be left out");
  assert.deepEqual(names(post), ["Idempotency-Key"]);
  assert.deepEqual(names(one), ["id", "If-None-Match"]);
  assert.ok(one.responses["304"] && !one.responses["412"]);
  assert.deepEqual(names(patch), ["id", "If-Match"]);
  assert.equal(patch.parameters[1].required, true);
  assert.deepEqual(names(remove), ["id", "If-Match"]);
  assert.equal(remove.parameters[1].required, false);
  assert.equal(post["x-permission"], "thing:create");
  assert.deepEqual(post.security, [{ bearer: [] }, { apiKey: [] }]);
  assert.deepEqual(post.tags, ["things"]);
  assert.deepEqual(document.paths["/api/v1/things/{id}/activate-now"].post.security, []);
  assert.equal(
    post.responses["201"].content["application/json"].schema.$ref,
    "#/components/schemas/Thing",
  );
  assert.ok(post.responses["201"].headers.ETag && post.responses["201"].headers.Location);
  assert.equal(remove.responses["204"].content, undefined);
  const { schemas, responses } = document.components;
  assert.deepEqual(Object.keys(schemas).sort(), [
    "Alive",
    "Money",
    "Part",
    "Problem",
    "Readiness",
    "Thing",
    "ThingPage",
  ]);
  assert.equal(schemas.Thing.properties.parts.items.$ref, "#/components/schemas/Part");
  const conflict = responses[post.responses["409"].$ref.split("/").at(-1)];
  const codes = Object.keys(conflict.content["application/problem+json"].examples);
  assert.deepEqual(codes, ["ERR_REQUEST_IDEMPOTENCY_IN_FLIGHT", "ERR_THINGS_TAKEN"]);
  assert.ok(patch.responses["412"] && patch.responses["428"] && patch.responses["404"]);
  assert.equal(get.responses["412"], undefined);
});

// Guards against two things of one name, of which a generated client would know one.
test("two different schemas of one title, or two operations of one id, are refused", async (t) => {
  const twice = (first: object, second: object) => (app: App) => {
    const config = { permission: "thing:read" };
    app.get(
      "/a",
      { schema: { summary: "A", response: { 200: strict({}) } }, config, ...first },
      () => ({}),
    );
    app.get(
      "/b",
      { schema: { summary: "B", response: { 200: strict({}) } }, config, ...second },
      () => ({}),
    );
  };
  const schema = (title: string, members: object) => ({
    schema: { summary: "x", response: { 200: strict(members as never, { title }) } },
  });
  const statusOf = async (routesOf: (app: App) => void) =>
    (await testHttp(t, routesOf).app.inject("/openapi.json")).statusCode;
  assert.equal(await statusOf(twice(schema("Same", { a: Id }), schema("Same", { a: Id }))), 200);
  assert.equal(await statusOf(twice(schema("Same", { a: Id }), schema("Same", { b: Id }))), 500);
  const config = { config: { permission: "thing:read", operationId: "same" } };
  assert.equal(await statusOf(twice(config, config)), 500);
});

// Guards against a check that finds nothing because it looks at nothing.
test("faults of a document are found", () => {
  const document = {
    components: { schemas: { A: { type: "integer" } } },
    paths: {
      "/x/{id}": {
        get: {
          operationId: "",
          tags: [],
          parameters: [],
          requestBody: {
            content: {
              "application/json": { schema: { $ref: "#/components/schemas/A" }, example: "no" },
            },
          },
          responses: {
            "200": {
              content: { "application/json": { schema: { $ref: "#/components/schemas/B" } } },
            },
          },
        },
      },
    },
  };
  const missing = structuredClone(document) as unknown as OpenApiDocument;
  Object.assign(missing.paths["/x/{id}"]?.get ?? {}, {
    responses: { "404": { content: { "application/json": { schema: { type: "object" } } } } },
  });
  const faults = openApiFaults(missing).join("\n");
  for (const fault of [
    /no operationId/,
    /no tag/,
    /\{id\}/,
    /schema refuses: data must be integer/,
    /has no answer/,
    /404 application\/json has no example/,
  ]) {
    assert.match(faults, fault);
  }
  const dangling = structuredClone(document) as unknown as OpenApiDocument;
  Object.assign(dangling.paths["/x/{id}"]?.get ?? {}, {
    requestBody: { note: { $ref: "#/components/schemas/C" } },
  });
  assert.throws(() => openApiFaults(dangling), /can't resolve reference/);
});

// Guards against a document that lacks what a client has to reckon with, unnoticed.
test("an operation that leaves out a refusal, a header or an example is found", async (t) => {
  const { app } = testHttp(t, routes);
  const good = (await app.inject("/openapi.json")).json();
  const things = "/api/v1/things";
  const one = `${things}/{id}`;
  // biome-ignore lint/suspicious/noExplicitAny: a document is taken to pieces
  type Break = [expected: string, change: (paths: any, document: any) => void];
  const without = (operation: { parameters: { name: string }[] }, name: string) => {
    operation.parameters = operation.parameters.filter((parameter) => parameter.name !== name);
  };
  const breakages: Break[] = [
    [`GET ${things}: lacks 401`, (paths) => delete paths[things].get.responses["401"]],
    [
      `GET ${things}: lacks 403, 429`,
      (paths) => {
        delete paths[things].get.responses["403"];
        delete paths[things].get.responses["429"];
      },
    ],
    [`GET ${one}: lacks 404`, (paths) => delete paths[one].get.responses["404"]],
    [`POST ${things}: lacks 415`, (paths) => delete paths[things].post.responses["415"]],
    [`POST ${things}: lacks 409`, (paths) => delete paths[things].post.responses["409"]],
    [`POST ${things}: creates, and`, (paths) => without(paths[things].post, "Idempotency-Key")],
    [`PATCH ${one}: lacks 412`, (paths) => delete paths[one].patch.responses["412"]],
    [`PATCH ${one}: lacks 428`, (paths) => delete paths[one].patch.responses["428"]],
    [`PATCH ${one}: changes what has`, (paths) => without(paths[one].patch, "If-Match")],
    [`DELETE ${one}: changes what has`, (paths) => without(paths[one].delete, "If-Match")],
    [
      `PATCH ${one}: does not require`,
      (paths) => {
        for (const parameter of paths[one].patch.parameters) parameter.required = false;
      },
    ],
    [
      `GET ${things}: has no example of limit`,
      (paths) => {
        delete paths[things].get.parameters[0].example;
      },
    ],
    [
      `GET ${things}/export: answer 200 text/csv has no example`,
      (paths) => {
        delete paths[`${things}/export`].get.responses["200"].content["text/csv"].example;
      },
    ],
    [
      `PUT ${things}/file: request body has no example`,
      (paths) => {
        delete paths[`${things}/file`].put.requestBody.content["text/csv"].example;
      },
    ],
    [
      `GET ${things}: answer 200 application/json has an example that nobody`,
      (paths) => {
        const { content } = paths[things].get.responses["200"];
        content["application/json"].example.items[0].name = "…";
      },
    ],
    ["tag things: has no description", (_paths, document) => delete document.tags[0].description],
    ["tag empty: is empty", (_paths, { tags }) => tags.push({ name: "empty", description: "x" })],
    ["tag things: is not listed", (_paths, { tags }) => tags.shift()],
  ];
  for (const [expected, change] of breakages) {
    const document = structuredClone(good);
    change(document.paths, document);
    const faults = openApiFaults(document);
    assert.ok(
      faults.some((fault) => fault.startsWith(expected)),
      `${expected}: ${faults}`,
    );
  }
});

// Guards against examples that a reader can't use.
test("an example is made of what a schema says", () => {
  assert.deepEqual(
    exampleOf(
      strict({
        a: Type.Optional(Type.Number({ exclusiveMinimum: 2 })),
        b: Type.Boolean(),
        c: Type.Literal("x"),
      }),
    ),
    { a: 3, b: true, c: "x" },
  );
  assert.equal(
    exampleOf(Type.Union([Type.Null(), Type.String({ format: "email" })])),
    "ada@example.com",
  );
  assert.deepEqual(
    exampleOf(
      Type.Intersect([strict({ a: Type.Null() }), strict({ b: Type.Integer({ default: 7 }) })]),
    ),
    { a: null, b: 7 },
  );
  assert.deepEqual(exampleOf(Type.Record(Type.String(), Type.Integer())), { name: 1 });
  assert.equal(exampleOf(Type.Unknown() as object), null);
});
