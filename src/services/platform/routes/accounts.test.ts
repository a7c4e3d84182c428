import assert from "node:assert/strict";
import { test } from "node:test";
import { createLocalJWKSet, jwtVerify } from "jose";
import { startTestApp } from "#kernel/testing.ts";
import { platform } from "../service.ts";

const services = [platform];
const password = "a good password";
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

const account = (name: string) => ({
  email: `${name}@example.com`,
  password,
  name,
  tenant: { name: `${name} Ltd` },
});

// Guards against an API that is not what the contract says, from registering to signing out.
test("one registers, signs in, looks around, refreshes and signs out", async (t) => {
  const { as } = await startTestApp(t, { services });
  const nobody = as();
  const made = await nobody.post("/auth/register", account("ada"));
  assert.equal(made.status, 201, made.text);
  assert.deepEqual(Object.keys(made.body).sort(), [
    "accessToken",
    "expiresInSeconds",
    "refreshToken",
    "role",
    "tenant",
    "user",
  ]);
  assert.equal(made.headers["cache-control"], "no-store");
  const me = await nobody.get("/auth/me", bearer(made.body.accessToken));
  assert.equal(me.status, 200, me.text);
  assert.equal(me.body.user.email, "ada@example.com");
  assert.equal(me.body.role, "tenant_admin");
  assert.ok(me.body.permissions.includes("member:update"));
  const { refreshToken } = made.body;
  const fresh = await nobody.post("/auth/refresh", { refreshToken });
  assert.equal(fresh.status, 200, fresh.text);
  const signedIn = await nobody.post("/auth/login", { email: "ADA@example.com", password });
  assert.equal(signedIn.status, 200, signedIn.text);
  const sessions = await nobody.get("/auth/sessions", bearer(signedIn.body.accessToken));
  assert.deepEqual(
    sessions.body.items.map((one: { current: boolean }) => one.current),
    [true, false],
  );
  const out = await nobody.post("/auth/logout", { refreshToken: fresh.body.refreshToken });
  assert.equal(out.status, 204, out.text);
  assert.equal((await nobody.get("/auth/me", bearer(made.body.accessToken))).status, 401);
  const left = bearer(signedIn.body.accessToken);
  assert.equal((await nobody.post("/auth/logout", undefined, left)).status, 204);
  assert.equal((await nobody.get("/auth/me", left)).status, 401);
});

// Guards against a refresh token that scripts can read, or that other sites can have used.
test("for a browser the refresh token is in an HttpOnly cookie only", async (t) => {
  const { as } = await startTestApp(t, { services });
  const nobody = as();
  const made = await nobody.post("/auth/register", { ...account("ada"), cookie: true });
  assert.equal("refreshToken" in made.body, false);
  const set = String(made.headers["set-cookie"]);
  assert.match(set, /^plimsoll_refresh=plr_[\w-]{80}; Path=\/api\/v1\/auth; /);
  assert.match(set, /; Max-Age=2592000; HttpOnly; SameSite=Strict$/);
  const cookie = set.split(";")[0] as string;
  const cross = { cookie, "sec-fetch-site": "cross-site" };
  assert.equal((await nobody.post("/auth/refresh", {}, cross)).status, 401);
  const own = { cookie: `a=b; ${cookie}`, "sec-fetch-site": "same-origin" };
  const fresh = await nobody.post("/auth/refresh", undefined, own);
  assert.equal(fresh.status, 200, fresh.text);
  assert.equal("refreshToken" in fresh.body, false);
  const next = String(fresh.headers["set-cookie"]).split(";")[0] as string;
  assert.notEqual(next, cookie);
  const out = await nobody.post("/auth/logout", undefined, { cookie: next });
  assert.equal(out.status, 204);
  assert.match(String(out.headers["set-cookie"]), /^plimsoll_refresh=; .*Max-Age=0;/);
  const again = await nobody.post("/auth/refresh", undefined, { cookie: next });
  assert.equal(again.status, 401);
  assert.match(String(again.headers["set-cookie"]), /Max-Age=0/);
});

