import assert from "node:assert/strict";
import { test } from "node:test";
import bcrypt from "bcryptjs";
import { Problem } from "../errors.ts";
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
import { changePassword, type Login, login } from "./accounts.ts";
import { register } from "./registration.ts";
import { setUserActive } from "./people.ts";
import { refreshSession } from "./sessions.ts";

const signIn = (id: TestIdentity, credentials: Partial<Login>, address = testClient.address) =>
  login(id, {
    credentials: { email: "ada@example.com", password: testPassword, ...credentials },
    client: { ...testClient, address },
  });

async function refusal(promise: Promise<unknown>): Promise<{ code: string; body: string }> {
  const error = await promise.then(
    () => assert.fail("was accepted"),
    (reason) => reason,
  );
  assert.ok(error instanceof Problem, String(error));
  const { code, status, title, message, options } = error;
  const { cause: _, ...shown } = options;
  return { code, body: JSON.stringify({ code, status, title, message, shown }) };
}

// Guards against a registration that is half done, or that puts the person into somebody's tenant.
test("registering makes a user, a tenant and its tenant admin, audited there", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  assert.equal(ada.user.email, "ada@example.com");
  assert.equal(ada.tenant.slug, "ada-ltd");
  assert.equal(ada.role, "tenant_admin");
  assert.equal(ada.expiresInSeconds, 900);
  assert.match(ada.refreshToken, /^plr_/);
  const principal = await principalOf(id, ada);
  assert.equal(principal.tenant.id, ada.tenant.id);
  assert.equal(principal.platformAdmin, false);
  assert.equal(principal.permissions.has("tenant:create"), false);
  assert.deepEqual(await auditActions(id, ada.tenant.id), [
    "tenant.create",
    "member.create",
    "auth.login",
  ]);
  const [row] = await asOwner<{ secret: string }>(
    id.ownerUrl,
    "select password_hash as secret from platform.app_user",
  );
  assert.match(row?.secret ?? "", /^\$argon2id\$/);
});

// Guards against two accounts of one address, however it is written and however close in time.
test("an e-mail address registers once", async (t) => {
  const id = await startIdentity(t);
  const registration = { password: testPassword, name: "Ada", tenant: { name: "Same Name" } };
  const outcomes = await Promise.allSettled(
    ["Ada@Example.com", " ada@example.COM ", "ada@example.com"].map((email) =>
      register(id, { registration: { ...registration, email }, client: testClient }),
    ),
  );
  const good = outcomes.filter((one) => one.status === "fulfilled");
  assert.equal(good.length, 1);
  for (const one of outcomes) {
    if (one.status === "rejected") assert.equal(one.reason.code, "ERR_IDENTITY_EMAIL_TAKEN");
  }
  // Another person with the same tenant name gets another slug.
  const other = { ...registration, email: "bob@example.com" };
  const { answer: bob } = await register(id, { registration: other, client: testClient });
  assert.match(bob.tenant.slug, /^same-name-[0-9a-f]{6}$/);
  const wanted = { ...other, email: "eve@example.com", tenant: { name: "x", slug: "same-name" } };
  const refused = await refusal(register(id, { registration: wanted, client: testClient }));
  assert.equal(refused.code, "ERR_TENANCY_SLUG_TAKEN");
  assert.equal(
    (await refusal(signIn(id, { email: "eve@example.com" }))).code,
    "ERR_IDENTITY_INVALID_CREDENTIALS",
  );
});

// Guards against telling strangers which accounts exist, by the answer or by how long it takes:
// each does the same work, one hash and as many flights to the database.
test("unknown user, wrong password, deactivated account: one answer, one effort", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const bob = await registerPerson(id, "bob");
  const principal = await principalOf(id, ada);
  await asPrincipal(id, principal, (tx) =>
    setUserActive(tx, id, { id: bob.user.id, active: false }),
  );
  const hashed: boolean[] = [];
  const passwords = {
    ...id.passwords,
    verify: async (typed: string, stored: string | null) => {
      hashed.push(stored !== null);
      return id.passwords.verify(typed, stored);
    },
  };
  const answers = new Set<string>();
  for (const credentials of [
    { email: "nobody@example.com" },
    { password: "not the password" },
    { email: "bob@example.com" },
    { email: "no address at all" },
  ]) {
    const before = id.flights();
    const { body } = await refusal(signIn({ ...id, passwords }, credentials));
    answers.add(`${id.flights() - before} flights: ${body}`);
  }
  assert.equal(answers.size, 1, [...answers].join("\n"));
  assert.deepEqual(hashed, [false, true, false, false]);
});

