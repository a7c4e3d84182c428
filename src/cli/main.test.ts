import assert from "node:assert/strict";
import { test } from "node:test";
import { commandEntries } from "./commands.ts";
import { json, runCli, startStub, temporaryHome } from "./fixture.ts";
import type { CommandSpec } from "./types.ts";

// Guards against exit codes that scripts can't rely on: 0 good, 1 refused or failed, 2 usage.
test("what can't be understood is a usage error, told on standard error alone", async (t) => {
  const home = await temporaryHome(t);
  for (const argv of [
    [],
    ["nonsense"],
    ["orders", "nonsense"],
    ["orders", "shops", "get"],
    ["orders", "shops", "get", "1", "2"],
    ["orders", "shops", "list", "--nonsense"],
    ["orders", "shops", "list", "--limit", "ten"],
    ["orders", "shops", "list", "--limit"],
    ["orders", "products", "create", "--vat-rate", "luxury"],
    ["orders", "shops", "update", "1"],
    ["orders", "shops", "create", "--data", "{"],
    ["login", "--email", "ada@example.org"],
    ["faults", "set", "a.b"],
    ["flags", "set", "beta", "maybe"],
  ]) {
    const { code, stdout, stderr } = await runCli(argv, { home });
    assert.deepEqual([argv, code, stdout], [argv, 2, ""]);
    assert.notEqual(stderr, "", argv.join(" "));
  }
});

test("help and version are answers", async (t) => {
  const home = await temporaryHome(t);
  for (const argv of [
    ["--help"],
    ["help", "orders"],
    ["orders", "shops", "--help"],
    ["--version"],
  ]) {
    const { code, stdout, stderr } = await runCli(argv, { home });
    assert.deepEqual([code, stderr], [0, ""], argv.join(" "));
    assert.match(stdout, /plimsoll/);
  }
});

async function everyCommand(): Promise<[words: string[], spec: CommandSpec][]> {
  const found: [string[], CommandSpec][] = [];
  const collect = (words: string[], spec: CommandSpec) => {
    found.push([words, spec]);
    for (const child of spec.commands ?? []) {
      collect([...words, child.name.split(" ")[0] as string], child);
    }
  };
  for (const entry of commandEntries) collect([entry.name], await entry.load());
  return found;
}

// Guards against a command in the list that can't be loaded, or that nobody explains.
test("every command has help that explains it and its options", async (t) => {
  const home = await temporaryHome(t);
  const all = await everyCommand();
  assert.ok(all.length > 60);
  for (const [words, spec] of all) {
    const { code, stdout } = await runCli([...words, "--help"], { home });
    assert.equal(code, 0, words.join(" "));
    assert.ok(stdout.replace(/\s+/g, " ").includes(spec.summary), words.join(" "));
    assert.ok(
      (spec.options ?? []).every(({ summary }) => summary !== ""),
      words.join(" "),
    );
    assert.ok(spec.run || spec.commands, words.join(" "));
  }
});

// Guards against two commands of one name, of which one could never be called.
test("names are unique", async () => {
  const names = (await everyCommand()).map(([words]) => words.join(" "));
  assert.deepEqual(names, [...new Set(names)]);
});

const shop = { id: "s1", name: "O'Brien <3\u001b[2J", currency: "GBP", active: true, address: "" };

