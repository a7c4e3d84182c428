import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "#kernel/testing/events.ts";
import { makeLease, refusal, startLeases } from "./fixture.ts";
import { runtimeErrors } from "./runtimes/errors.ts";
import type { ExecRequest, ExecResult } from "./runtimes/types.ts";

const result = (changes: Partial<ExecResult> = {}): ExecResult => ({
  exitCode: 0,
  stdout: Buffer.alloc(0),
  stderr: Buffer.alloc(0),
  truncated: false,
  timedOut: false,
  ...changes,
});

/** A lease whose programs do what a test says, and what they were asked. */
async function startExecs(t: TestContext) {
  const house = await startLeases(t);
  const lease = await makeLease(house.admin, { env: { TOKEN: "hunter2" }, preset: "standard" });
  const asked: ExecRequest[] = [];
  const held = { run: async (_: ExecRequest): Promise<ExecResult> => result() };
  house.engine.reach = {
    exec: (_id, request) => {
      asked.push(request);
      return held.run(request);
    },
  };
  return { ...house, lease, path: `/leases/${lease.id}/exec`, asked, held };
}

// Guards against programs whose end, words or limits are lost between a caller and the engine.
test("a program's end and words come back, and its limits go in", async (t) => {
  const { admin, path, asked, held } = await startExecs(t);
  held.run = async () =>
    result({
      exitCode: 3,
      stdout: Buffer.from([0x68, 0x69, 0xff, 0x0a]),
      stderr: Buffer.from("Grüße\0"),
      truncated: true,
    });
  const command = ["sh", "-c", "echo $1", "", 'it\'s "odd"\n🧀'];
  const said = await admin.post(path, { command, stdin: "eins\n🧀", timeoutSeconds: 7 });
  assert.equal(said.status, 200, said.text);
  assert.deepEqual(said.body, {
    exitCode: 3,
    stdout: "hi\ufffd\n",
    stderr: "Grüße\0",
    truncated: true,
    timedOut: false,
  });
  const [request] = asked;
  assert.deepEqual(request?.command, command);
  assert.equal(String(request?.stdin), "eins\n🧀");
  assert.deepEqual([request?.timeoutMs, request?.outputBytesMax], [7_000, 1_048_576]);
  held.run = async () => result({ exitCode: null, timedOut: true });
  const late = await admin.post(path, { command: ["sleep", "60"] });
  assert.deepEqual([late.body.exitCode, late.body.timedOut], [null, true]);
  assert.deepEqual([asked[1]?.timeoutMs, asked[1]?.stdin], [30_000, null]);
  // As long as a body allows, and no longer.
  const much = await admin.post(path, { command: ["cat"], stdin: "x".repeat(1_048_576) });
  assert.equal(much.status, 200, much.text);
  assert.equal(asked[2]?.stdin?.length, 1_048_576);
});

// Guards against commands that no engine should ever see.
test("what is no command is refused, with the place that is wrong", async (t) => {
  const { admin, path, asked } = await startExecs(t);
  const cases: [body: object, refused: string][] = [
    [{}, "422 ERR_REQUEST_INVALID /command"],
    [{ command: [] }, "422 ERR_REQUEST_INVALID /command"],
    [{ command: [""] }, "422 ERR_REQUEST_INVALID /command/0"],
    [{ command: "ls" }, "422 ERR_REQUEST_INVALID /command"],
    [{ command: ["ls\0"] }, "422 ERR_REQUEST_INVALID /command/0"],
    [{ command: ["ls", "x".repeat(32_769)] }, "422 ERR_REQUEST_INVALID /command/1"],
    [{ command: Array(5).fill("x".repeat(30_000)) }, "422 ERR_REQUEST_INVALID /command"],
    [{ command: Array(257).fill("x") }, "422 ERR_REQUEST_INVALID /command"],
    [{ command: ["ls"], timeoutSeconds: 0 }, "422 ERR_REQUEST_INVALID /timeoutSeconds"],
    [{ command: ["ls"], timeoutSeconds: 301 }, "422 ERR_REQUEST_INVALID /timeoutSeconds"],
    [{ command: ["ls"], stdin: "x".repeat(1_048_577) }, "422 ERR_REQUEST_INVALID /stdin"],
    [{ command: ["ls"], env: { A: "b" } }, "422 ERR_REQUEST_INVALID /env"],
  ];
  for (const [body, refused] of cases) {
    assert.equal(refusal(await admin.post(path, body)), refused);
  }
  assert.equal(asked.length, 0);
});

