import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Type } from "typebox";
import { Problem } from "../errors.ts";
import { beforeId, decodeCursor, encodeCursor, page } from "./cursor.ts";
import { testHttp } from "./fixture.ts";
import { Id, ListQuery, pageOf, strict } from "./schemas.ts";
import type { App } from "./types.ts";

const rows = Array.from({ length: 7 }, (_, n) => ({
  id: `0d000000-0000-7000-8000-00000000000${n}`,
}));
const querystring = strict({ ...ListQuery.properties, state: Type.Optional(Type.String()) });
const schema = { summary: "List", querystring, response: { 200: pageOf(strict({ id: Id })) } };

function routes(app: App): void {
  for (const url of ["/things", "/others"]) {
    app.get(url, { schema, config: { permission: "thing:read" } }, (request) => {
      const { cursor, limit } = request.query;
      const after = cursor === undefined ? "" : String(decodeCursor(cursor, 1)[0]);
      return page(rows.filter(({ id }) => id > after).slice(0, limit + 1), limit, ({ id }) => [id]);
    });
  }
}

// Guards against a list that repeats or leaves out rows, and a last page that offers another.
test("pages follow one another to the end", async (t) => {
  const { app } = testHttp(t, routes);
  const seen: string[] = [];
  let cursor: string | null = null;
  let pages = 0;
  do {
    const next: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await app.inject({
      url: `/api/v1/things?limit=3${next}`,
      headers: { authorization: "Bearer ada" },
    });
    assert.equal(answer.statusCode, 200, answer.payload);
    seen.push(...answer.json().items.map(({ id }: { id: string }) => id));
    cursor = answer.json().nextCursor;
    pages += 1;
  } while (cursor !== null);
  assert.deepEqual(
    seen,
    rows.map(({ id }) => id),
  );
  assert.equal(pages, 3);
  assert.equal(page(rows, 7, ({ id }) => [id]).nextCursor, null);
});

// Guards against a cursor that is made up, changed, or carried to another list, filter or tenant.
test("a cursor is good for its own list, filters and tenant, and nothing else", async (t) => {
  const { app } = testHttp(t, routes);
  const ask = (path: string, name = "ada") =>
    app.inject({ url: `/api/v1${path}`, headers: { authorization: `Bearer ${name}` } });
  const issued: string = (await ask("/things?limit=2&state=open")).json().nextCursor;
  const [inner = "", code = ""] = issued.split(".");
  assert.equal(
    (await ask(`/things?limit=5&state=open&cursor=${issued}`)).statusCode,
    200,
    "limit may change",
  );
  assert.equal(
    (await ask(`/things?cursor=${issued}&state=open`)).statusCode,
    200,
    "order doesn't matter",
  );
  const elsewhere = encodeCursor(["0d000000-0000-7000-8000-000000000005"]);
  const refused: [string, string?][] = [
    [`/others?state=open&cursor=${issued}`],
    [`/things?state=closed&cursor=${issued}`],
    [`/things?cursor=${issued}`],
    [`/things?state=open&cursor=${issued}`, "eve"],
    [`/things?state=open&cursor=${inner}`],
    [`/things?state=open&cursor=${inner}.`],
    [`/things?state=open&cursor=.${code}`],
    [`/things?state=open&cursor=${elsewhere}.${code}`],
    [`/things?state=open&cursor=${inner}.${code.slice(0, -1)}${code.endsWith("A") ? "B" : "A"}`],
    [`/things?state=open&cursor=${inner}.${code.slice(0, 15)}`],
    ["/things?state=open&cursor=abc"],
    [`/things?state=open&cursor=${inner}.${"%C3%A9".repeat(8)}`],
  ];
  for (const [path, name] of refused) {
    const answer = await ask(path, name);
    assert.deepEqual(
      [answer.statusCode, answer.json().code],
      [400, "ERR_REQUEST_BAD_CURSOR"],
      path,
    );
  }
  assert.equal((await ask("/things?cursor=")).statusCode, 422);
  assert.equal((await ask(`/things?cursor=${"x".repeat(3_000)}`)).statusCode, 422);
  assert.equal((await ask("/things?limit=0")).statusCode, 422);
  assert.equal((await ask("/things?limit=101")).statusCode, 422);
});

// Guards against cursors that die with the key they were made under, while it is being replaced.
test("a cursor made under the retired master key still opens", async (t) => {
  const old = Buffer.alloc(32, 1);
  const { app: before } = testHttp(t, routes, { config: { masterKey: old } });
  const { app: after } = testHttp(t, routes, { config: { masterKeyPrevious: [old] } });
  const { app: later } = testHttp(t, routes);
  const headers = { authorization: "Bearer ada" };
  const cursor = (await before.inject({ url: "/api/v1/things?limit=2", headers })).json()
    .nextCursor;
  const url = `/api/v1/things?cursor=${cursor}`;
  assert.equal((await after.inject({ url, headers })).statusCode, 200);
  assert.equal((await later.inject({ url, headers })).statusCode, 400);
});

// Guards against values that come back from a cursor as something else.
test("a cursor says what it was told, and garbage is refused", () => {
  const value = fc.oneof(fc.string(), fc.integer(), fc.constant(null));
  fc.assert(
    fc.property(fc.array(value, { maxLength: 4 }), (values) => {
      assert.deepEqual(decodeCursor(encodeCursor(values), values.length), values);
    }),
  );
  const bad = [
    "",
    "x",
    encodeCursor(["a"]),
    "bnVsbA",
    Buffer.from('{"a":1}').toString("base64url"),
    Buffer.from("[[],[]]").toString("base64url"),
  ];
  for (const text of bad) assert.throws(() => decodeCursor(text, 2), Problem, text);
});

// Guards against a first page that leaves out the newest rows.
test("a list by id begins before every id, then before the last one shown", () => {
  const last = "ffffffff-ffff-4fff-bfff-ffffffffffff";
  assert.ok(beforeId(undefined) > last);
  assert.equal(beforeId(encodeCursor([last])), last);
  assert.throws(() => beforeId("x"), { code: "ERR_REQUEST_BAD_CURSOR" });
});
