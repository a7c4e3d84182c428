import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import type { Client } from "#kernel/testing/client.ts";
import { makeLease, refusal, startLeases } from "./fixture.ts";
import { runtimeErrors } from "./runtimes/errors.ts";

const fileBytesMax = 2_500_000;
const sumOf = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("hex");
const type = { "content-type": "application/octet-stream" };

/** A lease with files in memory: each is there whole or not at all, as runtimes have it. */
async function startFiles(t: TestContext) {
  const house = await startLeases(t, { env: { LEASES_MAX_FILE_BYTES: String(fileBytesMax) } });
  const lease = await makeLease(house.admin, { preset: "standard", env: { TOKEN: "hunter2" } });
  const files = new Map<string, Buffer>();
  const held = { failed: [] as unknown[], limit: 0 };
  house.engine.reach = {
    async putFile(_id, path, content, sizeBytesMax) {
      held.limit = sizeBytesMax;
      try {
        const bytes = await buffer(content);
        files.set(path, bytes);
        return sumOf(bytes);
      } catch (error) {
        held.failed.push(error);
        throw error;
      }
    },
    async getFile(_id, path) {
      const found = files.get(path);
      if (!found) throw runtimeErrors.file_missing({ detail: `There is no "${path}".` });
      return { content: Readable.from([found]), sizeBytes: found.length };
    },
  };
  const at = `/api/v1/leases/${lease.id}/files`;
  const where = (path: string, more = "") => `${at}?path=${encodeURIComponent(path)}${more}`;
  const put = (caller: Client, path: string, body: string | Buffer, more = "") =>
    caller.raw("PUT", where(path, more), body, type);
  const get = (caller: Client, path: string) => caller.raw("GET", where(path));
  return { ...house, lease, files, held, where, put, get };
}

const odd = '/workspace/a folder/it\'s "ü"\n🧀;$(id).csv';

// Guards against files that arrive changed, and names that a shell or a header makes something of.
test("a file goes in and comes out as it is, whatever its name", async (t) => {
  const { admin, files, held, put, get } = await startFiles(t);
  for (const size of [0, 1, 70_000, 1_048_576, 1_048_577, fileBytesMax]) {
    const bytes = Buffer.alloc(size, "0\r\n\xff\0z", "latin1");
    const put1 = await put(admin, odd, bytes, `&sha256=${sumOf(bytes).toUpperCase()}`);
    assert.equal(put1.status, 200, put1.text);
    assert.deepEqual(put1.body, { path: odd, sizeBytes: size, sha256: sumOf(bytes) });
    assert.ok(files.get(odd)?.equals(bytes));
    const got = await get(admin, odd);
    assert.equal(got.status, 200, got.text);
    assert.ok(got.bytes.equals(bytes), `${size} bytes`);
    assert.equal(got.headers["content-type"], "application/octet-stream");
    assert.equal(Number(got.headers["content-length"]), size);
    const digest = `sha-256=:${Buffer.from(sumOf(bytes), "hex").toString("base64")}:`;
    assert.equal(got.headers["repr-digest"], size > 1_048_576 ? undefined : digest);
    assert.equal(
      got.headers["content-disposition"],
      'attachment; filename="it_s__________id_.csv"; ' +
        "filename*=UTF-8''it%27s%20%22%C3%BC%22%0A%F0%9F%A7%80%3B%24%28id%29.csv",
    );
  }
  assert.equal(held.limit, fileBytesMax);
  const head = await admin.raw("HEAD", `/api/v1/leases/x/files?path=${encodeURIComponent(odd)}`);
  assert.equal(head.status, 422);
});

// Guards against files of others, of what does not run, and against a read that keeps it alive.
test("files are one's own running lease's, and only writing is use", async (t) => {
  const house = await startFiles(t);
  const { admin, user, stranger, nobody, lease, put, get, files, where, pass } = house;
  await put(admin, "/workspace/x", "mine");
  for (const caller of [user, stranger]) {
    assert.equal(refusal(await get(caller, "/workspace/x")), "404 ERR_REQUEST_NOT_FOUND");
    assert.equal(refusal(await put(caller, "/workspace/x", "no")), "404 ERR_REQUEST_NOT_FOUND");
  }
  assert.equal((await get(nobody, "/workspace/x")).status, 401);
  assert.equal(String(files.get("/workspace/x")), "mine");
  const head = await admin.raw("HEAD", where("/workspace/x"));
  assert.deepEqual([head.status, head.headers["content-length"], head.text], [200, "4", ""]);
  const idle = await makeLease(admin, { preset: "standard", idleTtlSeconds: 60 });
  const left = async () => (await admin.get(`/leases/${idle.id}`)).body.expiresInSeconds;
  const ofIdle = `/api/v1/leases/${idle.id}/files?path=x`;
  await pass(30);
  await admin.raw("GET", ofIdle);
  assert.equal(await left(), 30);
  assert.equal((await admin.raw("PUT", ofIdle, "1", type)).status, 200);
  assert.equal(await left(), 60);
  await admin.post(`/leases/${lease.id}/pause?wait=10`);
  assert.equal(refusal(await get(admin, "/workspace/x")), "409 ERR_LEASES_WRONG_STATE");
  assert.equal(refusal(await put(admin, "/workspace/x", "no")), "409 ERR_LEASES_WRONG_STATE");
  assert.equal(String(files.get("/workspace/x")), "mine");
});

