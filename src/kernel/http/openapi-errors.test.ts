import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { defineErrors } from "../errors.ts";
import { openApiFaults } from "../testing/openapi.ts";
import { testHttp } from "./fixture.ts";
import { ById, Id, strict } from "./schemas.ts";

const thingErrors = defineErrors("things", {
  taken: { status: 409, title: "The name is taken" },
  busy: {
    status: 409,
    title: "It is in use",
    members: {
      state: Type.String({ description: "The thing's.", examples: ["big"] }),
      users: Type.Array(strict({ id: Id }, { title: "User" })),
    },
  },
  worn: { status: 409, title: "It is worn", members: { state: Type.Integer({ minimum: 3 }) } },
});

// Guards against members of a problem that are answered and stand nowhere.
test("what an error tells besides is part of its answers, by schema and example", async (t) => {
  const { app } = testHttp(t, (scope) => {
    scope.post(
      "/things/:id/wear",
      {
        schema: { summary: "Wear", params: ById, response: { 200: strict({}) } },
        config: { permission: "thing:update", errors: [thingErrors.busy, thingErrors.worn] },
      },
      () => {
        // @ts-expect-error: an entry declares what its problems tell
        thingErrors.taken({ extensions: { state: "big" } });
        // @ts-expect-error: this is none of its members
        throw thingErrors.busy({ extensions: { what: 1 } });
      },
    );
  });
  const document = (await app.inject("/openapi.json")).json();
  assert.deepEqual(openApiFaults(document), []);
  const { $ref } = document.paths["/api/v1/things/{id}/wear"].post.responses["409"];
  const answer = document.components.responses[$ref.split("/").at(-1)];
  const { schema, examples } = answer.content["application/problem+json"];
  assert.deepEqual(schema, {
    allOf: [
      { $ref: "#/components/schemas/Problem" },
      {
        type: "object",
        properties: {
          state: {
            anyOf: [
              {
                type: "string",
                description: "Of ERR_THINGS_BUSY: The thing's.",
                examples: ["big"],
              },
              { type: "integer", description: "Of ERR_THINGS_WORN: state", minimum: 3 },
            ],
          },
          users: {
            type: "array",
            description: "Of ERR_THINGS_BUSY: users",
            items: { $ref: "#/components/schemas/User" },
          },
        },
      },
    ],
  });
  assert.equal(examples.ERR_THINGS_BUSY.value.state, "big");
  assert.equal(examples.ERR_THINGS_WORN.value.state, 3);
});