// Guards against answers that tell accounts apart, byte for byte but for the request's own id.
test("wrong password and unknown user are one answer; guessing is 429", async (t) => {
  const { as } = await startTestApp(t, { services });
  const nobody = as();
  await nobody.post("/auth/register", account("ada"));
  const wrong = async (email: string) => {
    const answer = await nobody.post("/auth/login", { email, password: "not the password" });
    const { requestId: _, ...body } = answer.body;
    const { "x-request-id": __, date: ___, ratelimit: ____, ...headers } = answer.headers;
    return { status: answer.status, body, headers };
  };
  const known = await wrong("ada@example.com");
  assert.equal(known.status, 401);
  assert.equal(known.body.code, "ERR_IDENTITY_INVALID_CREDENTIALS");
  assert.deepEqual(await wrong("nobody@example.com"), known);
  for (let i = 0; i < 9; i += 1) await wrong("ada@example.com");
  const blocked = await nobody.post("/auth/login", { email: "ada@example.com", password });
  assert.equal(blocked.status, 429);
  assert.equal(blocked.headers["retry-after"], "1");
});

// Guards against bodies that are nearly right and do something anyway.
test("bodies are checked: members, kinds, lengths, either tenant or invitation", async (t) => {
  const { as } = await startTestApp(t, { services });
  const nobody = as();
  const good = account("ada");
  const { tenant: _, ...neither } = good;
  const bad = [
    {},
    neither,
    { ...good, invitation: "pli_x" },
    { ...good, platformAdmin: true },
    { ...good, password: "1234567" },
    { ...good, password: "é".repeat(200) },
    { ...good, email: "ada" },
    { ...good, name: "" },
    { ...good, name: "a\nb" },
    { ...good, tenant: { name: "x", slug: "A B" } },
    { ...good, email: ["ada@example.com"] },
  ];
  for (const body of bad) {
    const answer = await nobody.post("/auth/register", body);
    assert.equal(answer.status, 422, JSON.stringify(body));
  }
  for (const body of [{}, { email: 1, password: 2 }, { email: "a", password: null }]) {
    assert.equal((await nobody.post("/auth/login", body)).status, 422);
  }
  for (const refreshToken of ["", "x", "plr_", "é", "plr_".padEnd(84, "A")]) {
    const answer = await nobody.post("/auth/refresh", { refreshToken });
    assert.equal(answer.status, 401, refreshToken);
  }
  assert.equal((await nobody.post("/auth/refresh")).status, 401);
});

// Guards against invitations, roles or members that work in code and not over HTTP.
test("people come by invitation, get roles, and go, each change under If-Match", async (t) => {
  const { as } = await startTestApp(t, { services });
  const admin = as("acme");
  const role = { name: "clerk", title: "Clerk", permissions: ["member:read"] };
  const made = await admin.post("/roles", role);
  assert.equal(made.status, 201, made.text);
  const invited = await admin.post("/invitations", { email: "bob@example.com", role: "clerk" });
  assert.equal(invited.status, 201, invited.text);
  const { tenant: _, ...person } = account("bob");
  const invitation = invited.body.token;
  const bob = await as().post("/auth/register", { ...person, invitation });
  assert.equal(bob.status, 201, bob.text);
  assert.equal(bob.body.role, "clerk");
  // A member needs no invitation, whatever the letters' case; nor does one that is not active.
  const again = await admin.post("/invitations", { email: "BOB@example.com" });
  assert.deepEqual([again.status, again.body.code], [409, "ERR_IDENTITY_ALREADY_MEMBER"]);
  assert.deepEqual((await admin.get("/invitations")).body.items, []);
  assert.equal((await as("other").post("/invitations", { email: "bob@example.com" })).status, 201);
  const mine = bearer(bob.body.accessToken);
  assert.deepEqual((await as().get("/auth/me", mine)).body.permissions, [
    "account:use",
    "member:read",
  ]);
  const path = `/members/${bob.body.user.id}`;
  assert.equal((await admin.patch(path, { role: "user" })).status, 428);
  const stale = await admin.patch(path, { role: "user" }, { "if-match": '"7"' });
  assert.equal(stale.status, 412);
  const { headers } = await admin.get(path);
  const etag = { "if-match": headers.etag as string };
  const changed = await admin.patch(path, { role: "user" }, etag);
  assert.equal(changed.status, 200, changed.text);
  assert.equal((await admin.delete("/roles/clerk")).status, 204);
  assert.equal((await admin.get("/roles/clerk")).status, 404);
  const listed = await admin.get("/members?role=user&limit=1");
  assert.deepEqual(
    listed.body.items.map((one: { email: string }) => one.email),
    ["bob@example.com"],
  );
  assert.equal((await admin.delete(path)).status, 204);
  assert.equal((await as().get("/auth/me", mine)).status, 401);
  assert.equal((await as("other").get(path)).status, 404);
});

