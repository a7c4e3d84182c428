import assert from "node:assert/strict";
import { test } from "node:test";
import bcrypt from "bcryptjs";
import { manualClock } from "../clock.ts";
import { Problem } from "../errors.ts";
import { seededRandom } from "../random.ts";
import { assertPassword, createPasswords, isPasswordHash } from "./passwords.ts";

const random = seededRandom(manualClock(), 7);

// Guards against hashes weaker than the floor or without a salt of their own.
test("a password is kept as argon2id of 19 MiB with its own salt, and verifies", async () => {
  const passwords = createPasswords({ random });
  const [one, two] = await Promise.all([
    passwords.hash("O'Brien <3 ü"),
    passwords.hash("O'Brien <3 ü"),
  ]);
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  assert.notEqual(one, two);
  assert.equal(one.includes("O'Brien"), false);
  assert.deepEqual(await passwords.verify("O'Brien <3 ü".normalize("NFD"), one), {
    ok: true,
    upgraded: null,
  });
  assert.deepEqual(await passwords.verify("O'Brien <3 u", one), { ok: false, upgraded: null });
});

// Guards against hashes brought from elsewhere that lock their owners out or stay weak for ever.
test("bcrypt hashes verify once and come back as argon2id", async () => {
  const passwords = createPasswords({ random });
  const hash = await bcrypt.hash("correct horse", 4);
  for (const variant of ["$2a$", "$2b$", "$2y$"]) {
    const stored = variant + hash.slice(4);
    const verdict = await passwords.verify("correct horse", stored);
    assert.equal(verdict.ok, true, variant);
    assert.match(verdict.upgraded ?? "", /^\$argon2id\$/);
    assert.equal((await passwords.verify("correct horse", verdict.upgraded)).ok, true);
    assert.deepEqual(await passwords.verify("wrong horse", stored), { ok: false, upgraded: null });
  }
});

// Guards against weak argon2id parameters that stay.
test("an argon2id hash below the floor is upgraded", async () => {
  const weak =
    "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$" +
    Buffer.from(await weakTag())
      .toString("base64")
      .replace(/=+$/, "");
  const verdict = await createPasswords({ random }).verify("some password", weak);
  assert.equal(verdict.ok, true);
  assert.match(verdict.upgraded ?? "", /m=19456,t=2,p=1/);
});

async function weakTag(): Promise<Buffer> {
  const { argon2Sync } = await import("node:crypto");
  return argon2Sync("argon2id", {
    message: "some password",
    nonce: Buffer.from("somesaltsomesalt"),
    memory: 64,
    passes: 1,
    parallelism: 1,
    tagLength: 32,
  });
}

// Guards against stored junk that signs somebody in, throws, or asks for gigabytes.
test("what is no acceptable hash verifies nobody", async () => {
  const passwords = createPasswords({ random });
  const salt = "c29tZXNhbHRzb21lc2FsdA";
  const tag = Buffer.alloc(32).toString("base64").replace("=", "");
  const junk = [
    "",
    "password",
    "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    `$argon2id$v=19$m=4194304,t=2,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=19456,t=0,p=1$${salt}$${tag}`,
    `$argon2i$v=19$m=19456,t=2,p=1$${salt}$${tag}`,
    `$argon2id$v=19$m=1,t=2,p=1$${salt}$${tag}`,
  ];
  for (const stored of junk) {
    assert.equal(isPasswordHash(stored), false, stored);
    assert.deepEqual(await passwords.verify("password", stored), { ok: false, upgraded: null });
  }
  assert.deepEqual(await passwords.verify("x".repeat(100_000), null), {
    ok: false,
    upgraded: null,
  });
});

// Guards against telling by the clock whether an account exists. Time of the processor, since other
// work on the machine does not add to it.
test("an unknown user takes as long as a wrong password", async () => {
  const passwords = createPasswords({ random });
  const stored = await passwords.hash("the right one");
  const spent = { unknown: 0, wrong: 0 };
  for (let round = 0; round < 15; round += 1) {
    for (const [kind, hash] of [
      ["unknown", null],
      ["wrong", stored],
    ] as const) {
      const before = process.cpuUsage();
      await passwords.verify("a wrong one", hash);
      const { user, system } = process.cpuUsage(before);
      spent[kind] += user + system;
    }
  }
  const ratio = spent.unknown / spent.wrong;
  assert.ok(ratio > 0.6 && ratio < 1.6, JSON.stringify(spent));
});

// Guards against a flood of sign-ins that eats the thread pool, memory and connections.
test("the hashing queue is bounded and says when to come back", async () => {
  const passwords = createPasswords({ random, maxConcurrent: 1, maxQueued: 2 });
  const started = [1, 2, 3].map(() => passwords.verify("whatever else", null));
  assert.deepEqual(passwords.stats(), { running: 1, queued: 2 });
  await assert.rejects(passwords.verify("whatever else", null), (error) => {
    assert.ok(error instanceof Problem);
    assert.equal(error.code, "ERR_IDENTITY_BUSY");
    assert.ok(Number(error.options.headers?.["retry-after"]) >= 1);
    return true;
  });
  await Promise.all(started);
  assert.deepEqual(passwords.stats(), { running: 0, queued: 0 });
  assert.equal((await passwords.verify("whatever else", null)).ok, false);
});

// Guards against passwords too short to be safe or so long that they are an attack.
test("a password has 8 characters and at most 256 bytes", () => {
  assertPassword("12345678");
  assertPassword("🔑".repeat(8));
  assertPassword("x".repeat(256));
  for (const bad of ["", "1234567", "🔑".repeat(7), "x".repeat(257), "é".repeat(129)]) {
    assert.throws(() => assertPassword(bad), { code: "ERR_IDENTITY_WEAK_PASSWORD" });
  }
});
