import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { testHttp } from "./fixture.ts";
import { Id, strict } from "./schemas.ts";

// Guards against a row that is there or not by how its id is typed, and a history that splits.
test("an id in a path means the same in upper case; other parameters stay", async (t) => {
  const params = strict({ id: Id, innerId: Id, name: Type.String() });
  const { app } = testHttp(t, (scope) => {
    scope.get(
      "/things/:id/:innerId/:name",
      {
        schema: { summary: "One", params, response: { 200: params } },
        config: { permission: "thing:read" },
      },
      async (request) => request.params,
    );
  });
  const id = "0d00aaff-0000-7000-8000-00000000000d";
  const answer = await app.inject({
    url: `/api/v1/things/${id.toUpperCase()}/${id.replace("aa", "Aa")}/Name`,
    headers: { authorization: "Bearer ada" },
  });
  assert.deepEqual(answer.json(), { id, innerId: id, name: "Name" });
});
