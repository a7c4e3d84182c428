import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import {
  asOwner,
  asPrincipal,
  auditActions,
  principalOf,
  registerPerson,
  startIdentity,
  type TestIdentity,
} from "../testing/identity.ts";
import { accessTokenTtlMs } from "./lifetimes.ts";
import { rotateSigningKey, signingKeyStatus, startKeyRing } from "./signing-keys.ts";
import { createTokens } from "./tokens.ts";
import type { Principal } from "./types.ts";

const kidOf = (token: string) =>
  JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()).kid as string;

const rotate = (id: TestIdentity, admin: Principal, confirm: string) =>
  asPrincipal(id, admin, (tx) => rotateSigningKey(tx, id, { confirm }));

/** Lets the rings' loops, which wait for the clock, read the database. */
async function untilKnown(id: TestIdentity, kid: string): Promise<void> {
  for (let round = 0; round < 200; round += 1) {
    if (id.keys.jwks().keys.some((jwk) => jwk.kid === kid)) return;
    id.clock.advance(5_000);
    await turn();
    await id.db.inPlatform((tx) => tx.query("select 1"));
  }
  assert.fail("the key never arrived");
}

// Guards against two servers that make two first keys and refuse each other's tokens.
test("servers that start at once on an empty database make one key", async (t) => {
  const id = await startIdentity(t);
  await asOwner(id.ownerUrl, "delete from platform.signing_key");
  const log = { warn() {} };
  const rings = await Promise.all(Array.from({ length: 5 }, () => startKeyRing({ ...id, log })));
  const kids = await Promise.all(rings.map(async (ring) => (await ring.signer()).kid));
  for (const ring of rings) await ring.stop();
  assert.equal(new Set(kids).size, 1);
  const rows = await asOwner<{ secret: Buffer; public: object }>(
    id.ownerUrl,
    `select sealed_private as secret, public_jwk as public from platform.signing_key`,
  );
  assert.equal(rows.length, 1);
  assert.equal(rows[0]?.secret.includes('"d"'), false);
  assert.equal(JSON.stringify(rows[0]?.public).includes('"d"'), false);
});

// Guards against a false 401 during rotation, on the server that rotates and on the others.
test("rotation publishes the new key early and keeps the old one while needed", async (t) => {
  const id = await startIdentity(t);
  const other = await startIdentity(t, { beside: id });
  const ada = await registerPerson(id, "ada");
  const admin = await principalOf(id, ada);
  const first = kidOf(ada.accessToken);
  const made = await rotate(id, admin, first);
  assert.equal(made.state, "pending");
  await untilKnown(other, made.kid);
  const claims = {
    userId: ada.user.id,
    tenantId: ada.tenant.id,
    sessionId: admin.sessionId ?? "",
    role: "tenant_admin",
  };
  const startMs = id.clock.nowMs();
  const activatesMs = Date.parse(made.activatesAt);
  assert.ok(activatesMs - Date.parse(made.createdAt) > 300_000);
  let oldest = "";
  let lastOld = "";
  for (let nowMs = startMs; nowMs < activatesMs + 60_000; nowMs += 20_000) {
    id.clock.set(nowMs);
    const minted = [await id.tokens.mint(claims), await other.tokens.mint(claims)];
    for (const { token } of minted) {
      assert.equal(kidOf(token), nowMs >= activatesMs ? made.kid : first);
      await id.tokens.verify(token);
      await other.tokens.verify(token);
      oldest ||= token;
      if (kidOf(token) === first) lastOld = token;
    }
  }
  id.clock.set(activatesMs + accessTokenTtlMs - 25_000);
  await other.tokens.verify(lastOld);
  await assert.rejects(other.tokens.verify(oldest), { code: "ERR_IDENTITY_EXPIRED_TOKEN" });
  id.clock.advance(accessTokenTtlMs);
  assert.deepEqual(
    id.keys.jwks().keys.map((jwk) => jwk.kid),
    [made.kid],
  );
  await assert.rejects(id.tokens.verify(lastOld), { code: "ERR_IDENTITY_INVALID_TOKEN" });
});

// Guards against a request that is repeated, or two admins at once, rotating twice.
test("a rotation names the key that signs, and happens once", async (t) => {
  const id = await startIdentity(t);
  const admin = await principalOf(id, await registerPerson(id, "ada"));
  const { kid } = await id.keys.signer();
  await assert.rejects(rotate(id, admin, "another"), { code: "ERR_IDENTITY_ROTATION_CONFLICT" });
  const outcomes = await Promise.allSettled([1, 2, 3].map(() => rotate(id, admin, kid)));
  assert.equal(outcomes.filter((one) => one.status === "fulfilled").length, 1);
  const status = await asPrincipal(id, admin, (tx) => signingKeyStatus(tx, id));
  assert.deepEqual(
    status.map((key) => key.state),
    ["pending", "signing"],
  );
  // The new one is not confirmed before it signs.
  await assert.rejects(rotate(id, admin, status[0]?.kid ?? ""), {
    code: "ERR_IDENTITY_ROTATION_CONFLICT",
  });
  assert.equal((await auditActions(id, admin.tenant.id)).at(-1), "signing_key.rotate");
});

// Guards against private keys that lie about when nothing needs them, and against a lost history.
test("a dead key loses its private part and stays in the history with its age", async (t) => {
  const id = await startIdentity(t);
  const admin = await principalOf(id, await registerPerson(id, "ada"));
  const first = (await id.keys.signer()).kid;
  const second = await rotate(id, admin, first);
  id.clock.advance(3_600_000);
  await rotate(id, admin, second.kid);
  const status = await asPrincipal(id, admin, (tx) => signingKeyStatus(tx, id));
  assert.deepEqual(
    status.map((key) => key.state),
    ["pending", "signing", "dead"],
  );
  assert.equal(status[2]?.ageSeconds, 3_600);
  const rows = await asOwner<{ kid: string; kept: boolean }>(
    id.ownerUrl,
    "select kid, sealed_private is not null as kept from platform.signing_key",
  );
  assert.equal(rows.find((row) => row.kid === first)?.kept, false);
  assert.equal(rows.filter((row) => row.kept).length, 2);
});

// Guards against strangers' key ids that make the server ask its database at every request.
test("unknown key ids reach the database once a second at most", async (t) => {
  const id = await startIdentity(t);
  let asked = 0;
  const db = {
    ...id.db,
    inPlatform: ((work) => {
      asked += 1;
      return id.db.inPlatform(work);
    }) as typeof id.db.inPlatform,
  };
  const ring = await startKeyRing({ ...id, db, log: { warn() {} } });
  const tokens = createTokens({ ...id, keys: ring, issuer: "x" });
  const head = (kid: string) =>
    Buffer.from(JSON.stringify({ alg: "EdDSA", kid, typ: "at+jwt" })).toString("base64url");
  asked = 0;
  for (let i = 0; i < 50; i += 1) {
    await assert.rejects(tokens.verify(`${head(`stranger-${i}`)}.e30.AAAA`));
  }
  assert.equal(asked, 1);
  id.clock.advance(1_000);
  await assert.rejects(tokens.verify(`${head("stranger")}.e30.AAAA`));
  assert.equal(asked, 2);
  await ring.stop();
});
