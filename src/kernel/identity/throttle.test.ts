import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../errors.ts";
import { startIdentity } from "../testing/identity.ts";
import { blockMs, networkOf } from "./throttle.ts";

function retryAfter(error: unknown): number {
  assert.ok(error instanceof Problem, String(error));
  assert.equal(error.code, "ERR_IDENTITY_TOO_MANY_ATTEMPTS");
  assert.equal(error.status, 429);
  return Number(error.options.headers?.["retry-after"]);
}

// Guards against guessing one password after the other: each failure past the tenth waits longer.
test("failures are answered with a growing Retry-After, and waiting helps", async (t) => {
  const { clock, throttle } = await startIdentity(t);
  for (let i = 0; i < 10; i += 1) await throttle.begin("a@example.com", "192.0.2.1");
  const waits: number[] = [];
  for (let round = 0; round < 12; round += 1) {
    const wait = await throttle.begin("a@example.com", "192.0.2.1").then(
      () => assert.fail("was let in"),
      (error) => retryAfter(error),
    );
    waits.push(wait);
    clock.advance(wait * 1000);
    await throttle.begin("a@example.com", "192.0.2.1");
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
  // Another account from the same address and the same account from elsewhere go on.
  await throttle.begin("b@example.com", "192.0.2.1");
  await throttle.begin("a@example.com", "192.0.2.2");
});

// Guards against a burst of parallel guesses that are all let in before the first one has failed.
test("of many attempts at once, no more than the free ones are let in", async (t) => {
  const { throttle } = await startIdentity(t);
  const attempts = Array.from({ length: 40 }, () => throttle.begin("a@example.com", "192.0.2.1"));
  const outcomes = await Promise.allSettled(attempts);
  assert.equal(outcomes.filter((one) => one.status === "fulfilled").length, 10);
  for (const one of outcomes) if (one.status === "rejected") retryAfter(one.reason);
});

// Guards against attempts while blocked that keep the block alive for ever.
test("an attempt while blocked is not counted", async (t) => {
  const { clock, throttle } = await startIdentity(t);
  for (let i = 0; i < 10; i += 1) await throttle.begin("a@example.com", "192.0.2.1");
  for (let i = 0; i < 30; i += 1) {
    await assert.rejects(throttle.begin("a@example.com", "192.0.2.1"));
  }
  clock.advance(1_000);
  await throttle.begin("a@example.com", "192.0.2.1");
});

// Guards against strangers all over the world who lock an account's owner out.
test("an account under attack stays open to its owner's own addresses", async (t) => {
  const { clock, db, throttle } = await startIdentity(t);
  const owner = await throttle.begin("a@example.com", "198.51.100.7");
  await db.inPlatform((tx) => throttle.succeed(tx, owner));
  for (let i = 0; i < 100; i += 1) await throttle.begin("a@example.com", `10.0.0.${i}`);
  const wait = await throttle.begin("a@example.com", "10.9.9.9").catch(retryAfter);
  assert.equal(wait, 1);
  await throttle.begin("a@example.com", "198.51.100.7");
  clock.advance(1_000);
  for (let i = 0; i < 20; i += 1) {
    clock.advance(30_000);
    await throttle.begin("a@example.com", `10.0.1.${i}`);
  }
  // From somewhere new the owner waits half a minute at most.
  assert.ok(blockMs("account", 100_000) <= 30_000);
});

// Guards against an attacker who clears the address's counter with an account of their own.
test("a success clears the account's failures and none of the address's", async (t) => {
  const { db, throttle } = await startIdentity(t);
  for (let i = 0; i < 9; i += 1) await throttle.begin("a@example.com", "192.0.2.1");
  const good = await throttle.begin("a@example.com", "192.0.2.1");
  await db.inPlatform((tx) => throttle.succeed(tx, good));
  for (let i = 0; i < 10; i += 1) await throttle.begin("a@example.com", "192.0.2.1");
  for (let i = 0; i < 30; i += 1) {
    await throttle.begin(`other${i}@example.com`, "192.0.2.1");
    const mine = await throttle.begin(`mine${i}@example.com`, "192.0.2.1");
    await db.inPlatform((tx) => throttle.succeed(tx, mine));
  }
  await throttle.begin("the-fiftieth@example.com", "192.0.2.1");
  await assert.rejects(throttle.begin("one-more@example.com", "192.0.2.1"), Problem);
});

// Guards against people blocked because the server was busy or a second factor was still to come.
test("a forgiven attempt leaves no trace", async (t) => {
  const { throttle } = await startIdentity(t);
  for (let i = 0; i < 30; i += 1) {
    await throttle.forgive(await throttle.begin("a@example.com", "192.0.2.1"));
  }
});

// Guards against a wait for what was no failure, and against one that ends because of it.
test("forgiving ends the block of its own attempt and no other's", async (t) => {
  const { throttle, clock } = await startIdentity(t);
  const begin = () => throttle.begin("a@example.com", "192.0.2.1");
  for (let i = 0; i < 10; i += 1) await begin();
  clock.advance(1_000);
  await throttle.forgive(await begin());
  const slow = await begin();
  clock.advance(2_000);
  await begin();
  await throttle.forgive(slow);
  await assert.rejects(begin(), { code: "ERR_IDENTITY_TOO_MANY_ATTEMPTS" });
});

// Guards against an IPv6 subscriber with 2^64 addresses to guess from.
test("addresses count by what one subscriber has", () => {
  assert.equal(networkOf("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(networkOf("2001:db8:1:2::1"), networkOf("2001:db8:1:2:ffff::9"));
  assert.notEqual(networkOf("2001:db8:1:2::1"), networkOf("2001:db8:1:3::1"));
  assert.equal(networkOf("nonsense"), "unknown");
});