// Guards against failures that leave no trace, and traces that hold secrets.
test("a failed sign-in of a known account is audited, without the password", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  await refusal(signIn(id, { password: "hunter2-hunter2" }));
  await signIn(id, {});
  assert.deepEqual((await auditActions(id, ada.tenant.id)).slice(3), [
    "auth.login_failed",
    "auth.login",
  ]);
  const rows = await asOwner<{ text: string }>(
    id.ownerUrl,
    "select t::text as text from platform.login_throttle t",
  );
  const { rows: records } = await id.db.query<{ text: string }>(
    { id: ada.tenant.id, isolation: "shared" },
    "select r::text as text from platform.audit r",
  );
  const all = [...rows, ...records].map((row) => row.text).join();
  for (const secret of ["hunter2", testPassword, "argon2id", "plr_", ada.accessToken]) {
    assert.equal(all.includes(secret), false, secret);
  }
});

// Guards against guessing: failures past the tenth are answered 429 at once, right or wrong.
test("repeated failures are throttled, the right password then too", async (t) => {
  const id = await startIdentity(t);
  await registerPerson(id, "ada");
  for (let i = 0; i < 10; i += 1) {
    const { code } = await refusal(signIn(id, { password: `wrong ${i} wrong` }));
    assert.equal(code, "ERR_IDENTITY_INVALID_CREDENTIALS");
  }
  const { code } = await refusal(signIn(id, {}));
  assert.equal(code, "ERR_IDENTITY_TOO_MANY_ATTEMPTS");
  id.clock.advance(1_000);
  await signIn(id, {});
  await signIn(id, {});
});

// Guards against hashes from elsewhere that stay.
test("a bcrypt hash signs in once and is argon2id from then on", async (t) => {
  const id = await startIdentity(t);
  await registerPerson(id, "ada");
  const hash = await bcrypt.hash("brought along", 4);
  await asOwner(id.ownerUrl, "update platform.app_user set password_hash = $1", [hash]);
  await signIn(id, { password: "brought along" });
  const [row] = await asOwner<{ hash: string }>(
    id.ownerUrl,
    "select password_hash as hash from platform.app_user",
  );
  assert.match(row?.hash ?? "", /^\$argon2id\$/);
  await signIn(id, { password: "brought along" });
});

// Guards against a changed password that leaves a thief's session alive, or that a thief changes.
test("changing the password needs the current one and ends the other sessions", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const other = await signIn(id, {});
  const principal = await principalOf(id, ada);
  await principalOf(id, other);
  const change = { principal, client: testClient, newPassword: "another password" };
  const wrong = await refusal(changePassword(id, { ...change, currentPassword: "wrong wrong" }));
  assert.equal(wrong.code, "ERR_IDENTITY_WRONG_PASSWORD");
  const weak = { ...change, newPassword: "short", currentPassword: testPassword };
  assert.equal((await refusal(changePassword(id, weak))).code, "ERR_IDENTITY_WEAK_PASSWORD");
  await changePassword(id, { ...change, currentPassword: testPassword });
  await principalOf(id, ada);
  await assert.rejects(principalOf(id, other), { code: "ERR_IDENTITY_INVALID_TOKEN" });
  const refreshed = refreshSession(id, { refreshToken: other.refreshToken, client: testClient });
  assert.equal((await refusal(refreshed)).code, "ERR_IDENTITY_INVALID_REFRESH_TOKEN");
  assert.equal((await refusal(signIn(id, {}))).code, "ERR_IDENTITY_INVALID_CREDENTIALS");
  await signIn(id, { password: "another password" });
});

// Guards against signing in to a tenant by naming it.
test("signing in picks the wanted tenant, else the last one, and only one's own", async (t) => {
  const id = await startIdentity(t);
  const ada = await registerPerson(id, "ada");
  const bob = await registerPerson(id, "bob");
  assert.equal((await signIn(id, {})).tenant.id, ada.tenant.id);
  assert.equal((await signIn(id, { tenant: ada.tenant.slug })).tenant.id, ada.tenant.id);
  assert.equal((await signIn(id, { tenant: ada.tenant.id })).tenant.id, ada.tenant.id);
  const foreign = await refusal(signIn(id, { tenant: bob.tenant.id }));
  const unknown = await refusal(signIn(id, { tenant: "no-such-tenant" }));
  assert.equal(foreign.code, "ERR_IDENTITY_NO_TENANT");
  assert.equal(foreign.body, unknown.body);
});

// Guards against e-mail addresses that would break a header, a query or a look-alike check.
test("what is no e-mail address is refused", async (t) => {
  const id = await startIdentity(t);
  const bad = [
    "",
    "a",
    "a@b",
    "a b@example.com",
    "a@example.com\r\nBcc: x@y.zz",
    "<a@example.com>",
  ];
  for (const email of [...bad, `${"x".repeat(250)}@example.com`, "a@@example.com"]) {
    const registration = { email, password: testPassword, name: "x", tenant: { name: "x" } };
    const { code } = await refusal(register(id, { registration, client: testClient }));
    assert.equal(code, "ERR_IDENTITY_INVALID_EMAIL", email);
  }
});
