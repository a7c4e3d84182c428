import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createLocalJWKSet, importJWK, jwtVerify } from "jose";
import { Problem } from "../errors.ts";
import { forgedTokens } from "../testing/forged-tokens.ts";
import {
  asPrincipal,
  principalOf,
  registerPerson,
  startIdentity,
  type TestIdentity,
  testIssuer,
} from "../testing/identity.ts";
import { createApiKey } from "./api-keys.ts";
import { setUserActive } from "./people.ts";
import type { SigningAlgorithm } from "./signing-key-store.ts";
import { rotateSigningKey } from "./signing-keys.ts";

async function forge(t: TestContext, algorithm: SigningAlgorithm) {
  const id = await startIdentity(t, { algorithm });
  const retired = { ...(await id.keys.signer()) };
  const ada = await registerPerson(id, "ada");
  const bob = await registerPerson(id, "bob");
  const eve = await registerPerson(id, "eve");
  const eveIs = await principalOf(id, eve);
  const admin = await principalOf(id, ada);
  await asPrincipal(id, admin, (tx) =>
    rotateSigningKey(tx, { ...id, algorithm }, { confirm: retired.kid }),
  );
  await asPrincipal(id, admin, (tx) => setUserActive(tx, id, { id: eve.user.id, active: false }));
  id.clock.advance(60 * 60_000);
  await id.keys.refresh();
  const { key, kid } = await id.keys.signer();
  assert.notEqual(kid, retired.kid);
  const { sessionId = "" } = admin;
  const claims = { userId: ada.user.id, tenantId: ada.tenant.id, sessionId, role: "tenant_admin" };
  const { token } = await id.tokens.mint(claims);
  const { key: apiKey } = await asPrincipal(id, admin, (tx) =>
    createApiKey(tx, id, { principal: admin, input: { name: "k", permissions: ["order:read"] } }),
  );
  const publicJwk = id.keys.jwks().keys.find((jwk) => jwk.kid === kid) ?? {};
  const forged = await forgedTokens({
    token,
    key,
    algorithm,
    kid,
    publicJwk,
    retired,
    refreshToken: ada.refreshToken,
    apiKey,
    foreignTenantId: bob.tenant.id,
    deactivated: { userId: eve.user.id, sessionId: eveIs.sessionId ?? "" },
    nowMs: id.clock.nowMs(),
  });
  return { id, token, forged };
}

const authenticate = async (id: TestIdentity, authorization: string) =>
  id.authenticator.authenticate({ authorization });

for (const algorithm of ["EdDSA", "ES256"] as const) {
  // Guards against every published way to forge a token, with either kind of key.
  test(`forged tokens of 100 and more classes are refused (${algorithm})`, async (t) => {
    const { id, token, forged } = await forge(t, algorithm);
    assert.ok(await authenticate(id, `Bearer ${token}`));
    const remembered = id.authenticator.size();
    assert.ok(forged.length >= 100, String(forged.length));
    assert.equal(new Set(forged.map((one) => one.name)).size, forged.length);
    assert.equal(new Set(forged.map((one) => one.token)).size, forged.length);
    for (const { name, token: bad } of forged) {
      await assert.rejects(
        authenticate(id, `Bearer ${bad}`),
        (error) =>
          error instanceof Problem &&
          error.status === 401 &&
          error.options.headers?.["www-authenticate"]?.startsWith("Bearer ") === true,
        name,
      );
    }
    // The good one is still good, cached and anew.
    assert.ok(await authenticate(id, `Bearer ${token}`));
    assert.ok(await authenticate(id, `bearer  ${token}`));
    assert.equal(id.authenticator.size(), remembered + 1);
  });
}

// Guards against tokens that say less or more than they should, or live longer.
test("a token lives 15 minutes and says who, where and as what", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const [head = "", body = ""] = ada.accessToken.split(".");
  const header = JSON.parse(Buffer.from(head, "base64url").toString());
  const claims = JSON.parse(Buffer.from(body, "base64url").toString());
  assert.deepEqual(Object.keys(header).sort(), ["alg", "kid", "typ"]);
  assert.equal(header.typ, "at+jwt");
  assert.deepEqual(Object.keys(claims).sort(), [
    "aud",
    "exp",
    "iat",
    "iss",
    "jti",
    "role",
    "sid",
    "sub",
    "tid",
  ]);
  assert.equal(claims.exp - claims.iat, 900);
  assert.equal(claims.iss, testIssuer);
  assert.equal(claims.tid, ada.tenant.id);
  id.clock.advance(15 * 60_000);
  assert.equal((await principalOf(id, ada)).actor.id, ada.user.id);
  id.clock.advance(5_000);
  await assert.rejects(principalOf(id, ada), { code: "ERR_IDENTITY_EXPIRED_TOKEN" });
});

// Guards against a key set that others can't verify with, or that gives a private part away.
test("anybody can verify a token with the published keys, which hold no secret", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const jwks = id.keys.jwks();
  const { payload } = await jwtVerify(ada.accessToken, createLocalJWKSet(jwks), {
    currentDate: new Date(id.clock.nowMs()),
    issuer: testIssuer,
  });
  assert.equal(payload.sub, ada.user.id);
  for (const jwk of jwks.keys) {
    assert.deepEqual(Object.keys(jwk).sort(), ["alg", "crv", "kid", "kty", "use", "x"]);
    await importJWK(jwk);
  }
});
