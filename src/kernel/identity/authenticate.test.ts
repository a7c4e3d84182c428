import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asPrincipal,
  principalOf,
  registerPerson,
  startIdentity,
  type TestIdentity,
} from "../testing/identity.ts";
import { createApiKey } from "./api-keys.ts";
import { createAuthenticator } from "./authenticate.ts";
import { setUserActive } from "./people.ts";
import { endSession } from "./sessions.ts";
import { updateTenant } from "./tenants.ts";
import type { Principal, SignedIn } from "./types.ts";

const invalid = { code: "ERR_IDENTITY_INVALID_TOKEN" };

/** The parts with a database that counts its flights. */
function counting(id: TestIdentity) {
  const count = { queries: 0, verified: 0 };
  const db = {
    ...id.db,
    query: ((...args) => {
      count.queries += 1;
      return id.db.query(...args);
    }) as typeof id.db.query,
  };
  const tokens = {
    verify(token: string) {
      count.verified += 1;
      return id.tokens.verify(token);
    },
  };
  return { count, authenticator: createAuthenticator({ ...id, db, tokens }) };
}

const bearer = (signedIn: SignedIn) => ({ authorization: `Bearer ${signedIn.accessToken}` });

// Guards against a hot path that asks the database or verifies a signature for every request.
test("a known token is answered from memory, without a promise", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const { count, authenticator } = counting(id);
  const first = await authenticator.authenticate(bearer(ada));
  for (let i = 0; i < 1_000; i += 1) {
    assert.equal(authenticator.authenticate(bearer(ada)), first);
  }
  assert.deepEqual(count, { queries: 1, verified: 1 });
  id.clock.advance(3_999);
  assert.equal(authenticator.authenticate(bearer(ada)), first);
  id.clock.advance(1);
  await Promise.all(
    Array.from({ length: 20 }, async () => authenticator.authenticate(bearer(ada))),
  );
  // One more flight for everybody who came at once; the signature is good for ever.
  assert.deepEqual(count, { queries: 2, verified: 1 });
});

// Guards against two kinds of credentials of which the weaker one counts, and against odd headers.
test("no credentials are nobody, and odd ones are refused", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const admin = await principalOf(id, ada);
  const { key } = await asPrincipal(id, admin, (tx) =>
    createApiKey(tx, id, { principal: admin, input: { name: "k", permissions: [] } }),
  );
  const ask = async (headers: Record<string, string | string[]>) =>
    id.authenticator.authenticate(headers);
  assert.equal(await ask({}), null);
  await assert.rejects(ask({ ...bearer(ada), "x-api-key": key }), {
    code: "ERR_IDENTITY_AMBIGUOUS_CREDENTIALS",
  });
  await ask({ "x-api-key": key });
  const token = ada.accessToken;
  for (const authorization of [
    "",
    "Bearer",
    "Bearer ",
    `Basic ${Buffer.from("a:b").toString("base64")}`,
    `Bearer ${token} ${token}`,
    `Bearer ${token}, Bearer ${token}`,
    `Bearer ${key}`,
    key,
    token,
  ]) {
    await assert.rejects(ask({ authorization }), invalid, authorization.slice(0, 20));
  }
  for (const bad of ["", token, `Bearer ${token}`, ada.refreshToken, `${key}x`, key.slice(0, -1)]) {
    await assert.rejects(ask({ "x-api-key": bad }), { code: "ERR_IDENTITY_INVALID_API_KEY" });
  }
  await assert.rejects(ask({ "x-api-key": [key, key] }), {
    code: "ERR_IDENTITY_INVALID_API_KEY",
  });
});

type End = (id: TestIdentity, who: Principal, ada: SignedIn) => Promise<unknown>;

const ends: Record<string, End> = {
  "a deactivated user": (id, who) =>
    asPrincipal(id, who, (tx) => setUserActive(tx, id, { id: who.actor.id, active: false })),
  "an ended session": (id, who) =>
    asPrincipal(id, who, (tx) =>
      endSession(tx, id, {
        userId: who.actor.id,
        sessionId: who.sessionId ?? "",
        because: "logout",
      }),
    ),
  "a deactivated tenant": (id, who) =>
    asPrincipal(id, who, (tx) =>
      updateTenant(tx, id, { id: who.tenant.id, version: null, change: { active: false } }),
    ),
};

for (const [what, end] of Object.entries(ends)) {
  // Guards against credentials that outlive what they stand for.
  test(`${what} is refused at once here and within 5 s on another server`, async (t) => {
    const id = await startIdentity(t);
    const other = await startIdentity(t, { beside: id });
    const ada = await registerPerson(id, "ada");
    const bob = await registerPerson(id, "bob");
    const who = await principalOf(id, ada);
    await principalOf(id, bob);
    const key = await asPrincipal(id, who, (tx) =>
      createApiKey(tx, id, { principal: who, input: { name: "k", permissions: ["order:read"] } }),
    );
    const withKey = { "x-api-key": key.key };
    for (const server of [id, other]) {
      await principalOf(server, ada);
      await server.authenticator.authenticate(withKey);
    }
    await end(id, who, ada);
    await assert.rejects(principalOf(id, ada), invalid);
    await principalOf(other, ada);
    id.clock.advance(4_000);
    await assert.rejects(principalOf(other, ada), invalid);
    await principalOf(id, bob);
    if (what === "an ended session") {
      assert.ok(await id.authenticator.authenticate(withKey));
    } else {
      for (const server of [id, other]) {
        await assert.rejects(async () => server.authenticator.authenticate(withKey), {
          code: "ERR_IDENTITY_INVALID_API_KEY",
        });
      }
    }
  });
}

// Guards against an answer read before a revocation and remembered after it.
test("a revocation during the look-up is not covered up by its answer", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const who = await principalOf(id, ada);
  const db = {
    ...id.db,
    query: (async (...args) => {
      const answer = await id.db.query(...args);
      await asPrincipal(id, who, (tx) =>
        setUserActive(tx, id, { id: who.actor.id, active: false }),
      );
      return answer;
    }) as typeof id.db.query,
  };
  const authenticator = createAuthenticator({ ...id, db });
  await authenticator.authenticate(bearer(ada));
  await assert.rejects(async () => authenticator.authenticate(bearer(ada)), invalid);
});

// Guards against rights that a token says and its bearer has lost: the membership counts.
test("a changed role holds for tokens that say the old one", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  assert.equal((await principalOf(id, ada)).permissions.has("order:confirm"), true);
  await id.db.query(
    { id: ada.tenant.id, isolation: "shared" },
    "update platform.membership set role = 'user'",
  );
  id.clock.advance(4_000);
  const principal = await principalOf(id, ada);
  assert.equal(principal.role, "user");
  assert.deepEqual(
    [...principal.permissions],
    [
      ["order:read", "own"],
      ["api-key:create", "own"],
    ],
  );
});

// Guards against credentials that pass while the database can't be asked.
test("when the database does not answer, nobody is let in on old knowledge", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  let down = false;
  const db = {
    ...id.db,
    query: (async (...args) => {
      if (down) throw new Error("connection refused");
      return id.db.query(...args);
    }) as typeof id.db.query,
  };
  const authenticator = createAuthenticator({ ...id, db });
  await authenticator.authenticate(bearer(ada));
  down = true;
  assert.ok(authenticator.authenticate(bearer(ada)));
  id.clock.advance(4_000);
  await assert.rejects(async () => authenticator.authenticate(bearer(ada)), /connection refused/);
  down = false;
  assert.ok(await authenticator.authenticate(bearer(ada)));
});