// Guards against a file that is kept although it is not the one that was meant, or too large.
test("what is not what was announced, or too much, is not kept", async (t) => {
  const { admin, put, get, files, held, where } = await startFiles(t);
  await put(admin, "/workspace/x", "before");
  const wrong = await put(admin, "/workspace/x", "after", `&sha256=${sumOf("something else")}`);
  assert.equal(refusal(wrong), "422 ERR_LEASES_WRONG_CHECKSUM");
  assert.deepEqual([wrong.body.sha256, wrong.body.sizeBytes], [sumOf("after"), 5]);
  assert.equal((await put(admin, "/workspace/x", "after", "&sha256=abc")).status, 422);
  const large = await put(admin, "/workspace/x", Buffer.alloc(fileBytesMax + 1));
  assert.equal(large.status, 413);
  assert.match(large.body.detail, /2500000 bytes/);
  assert.equal(String(files.get("/workspace/x")), "before");
  files.set("/workspace/grown", Buffer.alloc(fileBytesMax + 1));
  const grown = await get(admin, "/workspace/grown");
  assert.equal(refusal(grown), "413 ERR_LEASES_RUNTIME_FILE_TOO_LARGE");
  assert.equal(grown.headers["content-disposition"], undefined);
  assert.equal(held.failed.length, 1, "the engine was told once that it must not be kept");
  const text = await admin.raw("PUT", where("/workspace/x"), "a", { "content-type": "text/plain" });
  assert.equal(text.status, 415);
  const refused = [
    "/api/v1/leases/LEASE/files",
    "/api/v1/leases/LEASE/files?path=",
    `/api/v1/leases/LEASE/files?path=${"x".repeat(4_097)}`,
    "/api/v1/leases/LEASE/files?path=a%00b",
    "/api/v1/leases/LEASE/files?path=a&path=b",
  ];
  for (const path of refused) {
    const url = path.replace("LEASE", where("").split("/")[4] as string);
    assert.equal((await admin.raw("GET", url)).status, 422, path);
    assert.equal((await admin.raw("PUT", url, "a", type)).status, 422, path);
  }
});

// Guards against an engine's refusal that comes out as ours.
test("what the engine refuses of a file keeps its code", async (t) => {
  const { admin, engine, put, get } = await startFiles(t);
  assert.equal(refusal(await get(admin, "/none")), "404 ERR_LEASES_RUNTIME_FILE_MISSING");
  const faults = [
    [runtimeErrors.path_refused(), "422 ERR_LEASES_RUNTIME_PATH_REFUSED"],
    [runtimeErrors.disk_full(), "507 ERR_LEASES_RUNTIME_DISK_FULL"],
    [runtimeErrors.unavailable(), "503 ERR_LEASES_RUNTIME_UNAVAILABLE"],
  ] as const;
  for (const [fault, refused] of faults) {
    engine.reach.putFile = () => Promise.reject(fault);
    engine.reach.getFile = () => Promise.reject(fault);
    assert.equal(refusal(await put(admin, "/workspace/x", "a")), refused);
    assert.equal(refusal(await get(admin, "/workspace/x")), refused);
  }
});

// Guards against an upload that nobody can be asked about.
test("who wrote which file is audited, reading is not", async (t) => {
  const { admin, lease, put, get } = await startFiles(t);
  await put(admin, "/workspace/x", "secret words");
  await put(admin, "/workspace/y", "z", `&sha256=${sumOf("a")}`);
  await get(admin, "/workspace/x");
  const { body } = await admin.get(`/leases/${lease.id}/history`);
  const [newest] = body.items;
  assert.equal(newest.action, "lease.file_written");
  assert.deepEqual(newest.after, {
    path: "/workspace/x",
    sizeBytes: 12,
    sha256: sumOf("secret words"),
  });
  const written = body.items.filter(({ action }: { action: string }) => /file/.test(action));
  assert.equal(written.length, 1);
  assert.ok(!/secret words|hunter2/.test(JSON.stringify(body)));
});

