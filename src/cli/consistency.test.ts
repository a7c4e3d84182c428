import assert from "node:assert/strict";
import { test } from "node:test";
import { json, runCli, startStub, temporaryHome } from "./fixture.ts";

const store = "019a0000-0000-7000-8000-000000000001";
const run = { id: "019a0000-0000-7000-8000-000000000002", state: "running", status: null };

// Guards against commands that ask for something else than they say.
test("stores are asked with level, session and version as they were given", async (t) => {
  const { url, received } = await startStub(t, (_request, response) => {
    json(response, 200, { key: "a", value: 1, receipt: { level: "session" } });
  });
  const home = await temporaryHome(t);
  const cli = (...args: string[]) =>
    runCli(["consistency", ...args], {
      home,
      env: { PLIMSOLL_API: url, PLIMSOLL_API_KEY: "plm_x" },
    });
  const put = ["keys", "put", store, "a b", "three apples", "--level", "session"];
  const answer = await cli(...put, "--session", "tok", "--if-version", "1-17");
  assert.equal(answer.code, 0, answer.stderr);
  await cli("keys", "put", store, "n", "5");
  await cli("keys", "delete", store, "a");
  const [first, second, third] = received;
  assert.equal(first?.method, "PUT");
  assert.equal(first.url, `/api/v1/stores/${store}/keys/a%20b?consistency=session`);
  assert.equal(first.headers["x-session-token"], "tok");
  assert.equal(first.headers["if-match"], '"1-17"');
  assert.deepEqual(JSON.parse(first.body), { value: "three apples" });
  assert.deepEqual(JSON.parse(second!.body), { value: 5 });
  assert.equal(third!.method, "DELETE");
  assert.equal((await cli("keys", "put", store, "a", "null")).code, 2);
  assert.equal(received.length, 3, "null was sent");
});

// Guards against a violation that a script takes for success.
test("with --wait the exit code is the verdict", async (t) => {
  let end = "ok";
  let looks = 0;
  const { url, received } = await startStub(t, ({ method }, response) => {
    if (method === "POST") return json(response, 202, run);
    looks += 1;
    json(response, 200, looks % 2 === 1 ? run : { ...run, state: "done", status: end });
  });
  const home = await temporaryHome(t);
  const env = { PLIMSOLL_API: url, PLIMSOLL_API_KEY: "plm_x" };
  const wanted = ["consistency", "experiment", store, "partition-cp"];
  for (const [status, code] of [
    ["ok", 0],
    ["violation", 1],
    ["unknown", 3],
  ] as const) {
    end = status;
    assert.equal((await runCli([...wanted, "--wait"], { home, env })).code, code, status);
  }
  assert.equal((await runCli(wanted, { home, env })).code, 0);
  assert.deepEqual(JSON.parse(received[0]!.body), { name: "partition-cp" });
  assert.ok(received[0]!.headers["idempotency-key"]);
});
