import assert from "node:assert/strict";
import { test } from "node:test";
import { withClient } from "#kernel/db/roles.ts";
import { forgetEndedIdentities } from "#kernel/identity/housekeeping.ts";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import type { Client, TestResponse } from "#kernel/testing/client.ts";
import { platform } from "../service.ts";

const services = [platform];
const password = "a good password";
const once = { "idempotency-key": "register-1" };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const dayMs = 24 * 60 * 60_000;

const account = (name: string) => ({
  email: `${name}@example.com`,
  password,
  name,
  tenant: { name: `${name} Ltd` },
});

const register = (client: Client, body: object, headers: Record<string, string> = once) =>
  client.post("/auth/register", body, headers);

const count = async ({ app }: TestApp, table: string) => {
  const { rows } = await app.identity.db.inPlatform((tx) =>
    tx.query<{ n: number }>(`select count(*) as n from platform.${table}`),
  );
  return rows[0]?.n;
};

function assertReused(answer: TestResponse): void {
  assert.equal(answer.status, 422, answer.text);
  assert.equal(answer.body.code, "ERR_REQUEST_IDEMPOTENCY_KEY_REUSED");
  assert.equal(answer.text.includes("plr_"), false);
}

// Guards against an account whose owner never sees the tokens, because the answer got lost.
test("registering again with the same key and body gets the same bytes", async (t) => {
  const app = await startTestApp(t, { services });
  const nobody = app.as();
  const first = await register(nobody, account("ada"));
  assert.equal(first.status, 201, first.text);
  assert.equal(first.headers["idempotent-replayed"], undefined);
  app.clock.advance(dayMs - 1);
  const again = await register(nobody, account("ada"));
  assert.deepEqual([again.status, again.text], [201, first.text]);
  assert.equal(again.headers["idempotent-replayed"], "true");
  assert.equal(again.headers["cache-control"], "no-store");
  assert.deepEqual([await count(app, "app_user"), await count(app, "session")], [1, 1]);
  const { refreshToken } = again.body;
  assert.equal((await nobody.post("/auth/refresh", { refreshToken })).status, 200);
  for (const change of [{ name: "Ada" }, { tenant: { name: "x" } }, { cookie: true }]) {
    assertReused(await register(nobody, { ...account("ada"), ...change }));
  }
  const unkeyed = await register(nobody, account("ada"), {});
  assert.equal(unkeyed.body.code, "ERR_IDENTITY_EMAIL_TAKEN");
  const other = await register(nobody, account("ada"), { "idempotency-key": "register-2" });
  assert.equal(other.body.code, "ERR_IDENTITY_EMAIL_TAKEN");
  const bad = await register(nobody, account("eve"), { "idempotency-key": "é" });
  assert.equal(bad.body.code, "ERR_REQUEST_BAD_IDEMPOTENCY_KEY");
  app.clock.advance(1);
  const late = await register(nobody, account("ada"));
  assert.equal(late.body.code, "ERR_IDENTITY_EMAIL_TAKEN");
  assert.equal((await forgetEndedIdentities(app.app.identity)).answers, 1);
  assert.equal(await count(app, "kept_answer"), 0);
});

// Guards against browsers that are left without their cookie when they try again.
test("a replayed answer sets the same cookie", async (t) => {
  const { as } = await startTestApp(t, { services });
  const body = { ...account("ada"), cookie: true };
  const first = await register(as(), body);
  const again = await register(as(), body);
  assert.match(String(first.headers["set-cookie"]), /^plimsoll_refresh=plr_/);
  assert.equal(String(again.headers["set-cookie"]), String(first.headers["set-cookie"]));
  assert.equal(again.text, first.text);
});

// Guards against two accounts, tenants or sessions of one registration that was sent twice.
test("of duplicates at once one registers, and all get its answer", async (t) => {
  const app = await startTestApp(t, { services });
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => register(app.as(), account("ada"))),
  );
  const [first] = answers;
  for (const answer of answers) assert.deepEqual([answer.status, answer.text], [201, first?.text]);
  const replayed = answers.filter(({ headers }) => headers["idempotent-replayed"] === "true");
  assert.equal(replayed.length, 5);
  for (const table of ["app_user", "tenant", "session"]) assert.equal(await count(app, table), 1);
});

// Guards against a refusal that is repeated although what it was for has been put right.
test("a refusal is not kept", async (t) => {
  const { as } = await startTestApp(t, { services });
  assert.equal((await register(as(), { ...account("ada"), password: "short" })).status, 422);
  const taken = { ...account("ada"), tenant: { name: "x", slug: "a--" } };
  assert.equal((await register(as(), taken)).status, 422);
  assert.equal((await register(as(), account("ada"))).status, 201);
});

