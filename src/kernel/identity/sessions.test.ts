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
import { newRefreshToken } from "./opaque-tokens.ts";
import { createPlatformAdmin } from "./people.ts";
import { endSession, listSessions, logout, refreshSession, switchTenant } from "./sessions.ts";
import type { SignedIn } from "./types.ts";

const dayMs = 24 * 60 * 60_000;
const bad = { code: "ERR_IDENTITY_INVALID_REFRESH_TOKEN" };
const refresh = (id: TestIdentity, refreshToken: string) =>
  refreshSession(id, { refreshToken, client: testClient });
const signIn = (id: TestIdentity, email = "ada@example.com"): Promise<SignedIn> =>
  login(id, { credentials: { email, password: testPassword }, client: testClient });

// Guards against a stolen refresh token that goes on working beside its owner's.
test("a refresh token works once; using it again ends the session and is audited", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const second = await refresh(id, ada.refreshToken);
  assert.notEqual(second.refreshToken, ada.refreshToken);
  const third = await refresh(id, second.refreshToken);
  await principalOf(id, third);
  await assert.rejects(refresh(id, ada.refreshToken), bad);
  await assert.rejects(refresh(id, third.refreshToken), bad);
  await assert.rejects(principalOf(id, third), { code: "ERR_IDENTITY_INVALID_TOKEN" });
  assert.equal((await auditActions(id, ada.tenant.id)).at(-1), "auth.refresh_reused");
  // Another session of the same person is untouched.
  await refresh(id, (await signIn(id)).refreshToken);
});

// Guards against two winners of one token.
test("of refreshes with one token at once, one wins and the session ends", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => refresh(id, ada.refreshToken)));
  const winners = outcomes.filter((one) => one.status === "fulfilled");
  assert.equal(winners.length, 1);
  await assert.rejects(refresh(id, winners[0]?.value.refreshToken ?? ""), bad);
});

// Guards against strangers who end somebody's session by inventing tokens for its id.
test("an invented token for a known session is refused and harms nobody", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const { sessionId = "" } = await principalOf(id, ada);
  for (const generation of [0, 1, 2, 4_000_000_000]) {
    const invented = newRefreshToken(id.random, sessionId, generation, id.random.bytes(32));
    await assert.rejects(refresh(id, invented.token), bad);
  }
  const noise = ["", "plr_", ada.accessToken, `${ada.refreshToken}A`, ada.refreshToken.slice(1)];
  for (const token of noise) await assert.rejects(refresh(id, token), bad);
  await refresh(id, ada.refreshToken);
});

// Guards against tokens readable in a stolen copy of the database.
test("the database holds no refresh token", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const [row] = await asOwner<{ text: string }>(
    id.ownerUrl,
    "select s::text as text from platform.session s",
  );
  const random = Buffer.from(ada.refreshToken.slice(4), "base64url").subarray(20, 52);
  assert.equal(row?.text.includes(random.toString("hex")), false);
  assert.equal(row?.text.includes(ada.refreshToken), false);
});

// Guards against sessions that never end.
test("an unused refresh token dies after 30 days, a session after 90", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  assert.equal(ada.refreshExpiresInSeconds, 30 * 86_400);
  id.clock.advance(30 * dayMs);
  await assert.rejects(refresh(id, ada.refreshToken), bad);
  let latest = await signIn(id);
  for (let day = 0; day < 81; day += 27) {
    id.clock.advance(27 * dayMs);
    latest = await refresh(id, latest.refreshToken);
  }
  assert.equal(latest.refreshExpiresInSeconds, 9 * 86_400);
  id.clock.advance(9 * dayMs);
  await assert.rejects(refresh(id, latest.refreshToken), bad);
});

