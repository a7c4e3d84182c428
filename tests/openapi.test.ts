import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestApp } from "#kernel/testing.ts";
import { openApiFaults } from "#kernel/testing/openapi.ts";
import { services } from "../src/services.ts";

// Guards against an operation that clients can't be generated for, or that readers can't try.
test("every operation of every service is documented, with examples that are true", async (t) => {
  const { as } = await startTestApp(t, { services });
  const { status, body } = await as().get("/openapi.json");
  assert.equal(status, 200);
  assert.deepEqual(openApiFaults(body), []);
  const paths = Object.keys(body.paths);
  assert.ok(paths.length > 20);
});
