import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { manualClock } from "../clock.ts";
import { Problem } from "../errors.ts";
import { systemRandom } from "../random.ts";
import { createSealer, keyIdOf, sealedUnder, sealOverheadBytes } from "./seal.ts";

const random = systemRandom(manualClock());
const newKey = () => random.bytes(32);
const unreadable = (error: unknown) =>
  error instanceof Problem && error.code === "ERR_SECRETS_UNREADABLE";

// Guards against a secret that comes back as something else, also an empty or a long one.
test("what was sealed opens to the same bytes", () => {
  const sealer = createSealer(newKey(), [], random);
  for (const length of [0, 1, 15, 16, 17, 4_096, 70_000]) {
    const plaintext = random.bytes(length);
    const sealed = sealer.seal(plaintext, "secret:a:b");
    assert.equal(sealed.length, length + sealOverheadBytes);
    assert.deepEqual(sealer.open(sealed, "secret:a:b"), plaintext);
  }
});

// Guards against equal secrets that can be recognised as equal in the database.
test("sealing twice gives two different envelopes that don't show the plaintext", () => {
  const sealer = createSealer(newKey(), [], random);
  const plaintext = Buffer.from("sk-live-1234567890");
  const one = sealer.seal(plaintext, "x");
  assert.notDeepEqual(one, sealer.seal(plaintext, "x"));
  assert.equal(one.includes("sk-live"), false);
});

// Guards against a tenant's sealed row that is copied into another tenant's row and opens there.
test("a sealed secret opens only in its own context", () => {
  const sealer = createSealer(newKey(), [], random);
  const sealed = sealer.seal(Buffer.from("token"), "secret:tenant-a:git");
  for (const context of [
    "secret:tenant-b:git",
    "secret:tenant-a:gitx",
    "",
    "SECRET:tenant-a:git",
  ]) {
    assert.throws(() => sealer.open(sealed, context), unreadable);
  }
});

// Guards against tampering that goes unnoticed in any byte of the envelope.
test("changing any single byte makes the secret unreadable", () => {
  const sealer = createSealer(newKey(), [], random);
  const sealed = sealer.seal(Buffer.from("a secret of some length"), "x");
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] as number) ^ 0x01;
    assert.throws(() => sealer.open(changed, "x"), unreadable, `byte ${at}`);
  }
  for (let length = 0; length < sealed.length; length += 1) {
    assert.throws(() => sealer.open(sealed.subarray(0, length), "x"), unreadable);
  }
});

// Guards against secrets that are lost when the master key is changed.
test("a rotated key still opens what it sealed, and resealing moves it under the new one", () => {
  const [old, current] = [newKey(), newKey()];
  const sealed = createSealer(old, [], random).seal(Buffer.from("token"), "x");
  const both = createSealer(current, [old], random);
  assert.equal(both.open(sealed, "x").toString(), "token");
  assert.equal(sealedUnder(sealed), keyIdOf(old));
  const moved = both.reseal(sealed, "x");
  assert.ok(moved);
  assert.equal(sealedUnder(moved), both.keyId);
  assert.equal(both.reseal(moved, "x"), null, "already under the newest key");
  const onlyNew = createSealer(current, [], random);
  assert.equal(onlyNew.open(moved, "x").toString(), "token");
  assert.throws(() => onlyNew.open(sealed, "x"), unreadable);
});

// Guards against a wrong key whose id happens to be another's, and against causes that get public.
test("an unknown key is named by its id in the private cause only", () => {
  const sealed = createSealer(newKey(), [], random).seal(Buffer.from("token"), "x");
  try {
    createSealer(newKey(), [], random).open(sealed, "x");
    assert.fail("it opened");
  } catch (error) {
    assert.ok(error instanceof Problem);
    assert.equal(error.message, "A sealed secret could not be opened");
    assert.match(String(error.cause), new RegExp(sealedUnder(sealed)));
  }
});

// Guards against a code that somebody who reads the database could find by trying texts.
test("a code says nothing without the key, and differs by key, context and text", () => {
  const key = newKey();
  const sealer = createSealer(key, [], random);
  const code = sealer.code("text", "x");
  assert.equal(code.length, 32);
  assert.deepEqual(createSealer(key, [newKey()], random).code("text", "x"), code);
  const others = [
    sealer.code("text ", "x"),
    sealer.code("text", "y"),
    createSealer(newKey(), [key], random).code("text", "x"),
    createHash("sha256").update("text").digest(),
  ];
  for (const other of others) assert.equal(other.equals(code), false);
});