// Guards against programs that are run in the leases of others, or where nothing runs.
test("programs run in one's own running leases only", async (t) => {
  const { admin, user, stranger, nobody, path, lease, asked, settle } = await startExecs(t);
  const command = ["id"];
  for (const caller of [user, stranger]) {
    assert.equal(refusal(await caller.post(path, { command })), "404 ERR_REQUEST_NOT_FOUND");
  }
  assert.equal((await nobody.post(path, { command })).status, 401);
  const own = await makeLease(user);
  assert.equal((await user.post(`/leases/${own.id}/exec`, { command })).status, 200);
  assert.equal((await admin.post(`/leases/${own.id}/exec`, { command })).status, 200);
  assert.equal(asked.length, 2);
  await admin.post(`/leases/${lease.id}/pause?wait=10`);
  const paused = await admin.post(path, { command });
  assert.equal(refusal(paused), "409 ERR_LEASES_WRONG_STATE");
  assert.ok(paused.body.allowed.includes("resume"));
  await admin.delete(`/leases/${lease.id}`);
  await settle();
  assert.equal(refusal(await admin.post(path, { command })), "410 ERR_LEASES_OVER");
  assert.equal(asked.length, 2);
});

// Guards against an engine's fault that comes out as ours, or as nothing.
test("what the engine refuses keeps its code", async (t) => {
  const { admin, path, held } = await startExecs(t);
  const ask = async (fault: Error) => {
    held.run = () => Promise.reject(fault);
    return admin.post(path, { command: ["id"] });
  };
  const dead = await ask(runtimeErrors.unavailable({ detail: "Docker does not answer." }));
  assert.equal(refusal(dead), "503 ERR_LEASES_RUNTIME_UNAVAILABLE");
  assert.ok(Number(dead.headers["retry-after"]) > 0);
  const gone = await ask(runtimeErrors.gone());
  assert.equal(refusal(gone), "410 ERR_LEASES_RUNTIME_GONE");
  const odd = await ask(new Error("/var/run/secret.sock is odd"));
  assert.equal(refusal(odd), "500 ERR_REQUEST_INTERNAL");
  assert.ok(!odd.text.includes("secret.sock"));
});

// Guards against a program that nobody can be asked about, and secrets that the audit keeps.
test("who ran what is audited, before it runs, and no value of anything", async (t) => {
  const { admin, path, lease, held } = await startExecs(t);
  held.run = async () => {
    const begun = await admin.get(`/leases/${lease.id}/history`);
    assert.equal(begun.body.items[0].action, "lease.exec", "before it runs");
    return result({ stdout: Buffer.from("TOKEN=hunter2\n") });
  };
  const said = await admin.post(path, { command: ["env"], stdin: "hunter3" });
  assert.equal(said.body.stdout, "TOKEN=hunter2\n");
  await admin.post(path, { command: ["/usr/bin/env", "KEY=hunter4", "A=", "make", "all"] });
  await admin.post(path, { command: ["sh", "-c", `echo ${"x".repeat(5_000)}`, "a", "b"] });
  held.run = () => Promise.reject(runtimeErrors.unavailable());
  await admin.post(path, { command: ["false"] });
  const { body } = await admin.get(`/leases/${lease.id}/history`);
  const execs = body.items.filter(({ action }: { action: string }) => action === "lease.exec");
  const commands = execs.map(({ after }: { after: { command: string[] } }) => after.command);
  assert.deepEqual(commands.at(-1), ["env"]);
  assert.deepEqual(commands.at(-2), ["/usr/bin/env", "KEY=…", "A=", "make", "all"]);
  assert.deepEqual(commands[0], ["false"], "also what could not be run");
  const [long] = commands.at(-3).slice(2);
  assert.match(long, /^echo x+… \(5005 characters\) and 2 more$/);
  assert.ok(long.length < 1_100);
  assert.deepEqual(
    [execs.at(-1).after.stdinBytes, execs.at(-1).after.timeoutSeconds, execs.at(-1).actor.kind],
    [7, 30, "user"],
  );
  assert.ok(!/hunter/.test(JSON.stringify(body)), "a secret stands in the audit");
});