// Guards against sessions that their owner can't see or end, and ends of somebody else's.
test("one's own live sessions are listed by page and can be ended, nobody else's", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const bob = await registerPerson(id, "bob");
  for (let i = 0; i < 4; i += 1) {
    id.clock.advance(1_000);
    await signIn(id);
  }
  const who = await principalOf(id, ada);
  const { sessionId = "" } = await principalOf(id, bob);
  const list = (after: [string, string] | null) =>
    asPrincipal(id, who, (tx) => listSessions(tx, id, { userId: who.actor.id, limit: 2, after }));
  const seen: string[] = [];
  let after: [string, string] | null = null;
  for (;;) {
    const page: Awaited<ReturnType<typeof list>> = await list(after);
    seen.push(...page.map((one) => one.id));
    const last = page.at(-1);
    if (!last) break;
    assert.equal(last.userAgent, "tests/1");
    assert.equal(last.address, "192.0.2.10");
    after = [last.createdAt, last.id];
  }
  assert.equal(new Set(seen).size, 5);
  assert.equal(seen.includes(sessionId), false);
  const end = (session: string) =>
    asPrincipal(id, who, (tx) =>
      endSession(tx, id, { userId: who.actor.id, sessionId: session, because: "revoked" }),
    );
  assert.equal(await end(sessionId), null);
  assert.ok(await end(seen[0] ?? ""));
  assert.equal(await end(seen[0] ?? ""), null);
  await principalOf(id, bob);
});

// Guards against sessions without number.
test("the hundred-and-first session ends the oldest one", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  await asOwner(
    id.ownerUrl,
    `insert into platform.session (id, user_id, acting_tenant_id, method, refresh_hash, reuse_key,
       user_agent, address, created_at, last_used_at, expires_at)
     select gen_random_uuid(), user_id, acting_tenant_id, method, '', '', '', '',
            created_at + interval '1 second' * n, last_used_at, expires_at
       from platform.session, generate_series(1, 99) n`,
  );
  await refresh(id, ada.refreshToken).then((again) => principalOf(id, again));
  id.clock.advance(200_000);
  await signIn(id);
  const [row] = await asOwner<{ count: string }>(
    id.ownerUrl,
    "select count(*) as count from platform.session where revoked_at is null",
  );
  assert.equal(row?.count, "100");
});

// Guards against logging out that needs a token which has expired, and against its doing more.
test("logging out with the refresh token ends that session; a bad one ends none", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const other = await signIn(id);
  const newer = await refresh(id, other.refreshToken);
  await logout(id, { refreshToken: "plr_nonsense", client: testClient });
  await logout(id, { refreshToken: ada.refreshToken, client: testClient });
  await logout(id, { refreshToken: ada.refreshToken, client: testClient });
  await assert.rejects(principalOf(id, ada), { code: "ERR_IDENTITY_INVALID_TOKEN" });
  await principalOf(id, newer);
  assert.equal((await auditActions(id, ada.tenant.id)).at(-1), "auth.logout");
});

// Guards against a way into a tenant by switching to it.
test("switching is for one's own tenants; a platform admin may go everywhere", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const bob = await registerPerson(id, "bob");
  const who = await principalOf(id, bob);
  const to = (userId: string, sessionId: string | undefined, tenant: string) =>
    switchTenant(id, { userId, sessionId: sessionId ?? "", tenant, client: testClient });
  for (const tenant of [ada.tenant.id, ada.tenant.slug, "unknown", id.random.id()]) {
    await assert.rejects(to(bob.user.id, who.sessionId, tenant), {
      code: "ERR_IDENTITY_NO_TENANT",
    });
  }
  const adasSession = (await principalOf(id, ada)).sessionId;
  await assert.rejects(to(bob.user.id, adasSession, bob.tenant.id), bad);
  await createPlatformAdmin(id, {
    email: "root@example.com",
    password: testPassword,
    name: "Root",
    tenant: { name: "Operations" },
  });
  const root = await signIn(id, "root@example.com");
  assert.equal(root.role, "admin");
  const rootIs = await principalOf(id, root);
  const inside = await to(root.user.id, rootIs.sessionId, ada.tenant.slug);
  const there = await principalOf(id, inside);
  assert.equal(there.tenant.id, ada.tenant.id);
  assert.equal(there.role, "admin");
  assert.equal(there.permissions.get("tenant:create"), "all");
  assert.equal((await auditActions(id, ada.tenant.id)).at(-1), "auth.switch_tenant");
  await assert.rejects(refresh(id, root.refreshToken), bad);
});