// Guards against roles that are made by guessing names, or of what can't be granted.
test("every member sees what roles can be made of, and what of it they hold", async (t) => {
  const { as } = await startTestApp(t, { services });
  const admin = as("acme");
  const { items, nextCursor } = (await admin.get("/permissions")).body;
  assert.equal(nextCursor, null);
  const names: string[] = items.map(({ name }: { name: string }) => name);
  assert.deepEqual(names, names.toSorted());
  assert.ok(!names.includes("account:use") && !names.includes("tenant:create"), names.join());
  const role = { name: "all_of_it", title: "All", permissions: names };
  assert.equal((await admin.post("/roles", role)).status, 201);
  const own = items.filter(({ ownable }: { ownable: boolean }) => ownable);
  assert.ok(own.length > 0);
  const permissions = own.map(({ name }: { name: string }) => `${name}:own`);
  const limited = { name: "own_only", title: "Own", permissions };
  assert.equal((await admin.post("/roles", limited)).status, 201);
  const user = as("acme", "user");
  const seen = (await user.get("/permissions")).body.items;
  const held = (name: string) => seen.find((one: { name: string }) => one.name === name).held;
  assert.deepEqual(
    [held("api-key:read"), held("role:read"), held("role:create")],
    ["own", "all", null],
  );
  assert.equal((await as().get("/permissions")).status, 401);
});

// Guards against a way for ordinary people into the administration.
test("an ordinary user manages nobody, and a tenant admin no tenants", async (t) => {
  const { as, person } = await startTestApp(t, { services });
  const user = as("acme", "user");
  const { userId } = await person("acme", "user");
  const forbidden = [
    await user.post("/invitations", { email: "x@example.com" }),
    await user.post("/members", { email: "x@example.com", name: "x", password }),
    await user.patch(`/members/${userId}`, { role: "tenant_admin" }, { "if-match": '"1"' }),
    await user.post("/roles", { name: "boss", title: "x", permissions: [] }),
    await user.get("/tenants"),
    await as("acme").get("/tenants"),
    await as("acme").post("/tenants", { name: "x" }),
    await as("acme").get("/admin/signing-keys"),
    await as("acme").post("/admin/signing-keys/rotate", { confirm: "x" }),
  ];
  for (const answer of forbidden) assert.equal(answer.status, 403, answer.text);
  const member = await as("acme").post("/members", {
    email: "new@example.com",
    name: "New",
    password,
  });
  assert.equal(member.status, 201, member.text);
  const login = await as().post("/auth/login", { email: "new@example.com", password });
  assert.equal(login.status, 200, login.text);
});

// Guards against keys that act as people, or that can be had twice.
test("an API key does what it may and is nobody's session", async (t) => {
  const { as, with: having } = await startTestApp(t, { services });
  const admin = as("acme");
  const once = { "idempotency-key": "make-a-key" };
  const input = { name: "robot", permissions: ["member:read", "account:use"] };
  const made = await admin.post("/api-keys", input, once);
  assert.equal(made.status, 201, made.text);
  assert.equal((await admin.post("/api-keys", input, once)).text, made.text);
  const robot = having({ "x-api-key": made.body.key });
  assert.equal((await robot.get("/members")).status, 200);
  assert.equal((await robot.get("/roles")).status, 403);
  const asPerson = [
    await robot.get("/auth/me"),
    await robot.get("/auth/sessions"),
    await robot.post("/auth/totp/enroll"),
    await robot.post("/auth/switch-tenant", { tenant: "acme" }),
    await robot.post("/auth/change-password", { currentPassword: password, newPassword: password }),
    await robot.post("/invitations/accept", { invitation: "pli_x" }),
  ];
  for (const answer of asPerson) {
    assert.equal(answer.status, 403);
    assert.equal(answer.body.code, "ERR_IDENTITY_USERS_ONLY");
  }
  const path = `/api-keys/${made.body.id}`;
  assert.equal((await admin.get(path)).body.lastFour, made.body.key.slice(-4));
  assert.equal((await as("acme", "user").get(path)).status, 404);
  assert.equal((await as("other").delete(path)).status, 404);
  assert.equal((await admin.delete(path)).status, 204);
  assert.equal((await robot.get("/members")).status, 401);
});