// Guards against a lease that ends as idle while a program runs in it.
test("a lease is in use for as long as a program runs", async (t) => {
  const { admin, held, pass } = await startExecs(t);
  const idle = await makeLease(admin, { preset: "standard", idleTtlSeconds: 60 });
  let finish: (ended: ExecResult) => void = () => {};
  held.run = () =>
    new Promise((resolve) => {
      finish = resolve;
    });
  const said = admin.post(`/leases/${idle.id}/exec`, { command: ["make"], timeoutSeconds: 300 });
  await eventually(() => finish.length === 1, "the program");
  for (let round = 0; round < 9; round += 1) {
    await pass(10);
    for (let turn = 0; turn < 40; turn += 1) await new Promise((go) => setImmediate(go));
  }
  finish(result());
  assert.equal((await said).status, 200);
  const after = (await admin.get(`/leases/${idle.id}`)).body;
  assert.deepEqual([after.state, after.expiresInSeconds], ["running", 60]);
  await pass(60);
  assert.equal((await admin.get(`/leases/${idle.id}`)).body.terminationReason, "idle");
});

// Guards against one lease, or one tenant, that takes all the server can do at once.
test("there are so many programs at once in a lease, and no more", async (t) => {
  const { admin, stranger, path, held } = await startExecs(t);
  const waiting: ((ended: ExecResult) => void)[] = [];
  held.run = () => new Promise((resolve) => void waiting.push(resolve));
  const run = () => admin.post(path, { command: ["sleep", "9"] });
  const running = Array.from({ length: 8 }, run);
  await eventually(() => waiting.length === 8, "eight programs");
  const more = await run();
  assert.equal(refusal(more), "429 ERR_LEASES_BUSY");
  assert.match(more.body.detail, /8 programs at once in a lease and 64 in all of a tenant/);
  assert.ok(Number(more.headers["retry-after"]) > 0);
  const elsewhere = await makeLease(stranger);
  held.run = async () => result();
  assert.equal(
    (await stranger.post(`/leases/${elsewhere.id}/exec`, { command: ["id"] })).status,
    200,
  );
  for (const end of waiting) end(result());
  for (const said of await Promise.all(running)) assert.equal(said.status, 200);
  assert.equal((await run()).status, 200, "a seat is given back");
});

// Guards against a program that goes on although nobody waits for it any more.
test("a caller that goes away ends its program", async (t) => {
  const { test: app, tenant, path, held, asked } = await startExecs(t);
  await app.app.listen();
  const { signedIn } = await app.person("shared-mine", "tenant_admin");
  assert.ok(tenant);
  const ended: unknown[] = [];
  held.run = ({ signal }) =>
    new Promise((_, reject) => {
      signal?.addEventListener("abort", () => {
        ended.push(signal.reason);
        reject(signal.reason);
      });
    });
  const leaving = new AbortController();
  const said = fetch(`${app.app.url()}/api/v1${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${signedIn.accessToken}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ command: ["sleep", "300"], timeoutSeconds: 300 }),
    signal: leaving.signal,
  });
  const failed = assert.rejects(said);
  await eventually(() => asked.length === 1, "the program");
  assert.equal(asked[0]?.signal?.aborted, false);
  leaving.abort();
  await failed;
  await eventually(() => ended.length === 1, "its end");
  assert.ok(!app.logs.some(({ level }) => Number(level) >= 50), JSON.stringify(app.logs));
  // A server that stops cuts its callers off at last, and waits for their programs to be ended.
  const cut = assert.rejects(
    fetch(`${app.app.url()}/api/v1${path}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${signedIn.accessToken}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ command: ["sleep", "300"], timeoutSeconds: 300 }),
    }),
  );
  await eventually(() => asked.length === 2, "another program");
  let stopped = false;
  const stopping = app.app.stop().finally(() => {
    stopped = true;
  });
  while (!stopped) {
    app.clock.advance(100);
    await new Promise((go) => setImmediate(go));
  }
  assert.equal(await stopping, false, "something had to be cut");
  assert.equal(ended.length, 2);
  await cut;
});