// Guards against a key that hands one person's tokens to another, or stands in another's way.
test("a key is each address's own, and worth nothing without the password", async (t) => {
  const app = await startTestApp(t, { services });
  const ada = await register(app.as(), account("ada"));
  const eve = await register(app.as(), account("eve"));
  assert.equal(eve.status, 201, eve.text);
  assert.notEqual(eve.body.user.id, ada.body.user.id);
  const guess = (text: string) => register(app.as(), { ...account("ada"), password: text });
  for (let i = 0; i < 10; i += 1) assertReused(await guess(`guess number ${i}`));
  const blocked = await guess(password);
  assert.equal(blocked.status, 429, blocked.text);
  assert.equal(blocked.headers["retry-after"], "1");
  app.clock.advance(60_000);
  assert.equal((await guess(password)).text, ada.text);
});

// Guards against a way around a changed password or a second factor.
test("once the password is another, or a second factor is on, nothing is replayed", async (t) => {
  const app = await startTestApp(t, { services });
  const [ada, bob] = [
    await register(app.as(), account("ada")),
    await register(app.as(), account("bob")),
  ];
  const change = { currentPassword: password, newPassword: "another good password" };
  const mine = bearer(ada.body.accessToken);
  const changed = await app.as().post("/auth/change-password", change, mine);
  assert.equal(changed.status, 204, changed.text);
  assertReused(await register(app.as(), account("ada")));
  await app.app.identity.db.inPlatform((tx) =>
    tx.query("update platform.app_user set totp_secret = 'x' where id = $1", [bob.body.user.id]),
  );
  assertReused(await register(app.as(), account("bob")));
});

// Guards against tokens, keys and passwords that can be read in the database.
test("what is kept of a registration is sealed", async (t) => {
  const { app, as } = await startTestApp(t, { services });
  const { body } = await register(as(), account("ada"));
  const { rows } = await app.identity.db.inPlatform((tx) =>
    tx.query<{ text: string; sealed: Buffer }>(
      "select k::text as text, sealed from platform.kept_answer k",
    ),
  );
  assert.equal(rows.length, 1);
  const text = `${rows[0]?.text} ${rows[0]?.sealed.toString("latin1")}`;
  for (const secret of [body.refreshToken, body.accessToken, "register-1", "ada@example.com"]) {
    assert.equal(text.includes(secret), false);
    assert.equal(text.includes(Buffer.from(secret).toString("hex")), false);
  }
});

// Guards against an invitation that is used up by an answer which never arrived.
test("accepting an invitation again with the same key gets the same bytes", async (t) => {
  const { as, person } = await startTestApp(t, { services });
  const { email } = await person("other", "user");
  const invitation = (await as("acme").post("/invitations", { email })).body.token;
  const guest = as("other", "user");
  const accept = (client: Client, token: string, headers: Record<string, string> = once) =>
    client.post("/invitations/accept", { invitation: token }, headers);
  const answers = await Promise.all([1, 2, 3].map(() => accept(guest, invitation)));
  for (const answer of answers) {
    assert.deepEqual([answer.status, answer.text], [200, answers[0]?.text]);
  }
  assertReused(await accept(guest, "pli_x"));
  const unkeyed = await accept(guest, invitation, {});
  assert.equal(unkeyed.body.code, "ERR_IDENTITY_INVALID_INVITATION");
  const stranger = await accept(as("acme", "user"), invitation);
  assert.equal(stranger.body.code, "ERR_IDENTITY_INVALID_INVITATION");
  // With the invitation, registering is repeatable in the same way.
  const next = (await as("acme").post("/invitations", { email: "bob@example.com" })).body.token;
  const { tenant: _, ...bob } = account("bob");
  const joined = await register(as(), { ...bob, invitation: next });
  assert.equal(joined.status, 201, joined.text);
  assert.equal((await register(as(), { ...bob, invitation: next })).text, joined.text);
});

// Guards against a duplicate that waits for ever, or that is told that something is broken.
test("a duplicate that waits too long is told to come back", async (t) => {
  const env = { PLIMSOLL_DB_LOCK_TIMEOUT_MS: "100" };
  const { app, as } = await startTestApp(t, { services, env });
  const caller = JSON.stringify(["register:ada@example.com", "register-1"]);
  const scope = app.identity.sealer.code(caller, "kept answer scope");
  await withClient(app.ownerUrl, async (client) => {
    const lock = "select pg_advisory_lock(hashtextextended(encode($1, 'hex'), 20233))";
    await client.query(lock, [scope]);
    const late = await register(as(), account("ada"));
    assert.equal(late.status, 409, late.text);
    assert.equal(late.body.code, "ERR_REQUEST_IDEMPOTENCY_IN_FLIGHT");
    assert.equal(late.headers["retry-after"], "1");
  });
  assert.equal((await register(as(), account("ada"))).status, 201);
});
