import assert from "node:assert/strict";
import { test } from "node:test";
import { type TSchema, Type } from "typebox";
import { Id, stamps, strict, Timestamp } from "./schemas.ts";
const nullable = (schema: TSchema) => Type.Union([schema, Type.Null()]);
import { createSerializerCompiler } from "./serializer.ts";

const Row = strict({
  id: Id,
  name: Type.String(),
  endedAt: nullable(Timestamp),
  parentId: Type.Optional(Id),
  kinds: Type.Array(Type.String()),
  ...stamps,
});
const Page = strict({
  items: Type.Array(Row),
  ids: Type.Array(Id),
  nextCursor: nullable(Type.String()),
});

const route = { method: "GET", url: "/rows", httpStatus: "200", schema: Page };

// Guards against answers that stop being JSON: what people write is escaped as ever, wherever it
// stands beside the ids and moments that are not looked through.
test("answers are the JSON of their values", () => {
  const serialize = createSerializerCompiler()(route);
  const id = "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a";
  const at = "2026-11-20T12:00:00.123456Z";
  const names = [
    'O"Brien <3',
    "back\\slash",
    "line\nbreak",
    "\u0000",
    "😀é",
    "\ud800",
    "x".repeat(6_000),
  ];
  const items = names.map((name, version) => ({
    id,
    name,
    endedAt: version % 2 ? null : at,
    ...(version % 3 && { parentId: id }),
    kinds: [name],
    version,
    createdAt: at,
    updatedAt: at,
  }));
  const page = { items, ids: [id, id], nextCursor: 'a"b' };
  assert.deepEqual(JSON.parse(serialize(page)), page);
});

// Guards against words on the console about a format that only the serializer knows.
test("schemas are compiled without a word", (t) => {
  const warn = t.mock.method(console, "warn", () => {});
  const schema = strict({
    either: Type.Union([strict({ id: Id }), strict({ at: Timestamp })]),
    id: Id,
  });
  const serialize = createSerializerCompiler()({ ...route, schema });
  const value = { either: { id: "a" }, id: "b" };
  serialize({ either: { at: "2026-11-20T12:00:00Z" }, id: value.id });
  assert.equal(warn.mock.callCount(), 0);
});

// Guards against members that a schema doesn't have: they stay out of answers.
test("what the schema doesn't know is left out", () => {
  const serialize = createSerializerCompiler()(route);
  const text = serialize({ items: [], ids: [], nextCursor: null, secret: "x" });
  assert.deepEqual(JSON.parse(text), { items: [], ids: [], nextCursor: null });
});
