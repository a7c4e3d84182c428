import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { commandEntries } from "./commands.ts";
import { json, runCli, startStub, temporaryHome } from "./fixture.ts";

const id = "019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a";
const member = { id, email: "bob@example.org", name: "Bob", role: "user", active: true };
const invitation = { id, email: "bob@example.org", role: "clerk", token: "pli_x" };

async function startAnswering(t: TestContext, status: number, body: unknown) {
  const { url, received } = await startStub(t, (_, response) => json(response, status, body));
  const home = await temporaryHome(t);
  const run = (argv: string[], stdin = "") => runCli([...argv, "--api", url], { home, stdin });
  return { run, received };
}

// Guards against a group in which one has to guess what can be done, because half of it is missing.
test("members, tenants and keys have all that their calls can do", async () => {
  const commandsOf = async (group: string) => {
    const entry = commandEntries.find(({ name }) => name === group);
    const { commands = [] } = (await entry?.load()) ?? {};
    return new Set(commands.map(({ name }) => name.split(" ")[0]));
  };
  const usual = ["create", "delete", "get", "history", "list", "update"];
  assert.deepEqual(await commandsOf("members"), new Set([...usual, "invite"]));
  assert.deepEqual(await commandsOf("tenants"), new Set(usual));
  assert.deepEqual(await commandsOf("roles"), new Set(usual));
  const unchanging = usual.filter((name) => name !== "update");
  assert.deepEqual(await commandsOf("api-keys"), new Set(unchanging));
  assert.deepEqual(await commandsOf("invitations"), new Set([...unchanging, "accept"]));
});

// Guards against a first password on the command line, and against a member that is made twice.
test("a member is made with a password from standard input, under a key", async (t) => {
  const { run, received } = await startAnswering(t, 201, member);
  const argv = ["members", "create", "--email", "bob@example.org", "--name", "Bob"];
  const made = await run([...argv, "--role", "clerk", "--password-stdin"], "correct horse\n");
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stderr, /Made the member 019a9f6e/);
  assert.equal((made.stdout + made.stderr).includes("correct horse"), false);
  const [{ method, url, headers, body } = assert.fail()] = received;
  assert.deepEqual([method, url], ["POST", "/api/v1/members"]);
  const sent = { email: "bob@example.org", name: "Bob", password: "correct horse" };
  assert.deepEqual(JSON.parse(body), { ...sent, role: "clerk" });
  assert.ok(headers["idempotency-key"]);
  const unasked = await run(argv);
  assert.equal(unasked.code, 2);
  assert.match(unasked.stderr, /--password-stdin/);
  assert.equal(received.length, 1);
});

// Guards against two ways to invite that do different things.
test("inviting is the same from members and from invitations", async (t) => {
  const { run, received } = await startAnswering(t, 201, invitation);
  for (const command of [
    ["members", "invite"],
    ["invitations", "create"],
  ]) {
    const made = await run([...command, "bob@example.org", "--role", "clerk"]);
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /token +pli_x/);
  }
  const sent = received.map(({ method, url, body }) => [method, url, JSON.parse(body)]);
  const wanted = ["POST", "/api/v1/invitations", { email: "bob@example.org", role: "clerk" }];
  assert.deepEqual(sent, [wanted, wanted]);
});

// Guards against a past that one can't ask for, or that is asked for at another address.
test("the past of each is at its address", async (t) => {
  const entry = {
    at: "2026-11-20T12:00:00Z",
    actor: { name: "ada@example.org" },
    action: "x.update",
    before: { name: "Deli", version: 1 },
    after: { name: "Corner Deli", version: 2 },
  };
  const { run, received } = await startAnswering(t, 200, { items: [entry], nextCursor: null });
  for (const group of ["members", "tenants", "api-keys", "invitations", "roles"]) {
    const { code, stdout, stderr } = await run([group, "history", "one"]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /ada@example\.org +x\.update +name: "Deli" → "Corner Deli"/);
    assert.equal(received.at(-1)?.url, `/api/v1/${group}/one/history`);
  }
});

// Guards against accounts and memberships that are made twice when an answer gets lost.
test("registering and accepting go under a key", async (t) => {
  const user = { id, email: "ada@example.org", name: "Ada" };
  const tenant = { id, slug: "deli", name: "Deli" };
  const tokens = { accessToken: "a", refreshToken: "r", expiresInSeconds: 900 };
  const { run, received } = await startAnswering(t, 201, { user, tenant, ...tokens });
  const argv = ["register", "--email", "ada@example.org", "--name", "Ada", "--tenant", "Deli"];
  const made = await run([...argv, "--password-stdin"], "correct horse\n");
  assert.equal(made.code, 0, made.stderr);
  assert.equal((await run(["invitations", "accept", "pli_x"])).code, 0);
  for (const { url, headers } of received) assert.ok(headers["idempotency-key"], url);
});

// Guards against a tenant that is gone for good because the wrong id was pasted at a terminal.
test("a person who deletes a tenant types its slug; a program need not", async (t) => {
  const { url, received } = await startStub(t, ({ method }, response) =>
    method === "GET" ? json(response, 200, { id, slug: "deli" }) : response.writeHead(204).end(),
  );
  const argv = ["tenants", "delete", id, "--api", url];
  const home = await temporaryHome(t);
  const methods = () => received.splice(0).map(({ method }) => method);
  const slip = await runCli(argv, { home, typed: "dell\n" });
  assert.equal(slip.code, 1);
  assert.match(slip.stderr, /deli.*for good[^]*Nothing was deleted/);
  assert.deepEqual(methods(), ["GET"]);
  assert.equal((await runCli(argv, { home, typed: "deli\n" })).code, 0);
  assert.deepEqual(methods(), ["GET", "DELETE"]);
  assert.equal((await runCli(argv, { home })).code, 0);
  assert.deepEqual(methods(), ["DELETE"]);
});
