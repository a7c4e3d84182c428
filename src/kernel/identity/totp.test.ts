import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock } from "../clock.ts";
import { seededRandom } from "../random.ts";
import {
  base32,
  matchTotp,
  newRecoveryCodes,
  newTotpSecret,
  otpauthUrl,
  recoveryCodeHash,
  totpCode,
  totpStep,
} from "./totp.ts";

const random = seededRandom(manualClock(), 3);
const rfcSecret = Buffer.from("12345678901234567890");

// Guards against codes that no authenticator app would show (RFC 6238, appendix B, last 6 digits).
test("the codes are those of RFC 6238", () => {
  const vectors = [
    [59, "287082"],
    [1_111_111_109, "081804"],
    [1_111_111_111, "050471"],
    [1_234_567_890, "005924"],
    [2_000_000_000, "279037"],
    [20_000_000_000, "353130"],
  ] as const;
  for (const [seconds, code] of vectors) {
    assert.equal(totpCode(rfcSecret, totpStep(seconds * 1000)), code);
  }
});

// Guards against base32 that an app decodes to another secret (RFC 4648, section 10).
test("base32 is that of RFC 4648, unpadded", () => {
  const vectors = { "": "", f: "MY", fo: "MZXQ", foo: "MZXW6", foob: "MZXW6YQ", fooba: "MZXW6YTB" };
  for (const [plain, text] of Object.entries(vectors)) {
    assert.equal(base32(Buffer.from(plain)), text);
  }
  assert.equal(base32(Buffer.from("foobar")), "MZXW6YTBOI");
});

// Guards against replay of a watched code and against a window wider than one step.
test("a code counts within one step, and never a second time", () => {
  const nowMs = 1_800_000_000_000;
  const step = totpStep(nowMs);
  const code = (of: number) => totpCode(rfcSecret, of);
  assert.equal(matchTotp(rfcSecret, code(step), nowMs, 0), step);
  assert.equal(matchTotp(rfcSecret, code(step - 1), nowMs, 0), step - 1);
  assert.equal(matchTotp(rfcSecret, code(step + 1), nowMs, 0), step + 1);
  assert.equal(matchTotp(rfcSecret, code(step - 2), nowMs, 0), null);
  assert.equal(matchTotp(rfcSecret, code(step + 2), nowMs, 0), null);
  assert.equal(matchTotp(rfcSecret, code(step), nowMs, step), null);
  assert.equal(matchTotp(rfcSecret, code(step - 1), nowMs, step), null);
  for (const bad of ["", "12345", "1234567", "12345a", "１２３４５６", " 123456"]) {
    assert.equal(matchTotp(rfcSecret, bad, nowMs, 0), null);
  }
});

// Guards against recovery codes that are guessable or depend on how they are typed.
test("recovery codes are many bits, all different, and forgiving to type", () => {
  const codes = newRecoveryCodes(random);
  assert.equal(new Set(codes).size, 10);
  for (const code of codes) {
    assert.match(code, /^([A-Z2-7]{4}-){3}[A-Z2-7]{4}$/);
    const typed = ` ${code.toLowerCase().replaceAll("-", " ")}`;
    assert.deepEqual(recoveryCodeHash(typed), recoveryCodeHash(code));
  }
  assert.equal(recoveryCodeHash("123456"), null);
});

// Guards against an enrolment link that breaks on an odd account name.
test("the otpauth link carries account, issuer and secret", () => {
  const secret = newTotpSecret(random);
  const url = new URL(otpauthUrl(secret, "a+b@example.com/?&"));
  assert.equal(url.protocol, "otpauth:");
  assert.equal(decodeURIComponent(url.pathname).endsWith("Plimsoll:a+b@example.com/?&"), true);
  assert.equal(url.searchParams.get("secret"), base32(secret));
});
