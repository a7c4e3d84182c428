import assert from "node:assert/strict";
import { test } from "node:test";
import { totpCode, totpStep } from "#kernel/identity/totp.ts";
import { startTestApp, type TestApp } from "#kernel/testing.ts";
import { platform } from "../service.ts";

const services = [platform];
const password = "a good passwörd";
const email = "ada@example.com";

/** Somebody who has just registered, and what they send. */
async function registered({ as }: TestApp) {
  const account = { email, password, name: "Ada", tenant: { name: "Ada Ltd" } };
  const { body, text } = await as().post("/auth/register", account);
  assert.ok(body.accessToken, text);
  const mine = { authorization: `Bearer ${body.accessToken}` };
  const send = (path: string, sent?: object) => as().post(path, sent, mine);
  const login = (typed: string) => as().post("/auth/login", { email, password: typed });
  return { send, login };
}

/** The secret as an authenticator app keeps it. */
function fromBase32(secret: string): Buffer {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0"));
  const bytes = bits.join("").match(/.{8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)));
}

// Guards against a change after which a password that leaked still opens the account.
test("a new password is another one", async (t) => {
  const app = await startTestApp(t, { services });
  const { send, login } = await registered(app);
  for (const newPassword of [password, password.normalize("NFD")]) {
    const change = { currentPassword: password, newPassword };
    const answer = await send("/auth/change-password", change);
    assert.equal(answer.status, 422, answer.text);
    assert.equal(answer.body.code, "ERR_IDENTITY_SAME_PASSWORD");
    assert.equal(answer.body.errors[0].path, "/newPassword");
  }
  assert.equal((await login(password)).status, 200);
  const change = { currentPassword: password, newPassword: "another good one" };
  assert.equal((await send("/auth/change-password", change)).status, 204);
  assert.equal((await login("another good one")).status, 200);
});

// Guards against a code that can be guessed at as often as one likes with a stolen token.
test("codes that confirm a second factor are throttled as sign-ins are", async (t) => {
  const app = await startTestApp(t, { services });
  const { send, login } = await registered(app);
  const confirm = (code: string) => send("/auth/totp/confirm", { code });
  for (let i = 0; i < 12; i += 1) {
    assert.equal((await confirm("123456")).body.code, "ERR_IDENTITY_TOTP_NOT_ENROLLED");
  }
  const { body } = await send("/auth/totp/enroll");
  const secret = fromBase32(body.secret);
  const code = (steps = 0) => totpCode(secret, totpStep(app.clock.nowMs()) + steps);
  const wrong = code(50);
  for (let i = 0; i < 10; i += 1) {
    assert.equal((await confirm(wrong)).body.code, "ERR_IDENTITY_WRONG_CODE");
  }
  const blocked = await confirm(code());
  assert.equal(blocked.status, 429, blocked.text);
  assert.equal(blocked.headers["retry-after"], "1");
  // They count together with those of signing in, and a good code takes none of them back.
  assert.equal((await login(password)).status, 429);
  app.clock.advance(1_000);
  const confirmed = await confirm(code());
  assert.equal(confirmed.status, 200, confirmed.text);
  assert.equal(confirmed.body.recoveryCodes.length, 10);
  app.clock.advance(60_000);
  assert.equal((await confirm(code())).body.code, "ERR_IDENTITY_TOTP_ENABLED");
  assert.equal((await login("not the password")).body.code, "ERR_IDENTITY_INVALID_CREDENTIALS");
  assert.equal((await login(password)).status, 429);
});

// Guards against the same where a second factor is taken off, and counting what is no guess.
test("taking a second factor off is throttled, and nothing to take off is no guess", async (t) => {
  const app = await startTestApp(t, { services });
  const { send, login } = await registered(app);
  const disable = (shown: object) => send("/auth/totp/disable", shown);
  for (let i = 0; i < 12; i += 1) {
    const answer = await disable({ code: "123456" });
    assert.equal(answer.body.code, "ERR_IDENTITY_TOTP_NOT_ENROLLED");
  }
  const { body } = await send("/auth/totp/enroll");
  const code = () => totpCode(fromBase32(body.secret), totpStep(app.clock.nowMs()));
  assert.equal((await send("/auth/totp/confirm", { code: code() })).status, 200);
  for (let i = 0; i < 10; i += 1) {
    const shown = i % 2 === 0 ? { code: "123456" } : { password: "not the password" };
    const answer = await disable(shown);
    assert.match(answer.body.code, /_WRONG_(CODE|PASSWORD)$/);
  }
  assert.equal((await disable({ password })).status, 429);
  app.clock.advance(60_000);
  assert.equal((await disable({ password })).status, 204);
  assert.equal((await login(password)).status, 200);
});
