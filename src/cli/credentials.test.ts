import assert from "node:assert/strict";
import { mkdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { createCredentialStore } from "./credentials.ts";
import { temporaryHome } from "./fixture.ts";

const api = "http://127.0.0.1:7070";
const credentials = {
  accessToken: "access",
  refreshToken: "refresh",
  expiresAtMs: 5,
  email: "ada@example.org",
  tenant: { id: "1", slug: "deli", name: "Deli" },
};

// Guards against tokens that other users of the machine can read.
test("the file and its folder are their owner's alone, even if they were not before", async (t) => {
  const folder = join(await temporaryHome(t), ".plimsoll");
  const store = createCredentialStore(folder, systemClock);
  await store.set(api, credentials);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  assert.equal((await stat(join(folder, "credentials.json"))).mode & 0o777, 0o600);
  await writeFile(join(folder, "credentials.json"), "{}", { mode: 0o644 });
  await store.set(api, credentials);
  assert.equal((await stat(join(folder, "credentials.json"))).mode & 0o777, 0o600);
});

// Guards against a token that is sent to another server than the one that gave it.
test("each API has credentials of its own", async (t) => {
  const store = createCredentialStore(await temporaryHome(t), systemClock);
  await store.set(api, credentials);
  await store.set("https://plimsoll.example.org", { ...credentials, accessToken: "other" });
  assert.equal((await store.get(api))?.accessToken, "access");
  assert.equal(await store.get("http://localhost:7070"), null);
  assert.equal(await store.remove(api), true);
  assert.equal(await store.remove(api), false);
  assert.equal((await store.get("https://plimsoll.example.org"))?.accessToken, "other");
});

test("a damaged file is named, and not overwritten", async (t) => {
  const folder = await temporaryHome(t);
  const file = join(folder, "credentials.json");
  await writeFile(file, "{");
  const store = createCredentialStore(folder, systemClock);
  await assert.rejects(store.get(api), /credentials\.json is damaged/);
  await assert.rejects(store.set(api, credentials), /damaged/);
  assert.equal(await readFile(file, "utf8"), "{");
});

// Guards against two command lines that use one refresh token at the same time.
test("of those who want the lock, one works at a time", async (t) => {
  const store = createCredentialStore(await temporaryHome(t), systemClock);
  let inside = 0;
  const most: number[] = [];
  const work = () =>
    store.locked(async () => {
      inside += 1;
      most.push(inside);
      await systemClock.sleep(2);
      inside -= 1;
    });
  await Promise.all(Array.from({ length: 8 }, work));
  assert.deepEqual(most, [1, 1, 1, 1, 1, 1, 1, 1]);
});

// Guards against a command that was killed and locks everybody out.
test("a lock left behind is taken over: its process is gone, or it is old", async (t) => {
  const folder = await temporaryHome(t);
  await mkdir(folder, { recursive: true });
  const lock = join(folder, "credentials.lock");
  const store = createCredentialStore(folder, systemClock);
  await writeFile(lock, "2147483646");
  assert.equal(await store.locked(async () => "done"), "done");
  await writeFile(lock, String(process.pid));
  const longAgo = new Date(systemClock.nowMs() - 60_000);
  await utimes(lock, longAgo, longAgo);
  assert.equal(await store.locked(async () => "done"), "done");
  await assert.rejects(stat(lock), { code: "ENOENT" });
});