// Guards against half a file that is taken for a whole one, on either way.
test("a transfer that breaks off leaves nothing behind, and shows", async (t) => {
  const { test: app, admin, engine, files, held, where, put } = await startFiles(t);
  await app.app.listen();
  const { signedIn } = await app.person("shared-mine", "tenant_admin");
  const authorization = `Bearer ${signedIn.accessToken}`;
  const socket = connect(Number(new URL(app.app.url()).port), "127.0.0.1");
  socket.on("error", () => {});
  socket.write(
    `PUT ${where("/workspace/x")} HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n` +
      "Content-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nhalf",
  );
  await eventually(() => held.limit > 0, "the transfer");
  socket.destroy();
  await eventually(() => held.failed.length === 1, "its end");
  assert.equal(files.size, 0);

  const bytes = Buffer.alloc(2_000_000, "x");
  const read = async () => {
    const url = `${app.app.url()}${where("/workspace/x")}`;
    const answer = await fetch(url, { headers: { authorization } });
    return (await answer.arrayBuffer()).byteLength;
  };
  const chunks = [bytes.subarray(0, 900_000), bytes.subarray(900_000, 1_900_000)];
  for (const end of [[], [Buffer.alloc(200_000)]]) {
    const content = () => Readable.from([...chunks, ...end]);
    engine.reach.getFile = async () => ({ content: content(), sizeBytes: bytes.length });
    await assert.rejects(read(), "shorter or longer than it said");
  }
  engine.reach.getFile = async () => ({ content: Readable.from(["abc"]), sizeBytes: 4 });
  const small = await admin.raw("GET", where("/workspace/x"));
  assert.equal(refusal(small), "503 ERR_LEASES_RUNTIME_UNAVAILABLE");
  assert.match(small.body.detail, /has changed while it was read/);
  // All seats have been given back.
  for (let n = 0; n < 5; n += 1) assert.equal((await put(admin, "/workspace/y", "")).status, 200);
  assert.equal(app.logs.filter(({ level }) => Number(level) >= 50).length, 0);
});

// Guards against a reader who goes away and leaves the engine reading, and against queues.
test("transfers are bounded, and a reader who goes away ends his", async (t) => {
  const { test: app, engine, admin, where, get } = await startFiles(t);
  await app.app.listen();
  const { signedIn } = await app.person("shared-mine", "tenant_admin");
  const open = new Set<Readable>();
  engine.reach.getFile = async () => {
    const content = new Readable({ read() {} });
    content.push(Buffer.alloc(1_000));
    open.add(content);
    content.once("close", () => open.delete(content));
    return { content, sizeBytes: 2_000_000 };
  };
  const leaving = new AbortController();
  const readers = Array.from({ length: 4 }, () =>
    fetch(`${app.app.url()}${where("/workspace/x")}`, {
      headers: { authorization: `Bearer ${signedIn.accessToken}` },
      signal: leaving.signal,
    }),
  );
  for (const answer of await Promise.all(readers)) assert.equal(answer.status, 200);
  const more = await get(admin, "/workspace/x");
  assert.equal(refusal(more), "429 ERR_LEASES_BUSY");
  assert.match(more.body.detail, /4 transfers at once in a lease/);
  leaving.abort();
  await eventually(() => open.size === 0, "all readings have ended");
  engine.reach.getFile = async () => ({ content: Readable.from(["ab"]), sizeBytes: 2 });
  assert.equal((await get(admin, "/workspace/x")).text, "ab");
});

// Guards against a slow line that can't send a large file, though every part of it arrives.
test("a file may take longer to arrive than other requests", async (t) => {
  const house = await startLeases(t, { env: { PLIMSOLL_REQUEST_TIMEOUT_MS: "100" } });
  const lease = await makeLease(house.admin);
  await house.test.app.listen();
  const { signedIn } = await house.test.person("shared-mine", "tenant_admin");
  const send = async function* () {
    for (let n = 0; n < 6; n += 1) {
      yield "part ";
      // Longer in all than other requests have, by the operating system's clock.
      await new Promise((go) => setTimeout(go, 60));
    }
  };
  const answer = await fetch(
    `${house.test.app.url()}/api/v1/leases/${lease.id}/files?path=/workspace/x`,
    {
      method: "PUT",
      headers: { authorization: `Bearer ${signedIn.accessToken}`, ...type },
      body: Readable.toWeb(Readable.from(send())) as ReadableStream,
      duplex: "half",
    },
  );
  assert.equal(answer.status, 200);
  assert.equal(((await answer.json()) as { sizeBytes: number }).sizeBytes, 30);
});
