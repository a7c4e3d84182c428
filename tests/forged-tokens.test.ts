import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import { forgedTokens } from "#kernel/testing/forged-tokens.ts";
import { services } from "../src/services.ts";
import { operationsOf } from "./support/operations.ts";

const someId = "01890000-0000-7000-8000-000000000000";

async function forge(house: TestApp) {
  const { keys, clock } = house.app.identity;
  const person = await house.person("acme");
  const { key, algorithm, kid } = await keys.signer();
  const publicJwk = keys.jwks().keys.find((jwk) => jwk.kid === kid);
  assert.ok(publicJwk);
  const made = await house.as("acme").post("/api-keys", { name: "k", permissions: ["shop:read"] });
  assert.equal(made.status, 201, made.text);
  const gone = await house.person("acme", "user");
  const left = await house.as("acme").delete(`/members/${gone.userId}`);
  assert.equal(left.status, 204, left.text);
  return forgedTokens({
    token: person.signedIn.accessToken,
    key,
    algorithm,
    kid,
    publicJwk,
    refreshToken: person.signedIn.refreshToken,
    apiKey: made.body.key,
    foreignTenantId: (await house.tenant("globex")).id,
    deactivated: { userId: gone.userId, sessionId: someId },
    nowMs: clock.nowMs(),
  });
}

// Guards against an operation that lets a forged token in, whatever it is forged of.
test("every forged token is refused on every operation", async (t) => {
  const app = await startTestApp(t, { services });
  const operations = operationsOf((await app.as().get("/openapi.json")).body);
  const guarded = operations.filter((operation) => !operation.public);
  const forged = await forge(app);
  assert.ok(forged.length >= 40, `${forged.length} classes`);
  assert.ok(guarded.length >= 30, `${guarded.length} operations`);
  for (const { name, token } of forged) {
    const client = app.with({ authorization: `Bearer ${token}` });
    const answers = await Promise.all(
      guarded.map(({ method, path }) => client.raw(method, path.replace(/\{\w+\}/g, someId))),
    );
    for (const [at, answer] of answers.entries()) {
      assert.equal(answer.status, 401, `${name} at ${guarded[at]?.operationId}`);
    }
  }
  // The positive control: the real one is let in.
  assert.equal((await app.as("acme").get("/shops")).status, 200);
  t.diagnostic(`${forged.length} classes × ${guarded.length} operations refused`);
});
