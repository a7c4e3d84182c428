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
import { confirmTotp, countGuess, disableTotp, enrollTotp } from "./second-factor.ts";
import { base32, totpCode, totpStep } from "./totp.ts";
import type { Principal } from "./types.ts";

const signIn = (id: TestIdentity, totp?: string, password = testPassword) =>
  login(id, { credentials: { email: "ada@example.com", password, totp }, client: testClient });

/** The secret as an authenticator app keeps it. */
function fromBase32(text: string): Buffer {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...text].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0"));
  const bytes = bits.join("").match(/.{8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2)));
}

async function enrolled(id: TestIdentity) {
  const ada = await registerPerson(id, "ada");
  const who = await principalOf(id, ada);
  const userId = who.actor.id;
  const { secret } = await asPrincipal(id, who, (tx) => enrollTotp(tx, id, { userId }));
  const bytes = fromBase32(secret);
  assert.equal(base32(bytes), secret);
  const code = (steps = 0) => totpCode(bytes, totpStep(id.clock.nowMs()) + steps);
  const confirm = (typed: string) =>
    countGuess(id, { principal: who, client: testClient }, (attempt) =>
      asPrincipal(id, who, (tx) => confirmTotp(tx, id, { userId, code: typed, attempt })),
    );
  return { ada, who, secret, code, confirm };
}

// Guards against people locked out by a set-up that they never finished.
test("a second factor counts only once a code has confirmed it", async (t) => {
  const id = await startIdentity(t);
  const { code, confirm } = await enrolled(id);
  await signIn(id);
  const wrong = code() === "000000" ? "111111" : "000000";
  await assert.rejects(confirm(wrong), { code: "ERR_IDENTITY_WRONG_CODE" });
  await confirm(code());
  await assert.rejects(signIn(id), { code: "ERR_IDENTITY_TOTP_REQUIRED" });
  await assert.rejects(confirm(code()), { code: "ERR_IDENTITY_TOTP_ENABLED" });
});

// Guards against replay of a code that somebody has watched, also at the same moment.
test("signing in takes a fresh code, each once", async (t) => {
  const id = await startIdentity(t);
  const { ada, code, confirm } = await enrolled(id);
  const confirmed = code();
  await confirm(confirmed);
  await assert.rejects(signIn(id, confirmed), { code: "ERR_IDENTITY_TOTP_INVALID" });
  id.clock.advance(30_000);
  const fresh = code();
  const outcomes = await Promise.allSettled([1, 2, 3].map(() => signIn(id, fresh)));
  assert.equal(outcomes.filter((one) => one.status === "fulfilled").length, 1);
  assert.equal((await auditActions(id, ada.tenant.id)).includes("auth.login_failed"), true);
  assert.equal(ada.user.totpEnabled, false);
  id.clock.advance(60_000);
  assert.equal((await signIn(id, code())).user.totpEnabled, true);
});

// Guards against telling who has a second factor to somebody who doesn't know the password.
test("that a second factor is needed is said only after the right password", async (t) => {
  const id = await startIdentity(t);
  const { code, confirm } = await enrolled(id);
  await confirm(code());
  for (const totp of [undefined, code(), "000000"]) {
    await assert.rejects(signIn(id, totp, "wrong wrong"), {
      code: "ERR_IDENTITY_INVALID_CREDENTIALS",
    });
  }
});

// Guards against guessing a code with a password that is known.
test("wrong codes are throttled; asking whether one is needed is not a guess", async (t) => {
  const id = await startIdentity(t);
  const { code, confirm } = await enrolled(id);
  await confirm(code());
  for (let i = 0; i < 15; i += 1) {
    await assert.rejects(signIn(id), { code: "ERR_IDENTITY_TOTP_REQUIRED" });
  }
  const wrong = code(1) === "000000" ? "111111" : "000000";
  for (let i = 0; i < 10; i += 1) {
    await assert.rejects(signIn(id, wrong), { code: "ERR_IDENTITY_TOTP_INVALID" });
  }
  await assert.rejects(signIn(id, wrong), { code: "ERR_IDENTITY_TOO_MANY_ATTEMPTS" });
});

// Guards against recovery codes that work twice or can be read in the database.
test("a recovery code signs in once", async (t) => {
  const id = await startIdentity(t);
  const { secret, code, confirm } = await enrolled(id);
  const { recoveryCodes } = await confirm(code());
  const [first = "", second = ""] = recoveryCodes;
  await signIn(id, first);
  await assert.rejects(signIn(id, first), { code: "ERR_IDENTITY_TOTP_INVALID" });
  await signIn(id, second.toLowerCase().replaceAll("-", " "));
  const rows = await asOwner<{ text: string }>(
    id.ownerUrl,
    `select c::text as text from platform.recovery_code c
      union all select u::text from platform.app_user u`,
  );
  assert.equal(rows.length, 9);
  const all = rows.map((row) => row.text).join();
  for (const held of [...recoveryCodes, secret]) assert.equal(all.includes(held), false);
  assert.equal(all.includes(fromBase32(secret).toString("hex")), false);
});

// Guards against a stolen access token that takes the second factor away.
test("turning it off needs the password or a code, and is throttled", async (t) => {
  const id = await startIdentity(t);
  const { who, code, confirm } = await enrolled(id);
  await confirm(code());
  const off = (principal: Principal, shown: { password?: string; code?: string }) =>
    disableTotp(id, { principal, client: testClient, ...shown });
  await assert.rejects(off(who, {}), { code: "ERR_IDENTITY_WRONG_CODE" });
  await assert.rejects(off(who, { code: code() }), { code: "ERR_IDENTITY_WRONG_CODE" });
  for (let i = 0; i < 8; i += 1) {
    await assert.rejects(off(who, { password: "not this one" }), {
      code: "ERR_IDENTITY_WRONG_PASSWORD",
    });
  }
  await assert.rejects(off(who, { password: testPassword }), {
    code: "ERR_IDENTITY_TOO_MANY_ATTEMPTS",
  });
  id.clock.advance(30_000);
  await off(who, { code: code() });
  await signIn(id);
  await assert.rejects(off(who, { password: testPassword }), {
    code: "ERR_IDENTITY_TOTP_NOT_ENROLLED",
  });
  assert.deepEqual(await asOwner(id.ownerUrl, "select * from platform.recovery_code"), []);
});