test("a list is a table for people and the answer itself for programs", async (t) => {
  const page = { items: [shop], nextCursor: "next" };
  const { url } = await startStub(t, (_, response) => json(response, 200, page));
  const home = await temporaryHome(t);
  const argv = ["orders", "shops", "list", "--api", url];
  const forPeople = await runCli(argv, { home });
  assert.equal(forPeople.code, 0);
  assert.match(forPeople.stdout, /^ID {2}NAME.*\ns1 {2}O'Brien <3\\u001b\[2J {2}GBP/);
  assert.match(forPeople.stderr, /--cursor next/);
  const forPrograms = await runCli([...argv, "--json"], { home });
  assert.deepEqual(JSON.parse(forPrograms.stdout), page);
  assert.equal(forPrograms.stderr, "");
});

// Guards against colour codes in files and pipes, and for people who asked for none.
test("colours are for terminals that want them", async (t) => {
  const page = { items: [shop], nextCursor: null };
  const { url } = await startStub(t, (_, response) => json(response, 200, page));
  const home = await temporaryHome(t);
  const argv = ["orders", "shops", "list", "--api", url];
  const hasColour = async (extra: string[], env: Record<string, string>, columns?: number) => {
    const options = { home, env, ...(columns ? { terminalColumns: columns } : {}) };
    return (await runCli([...argv, ...extra], options)).stdout.includes("\u001b[1m");
  };
  assert.equal(await hasColour([], {}, 80), true);
  assert.equal(await hasColour([], {}), false);
  assert.equal(await hasColour([], { NO_COLOR: "1" }, 80), false);
  assert.equal(await hasColour(["--no-color"], {}, 80), false);
  assert.equal(await hasColour([], { FORCE_COLOR: "1" }), true);
});

// Guards against refusals that leave people guessing.
test("a refusal says what happened, its code, the faulty members and the request", async (t) => {
  const problem = {
    title: "The request has members that are not valid",
    status: 422,
    detail: "Two members are not valid.",
    code: "ERR_REQUEST_INVALID",
    requestId: "r-1",
    errors: [{ path: "/name", message: "must not be empty" }],
  };
  const { url } = await startStub(t, (_, response) => json(response, 422, problem));
  const home = await temporaryHome(t);
  const argv = ["orders", "shops", "create", "--name", "", "--api", url];
  const forPeople = await runCli(argv, { home });
  assert.equal(forPeople.code, 1);
  assert.equal(forPeople.stdout, "");
  assert.equal(
    forPeople.stderr,
    `✖ The request has members that are not valid (422 ERR_REQUEST_INVALID)
  Two members are not valid.
  /name must not be empty
  request r-1
`,
  );
  const forPrograms = await runCli([...argv, "--json"], { home });
  assert.deepEqual(JSON.parse(forPrograms.stderr), problem);
});

// Guards against somebody else's change that is overwritten unseen.
test("a change names the version that was read, or the one that was asked for", async (t) => {
  const { url, received } = await startStub(t, (_, response) => {
    response.setHeader("etag", '"7"');
    json(response, 200, shop);
  });
  const home = await temporaryHome(t);
  const id = "019a0000-0000-7000-8000-000000000001";
  const argv = ["orders", "shops", "update", id, "--active", "no", "--api", url];
  assert.equal((await runCli(argv, { home })).code, 0);
  assert.equal((await runCli([...argv, "--if-version", "3"], { home })).code, 0);
  const seen = received.map(({ method, headers, body }) => [method, headers["if-match"], body]);
  assert.deepEqual(seen, [
    ["GET", undefined, ""],
    ["PATCH", '"7"', '{"active":false}'],
    ["PATCH", '"3"', '{"active":false}'],
  ]);
});

// Guards against passwords on the command line, where every process of the machine reads them.
test("a password comes from standard input or a terminal, never from an option", async (t) => {
  const answer = {
    user: { id: "1", email: "ada@example.org", name: "Ada" },
    tenant: { id: "1", slug: "deli", name: "Deli" },
    accessToken: "secret-access",
    refreshToken: "secret-refresh",
    expiresInSeconds: 900,
  };
  const { url, received } = await startStub(t, (_, response) => json(response, 200, answer));
  const home = await temporaryHome(t);
  const argv = ["login", "--email", "ada@example.org", "--api", url];
  const login = await runCli([...argv, "--password-stdin"], { home, stdin: "correct horse\n" });
  assert.equal(login.code, 0, login.stderr);
  assert.equal(JSON.parse(received[0]?.body ?? "").password, "correct horse");
  assert.doesNotMatch(login.stdout + login.stderr, /secret-/);
  for (const [words, spec] of await everyCommand()) {
    const flags = (spec.options ?? []).map((option) => option.flags);
    assert.ok(!flags.some((flag) => /password <|secret </.test(flag)), words.join(" "));
  }
});

// Guards against being told that one has signed out while the tokens still lie on the disk.
test("signing out forgets the tokens, also when the server is gone", async (t) => {
  const home = await temporaryHome(t);
  const api = "http://127.0.0.1:9";
  assert.match((await runCli(["logout", "--api", api], { home })).stderr, /Nobody was signed in/);
  const { systemClock } = await import("#kernel/clock.ts");
  const { createCredentialStore } = await import("./credentials.ts");
  const store = createCredentialStore(`${home}/.plimsoll`, systemClock);
  await store.set(api, {
    accessToken: "a",
    refreshToken: "r",
    expiresAtMs: systemClock.nowMs() + 60_000,
    email: "ada@example.org",
    tenant: { id: "1", slug: "deli", name: "Deli" },
  });
  const { code, stderr } = await runCli(["logout", "--api", api], { home });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /could not be told/);
  assert.equal(await store.get(api), null);
});

test("an address that is none is told as such", async (t) => {
  const home = await temporaryHome(t);
  const { code, stderr } = await runCli(["whoami"], { home, env: { PLIMSOLL_API: "ftp://x" } });
  assert.equal(code, 2);
  assert.match(stderr, /no address of an API/);
});
