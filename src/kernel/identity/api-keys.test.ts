import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asOwner,
  asPrincipal,
  auditActions,
  principalOf,
  registerPerson,
  startIdentity,
  type TestIdentity,
  testClient,
  testPassword,
} from "../testing/identity.ts";
import { login } from "./accounts.ts";
import { createApiKey, findApiKey, listApiKeys, type NewApiKey, revokeApiKey } from "./api-keys.ts";
import type { Principal } from "./types.ts";

const make = (id: TestIdentity, principal: Principal, input: Partial<NewApiKey> = {}) =>
  asPrincipal(id, principal, (tx) =>
    createApiKey(tx, id, {
      principal,
      input: { name: "robot", permissions: ["order:read"], ...input },
    }),
  );

const withKey = async (id: TestIdentity, key: string) =>
  id.authenticator.authenticate({ "x-api-key": key }) as Promise<Principal>;

const refused = { code: "ERR_IDENTITY_INVALID_API_KEY" };

async function demote(id: TestIdentity, tenantId: string): Promise<void> {
  const ref = { id: tenantId, isolation: "shared" as const };
  await id.db.query(ref, "update platform.membership set role = 'user'");
  id.clock.advance(4_000);
}

// Guards against keys that can be read again, in an answer, in the database or in the audit.
test("a key is shown once, kept as a hash, and signs in to its own tenant", async (t) => {
  const id = await startIdentity(t);
  const who = await principalOf(id, await registerPerson(id, "ada"));
  const made = await make(id, who);
  assert.match(made.key, /^plm_[A-Za-z0-9_-]{64}$/);
  const principal = await withKey(id, made.key);
  assert.deepEqual(principal.actor, {
    kind: "api_key",
    id: made.id,
    userId: who.actor.id,
    name: "robot",
  });
  assert.equal(principal.tenant.id, who.tenant.id);
  assert.deepEqual([...principal.permissions], [["order:read", "all"]]);
  assert.equal(principal.sessionId, undefined);
  const page = { principal: who, scope: "all" as const, limit: 10, after: null };
  const listed = await asPrincipal(id, who, (tx) => listApiKeys(tx, page));
  assert.equal(JSON.stringify(listed).includes(made.key.slice(0, 40)), false);
  assert.equal(listed[0]?.lastFour, made.key.slice(-4));
  const { rows } = await id.db.query<{ text: string }>(
    who.tenant,
    `select k::text as text from platform.api_key k
      union all select r::text from platform.audit r`,
  );
  const text = rows.map((row) => row.text).join();
  assert.equal(text.includes(made.key.slice(30)), false);
  assert.equal(text.includes(Buffer.from(made.key.slice(4), "base64url").toString("hex")), false);
});

// Guards against a key as a ladder: beyond its maker, beyond the tenant, or by a key.
test("a key holds nothing that its maker does not, and makes no keys", async (t) => {
  const id = await startIdentity(t);
  const admin = await principalOf(id, await registerPerson(id, "ada"));
  await assert.rejects(make(id, admin, { permissions: ["tenant:create"] }), {
    code: "ERR_ACCESS_UNKNOWN_PERMISSION",
  });
  await assert.rejects(make(id, admin, { permissions: ["no:such"] }), {
    code: "ERR_ACCESS_UNKNOWN_PERMISSION",
  });
  await demote(id, admin.tenant.id);
  const credentials = { email: "ada@example.com", password: testPassword };
  const user = await principalOf(id, await login(id, { credentials, client: testClient }));
  assert.equal(user.role, "user");
  await assert.rejects(make(id, user), { code: "ERR_ACCESS_BEYOND_OWN" });
  await assert.rejects(make(id, user, { permissions: ["order:confirm"] }), {
    code: "ERR_ACCESS_BEYOND_OWN",
  });
  const narrow = await make(id, user, { permissions: ["order:read:own", "api-key:create:own"] });
  const key = await withKey(id, narrow.key);
  assert.equal(key.permissions.get("order:read"), "own");
  await assert.rejects(make(id, key, { permissions: ["order:read:own"] }), {
    code: "ERR_IDENTITY_USERS_ONLY",
  });
});

// Guards against keys that outlive the rights of whoever made them.
test("a key shrinks with its maker", async (t) => {
  const id = await startIdentity(t);
  const admin = await principalOf(id, await registerPerson(id, "ada"));
  const { key } = await make(id, admin, { permissions: ["order:read", "order:confirm"] });
  assert.equal((await withKey(id, key)).permissions.size, 2);
  await demote(id, admin.tenant.id);
  assert.deepEqual([...(await withKey(id, key)).permissions], [["order:read", "own"]]);
});