// Guards against tenants made, changed or ended halfway, dedicated ones too.
test("a platform admin makes, changes and ends tenants, and goes into them", async (t) => {
  const { as } = await startTestApp(t, { services });
  const admin = as("acme", "admin");
  const made = await admin.post("/tenants", { name: "Big Co", isolation: "dedicated" });
  assert.equal(made.status, 201, made.text);
  assert.equal(made.body.slug, "big-co");
  const path = `/tenants/${made.body.id}`;
  const inside = await admin.post("/auth/switch-tenant", { tenant: "big-co" });
  assert.equal(inside.status, 200, inside.text);
  assert.equal(inside.body.role, "admin");
  const there = bearer(inside.body.accessToken);
  assert.equal((await as().get("/members", there)).status, 200);
  const off = await admin.patch(path, { active: false }, { "if-match": made.headers.etag ?? "" });
  assert.equal(off.status, 200, off.text);
  assert.equal((await as().get("/members", there)).status, 401);
  assert.equal((await admin.delete(path)).status, 204);
  assert.equal((await admin.get(path)).status, 404);
});

// Guards against a key set at another address, and a rotation that nobody else could follow.
test("the key set verifies tokens, and shows both keys after a rotation", async (t) => {
  const { app, as, clock, person } = await startTestApp(t, { services });
  const admin = as("acme", "admin");
  const jwks = () => as().get("/.well-known/jwks.json");
  const before = await jwks();
  assert.equal(before.status, 200, before.text);
  assert.equal(before.headers["cache-control"], "public, max-age=300");
  const { signedIn } = await person("acme", "admin");
  const verified = await jwtVerify(signedIn.accessToken, createLocalJWKSet(before.body), {
    currentDate: new Date(clock.nowMs()),
  });
  assert.equal(verified.payload.tid, signedIn.tenant.id);
  const { kid } = before.body.keys[0];
  const rotated = await admin.post("/admin/signing-keys/rotate", { confirm: kid });
  assert.equal(rotated.status, 201, rotated.text);
  assert.equal((await admin.post("/admin/signing-keys/rotate", { confirm: kid })).status, 409);
  const status = await admin.get("/admin/signing-keys");
  assert.deepEqual(
    status.body.items.map((one: { state: string }) => one.state),
    ["pending", "signing"],
  );
  await app.identity.keys.refresh();
  assert.equal((await jwks()).body.keys.length, 2);
});

// Guards against a second factor that HTTP turns on or off more easily than the kernel would.
test("a second factor is set up, asked for and taken off over HTTP", async (t) => {
  const { as } = await startTestApp(t, { services });
  const { body } = await as().post("/auth/register", account("ada"));
  const mine = bearer(body.accessToken);
  const enrolled = await as().post("/auth/totp/enroll", undefined, mine);
  assert.equal(enrolled.status, 200, enrolled.text);
  assert.match(enrolled.body.otpauthUrl, /^otpauth:\/\/totp\//);
  const wrong = await as().post("/auth/totp/confirm", { code: "000000" }, mine);
  // 401 would tell a client to sign in again.
  assert.deepEqual([wrong.status, wrong.body.code], [422, "ERR_IDENTITY_WRONG_CODE"]);
  assert.equal((await as().post("/auth/totp/disable", {}, mine)).status, 422);
  const off = await as().post("/auth/totp/disable", { password }, mine);
  assert.equal(off.body.code, "ERR_IDENTITY_TOTP_NOT_ENROLLED");
  const methods = await as().get("/auth/methods");
  assert.deepEqual(methods.body, { password: true, registration: true, sso: false });
  assert.equal((await as().get("/auth/oidc/start")).body.code, "ERR_IDENTITY_SSO_OFF");
});
