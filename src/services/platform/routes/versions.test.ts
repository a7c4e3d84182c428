import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestApp } from "#kernel/testing.ts";
import { platform } from "../service.ts";

const services = [platform];
const stale = { "if-match": '"7"' };

const makers = {
  "API key": { path: "/api-keys", body: { name: "robot", permissions: ["member:read"] } },
  invitation: { path: "/invitations", body: { email: "bob@example.com" } },
};

for (const [what, { path, body }] of Object.entries(makers)) {
  // Guards against an end that was decided on by what is no longer so.
  test(`of an ${what} a stale version is refused, the one that was read is not`, async (t) => {
    const { as } = await startTestApp(t, { services });
    const admin = as("acme");
    const made = await admin.post(path, body);
    assert.equal(made.status, 201, made.text);
    assert.equal(made.headers.etag, '"1"');
    const one = `${path}/${made.body.id}`;
    const read = await admin.get(one);
    assert.equal(read.status, 200, read.text);
    assert.equal(read.headers.etag, '"1"');
    assert.equal(read.body.version, 1);
    assert.equal((await admin.get(path)).body.items[0].version, 1);
    assert.equal((await admin.get(one, { "if-none-match": '"1"' })).status, 304);
    const late = await admin.delete(one, stale);
    assert.equal(late.status, 412, late.text);
    assert.equal(late.body.code, "ERR_REQUEST_VERSION_CONFLICT");
    assert.equal((await admin.get(one)).status, 200);
    assert.equal((await as("other").delete(one, stale)).status, 404);
    assert.equal((await admin.delete(one, { "if-match": '"1"' })).status, 204);
    assert.equal((await admin.delete(one, stale)).status, 404);
  });
}

// Guards against a session that is ended by whoever has seen an earlier state of it.
test("a session's version grows with each refresh, and a stale one ends nothing", async (t) => {
  const { as, person } = await startTestApp(t, { services });
  const mine = as("acme");
  const { signedIn } = await person("acme");
  const { body } = await mine.get("/auth/sessions");
  const [{ id, version }] = body.items;
  assert.equal(version, 1);
  const one = `/auth/sessions/${id}`;
  assert.equal((await mine.get(one)).headers.etag, '"1"');
  const { refreshToken } = signedIn;
  assert.equal((await as().post("/auth/refresh", { refreshToken })).status, 200);
  const read = await mine.get(one);
  assert.deepEqual([read.headers.etag, read.body.current], ['"2"', true]);
  assert.equal((await mine.delete(one, { "if-match": '"1"' })).status, 412);
  assert.equal((await mine.get("/auth/me")).status, 200);
  assert.equal((await as("acme", "user").get(one)).status, 404);
  assert.equal((await as("acme", "user").delete(one)).status, 404);
  assert.equal((await mine.delete(one, { "if-match": '"2"' })).status, 204);
  assert.equal((await mine.get("/auth/me")).status, 401);
});