// Guards against keys that never end although they should.
test("a key expires at its time, and one that is revoked ends at once here", async (t) => {
  const id = await startIdentity(t);
  const other = await startIdentity(t, { beside: id });
  const admin = await principalOf(id, await registerPerson(id, "ada"));
  for (const expiresAt of ["2025-12-31T23:59:59Z", "2031-01-02T00:00:00Z", "soon"]) {
    await assert.rejects(make(id, admin, { expiresAt }), { code: "ERR_IDENTITY_INVALID_EXPIRY" });
  }
  const brief = await make(id, admin, { expiresAt: "2026-01-01T00:00:02Z" });
  const long = await make(id, admin);
  for (const server of [id, other]) {
    await withKey(server, brief.key);
    await withKey(server, long.key);
  }
  id.clock.advance(2_000);
  for (const server of [id, other]) await assert.rejects(withKey(server, brief.key), refused);
  await asPrincipal(id, admin, (tx) =>
    revokeApiKey(tx, id, { principal: admin, scope: "all", id: long.id, version: null }),
  );
  await assert.rejects(withKey(id, long.key), refused);
  id.clock.advance(4_000);
  await assert.rejects(withKey(other, long.key), refused);
  assert.deepEqual((await auditActions(id, admin.tenant.id)).slice(3), [
    "api_key.create",
    "api_key.create",
    "api_key.revoke",
  ]);
});

// Guards against a key presented for another tenant: the tenant inside it is part of the secret.
test("a key with another tenant's id in it is worth nothing", async (t) => {
  const id = await startIdentity(t);
  const ada = await principalOf(id, await registerPerson(id, "ada"));
  const bob = await principalOf(id, await registerPerson(id, "bob"));
  const { key } = await make(id, ada);
  const bytes = Buffer.from(key.slice(4), "base64url");
  Buffer.from(bob.tenant.id.replaceAll("-", ""), "hex").copy(bytes);
  await assert.rejects(withKey(id, `plm_${bytes.toString("base64url")}`), refused);
  const made = await make(id, ada);
  const see = { scope: "all" as const, id: made.id };
  const found = await asPrincipal(id, bob, (tx) => findApiKey(tx, { principal: bob, ...see }));
  assert.equal(found, null);
  const revoke = asPrincipal(id, bob, (tx) =>
    revokeApiKey(tx, id, { principal: bob, ...see, version: null }),
  );
  await assert.rejects(revoke, { code: "ERR_REQUEST_NOT_FOUND" });
  await withKey(id, made.key);
});

// Guards against a write per request of a busy key.
test("the last use is noted, once a minute at most", async (t) => {
  const id = await startIdentity(t);
  const who = await principalOf(id, await registerPerson(id, "ada"));
  const { key } = await make(id, who);
  const lastUse = async () => {
    const { rows } = await id.db.query<{ at: string | null }>(
      who.tenant,
      `select last_used_at as at from platform.api_key`,
    );
    return rows[0]?.at;
  };
  assert.equal(await lastUse(), null);
  await withKey(id, key);
  const first = await lastUse();
  assert.equal(Date.parse(first ?? ""), id.clock.nowMs());
  id.clock.advance(59_000);
  await withKey(id, key);
  assert.equal(await lastUse(), first);
  id.clock.advance(2_000);
  id.clock.advance(4_000);
  await withKey(id, key);
  assert.equal(Date.parse((await lastUse()) ?? ""), id.clock.nowMs());
});

// Guards against keys without number.
test("a tenant has 200 keys at most", async (t) => {
  const id = await startIdentity(t);
  const who = await principalOf(id, await registerPerson(id, "ada"));
  await make(id, who);
  await asPrincipal(id, who, (tx) =>
    tx.query(
      `insert into platform.api_key (tenant_id, id, name, key_hash, last_four, permissions,
         created_by, created_at)
       select tenant_id, gen_random_uuid(), name, sha256(n::text::bytea), 'xxxx', permissions,
              created_by, created_at from platform.api_key, generate_series(1, 199) n`,
    ),
  );
  await assert.rejects(make(id, who), { code: "ERR_IDENTITY_TOO_MANY_KEYS" });
  assert.equal((await asOwner(id.ownerUrl, "select 1 from platform.app_user")).length, 1);
});
