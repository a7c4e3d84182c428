import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestApp } from "#kernel/testing.ts";
import type { Client } from "#kernel/testing/client.ts";
import { platform } from "../service.ts";

const services = [platform];
const password = "a good password";
const unknown = "01890000-0000-7000-8000-000000000000";

async function pastOf(client: Client, path: string): Promise<string[]> {
  const { status, body, text } = await client.get(`${path}/history`);
  assert.equal(status, 200, text);
  return body.items.map(({ action }: { action: string }) => action);
}

// Guards against keys whose making and end can't be traced, or whose past strangers can read.
test("an API key's past outlives it, for whoever may see the key", async (t) => {
  const { as } = await startTestApp(t, { services });
  const [admin, user] = [as("acme"), as("acme", "user")];
  const input = { name: "robot", permissions: ["account:use"] };
  const made = await user.post("/api-keys", input);
  assert.equal(made.status, 201, made.text);
  const path = `/api-keys/${made.body.id}`;
  for (const client of [admin, user])
    assert.deepEqual(await pastOf(client, path), ["api_key.create"]);
  assert.equal((await user.delete(path)).status, 204);
  const whole = ["api_key.revoke", "api_key.create"];
  for (const client of [admin, user]) assert.deepEqual(await pastOf(client, path), whole);
  const { body, text } = await user.get(`${path}/history`);
  assert.equal(body.items[0].before.name, "robot");
  assert.equal(text.includes(made.body.key), false);
  const [first] = (await user.get(`${path}/history?limit=1`)).body.items;
  assert.equal(first.action, "api_key.revoke");
  const others = `/api-keys/${(await admin.post("/api-keys", input)).body.id}`;
  for (const [client, hidden] of [
    [user, others],
    [as("other"), path],
    [admin, `/api-keys/${unknown}`],
  ] as const) {
    assert.equal((await client.get(`${hidden}/history`)).status, 404);
  }
  await admin.delete(others);
  assert.equal((await user.get(`${others}/history`)).status, 404);
});

// Guards against people who are in a tenant without a trace of who let them in and who changed it.
test("invitation, member and role tell their past, also when they are gone", async (t) => {
  const { as } = await startTestApp(t, { services });
  const admin = as("acme");
  const role = { name: "clerk", title: "Clerk", permissions: ["member:read"] };
  assert.equal((await admin.post("/roles", role)).status, 201);
  const invited = await admin.post("/invitations", { email: "bob@example.com", role: "clerk" });
  const account = { email: "bob@example.com", password, name: "bob" };
  const joined = await as().post("/auth/register", { ...account, invitation: invited.body.token });
  assert.equal(joined.status, 201, joined.text);
  const invitation = `/invitations/${invited.body.id}`;
  assert.deepEqual(await pastOf(admin, invitation), ["invitation.accept", "invitation.create"]);
  const member = `/members/${joined.body.user.id}`;
  assert.deepEqual(await pastOf(admin, member), ["member.create"]);
  const etag = (await admin.get(member)).headers.etag ?? "";
  assert.equal((await admin.patch(member, { role: "user" }, { "if-match": etag })).status, 200);
  assert.equal((await admin.delete(member)).status, 204);
  const past = ["member.delete", "member.update", "member.create"];
  assert.deepEqual(await pastOf(admin, member), past);
  const [, update] = (await admin.get(`${member}/history`)).body.items;
  assert.deepEqual([update.before.role, update.after.role], ["clerk", "user"]);
  assert.equal((await admin.delete("/roles/clerk")).status, 204);
  assert.deepEqual(await pastOf(admin, "/roles/clerk"), ["role.delete", "role.create"]);
  for (const path of [invitation, member, "/roles/clerk"]) {
    assert.equal((await as("other").get(`${path}/history`)).status, 404, path);
  }
  assert.equal((await as("acme", "user").get(`${member}/history`)).status, 403);
});

// Guards against a member of whom nobody can say how they came in.
test("whoever joins with an account they have is a member with a past", async (t) => {
  const { as, person } = await startTestApp(t, { services });
  const { email, userId } = await person("other", "user");
  const { token } = (await as("acme").post("/invitations", { email })).body;
  const answer = await as("other", "user").post("/invitations/accept", { invitation: token });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(await pastOf(as("acme"), `/members/${userId}`), ["member.create"]);
});

// Guards against a tenant's past that depends on where an admin happened to stand.
test("a tenant's past is one, wherever its changes were made", async (t) => {
  const { as, tenant } = await startTestApp(t, { services });
  const [here, there] = [as("acme", "admin"), as("globex", "admin")];
  const made = await here.post("/tenants", { name: "Big Co" });
  const path = `/tenants/${made.body.id}`;
  const change = (client: Client, name: string, version: number) =>
    client.patch(path, { name }, { "if-match": `"${version}"` });
  assert.equal((await change(there, "Bigger Co", 1)).status, 200);
  assert.equal((await change(here, "Biggest Co", 2)).status, 200);
  const past = ["tenant.update", "tenant.update", "tenant.create"];
  assert.deepEqual(await pastOf(here, path), past);
  assert.deepEqual(await pastOf(there, path), past);
  const [last] = (await here.get(`${path}/history`)).body.items;
  assert.deepEqual([last.before.name, last.after.name], ["Bigger Co", "Biggest Co"]);
  // Where an admin acted, their own trail has what they did and no more.
  const { body } = await here.get("/audit?resource=tenant");
  const ownTrail = body.items.filter(
    ({ resource }: { resource: { id: string } }) => resource.id === made.body.id,
  );
  assert.equal(ownTrail.length, 2);
  const { id } = await tenant("acme");
  assert.equal((await as("acme").get(`/tenants/${id}/history`)).status, 403);
  assert.equal((await here.get(`/tenants/${unknown}/history`)).status, 404);
  for (const client of [here, there]) {
    assert.equal((await client.get("/audit/verify")).body.ok, true);
  }
});
