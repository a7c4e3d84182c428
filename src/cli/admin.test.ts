import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { json, type Received, runCli, startStub, temporaryHome } from "./fixture.ts";

type Stub = Parameters<typeof startStub>[1];

/** A command line that speaks to a server that answers as it is told. */
async function operator(t: TestContext, answer: Stub) {
  const home = await temporaryHome(t);
  const { url, received } = await startStub(t, answer);
  const run = (...argv: string[]) =>
    runCli([...argv, "--api", url], { home, env: { PLIMSOLL_API_KEY: "plm_x" } });
  return { run, received };
}

const problem = (status: number, code: string) => ({ title: "No", status, code });

/** The versions that a request insists on. */
const insists = ({ method, url, headers }: Received) => [
  `${method} ${url.replace("/api/v1/admin", "")}`,
  headers["if-match"] ?? headers["if-none-match"],
];

// Guards against an operator who undoes what another has just done, without knowing.
test("a flag is read, and set only if it is still what was read", async (t) => {
  let exists = true;
  const { run, received } = await operator(t, ({ method }, response) => {
    if (method === "PUT") return json(response, exists ? 412 : 201, exists ? stale : flag);
    response.setHeader("etag", '"7"');
    json(response, exists ? 200 : 404, exists ? flag : problem(404, "ERR_REQUEST_NOT_FOUND"));
  });
  const flag = { name: "beta", on: true, version: 7 };
  const stale = problem(412, "ERR_REQUEST_VERSION_CONFLICT");
  const late = await run("flags", "set", "beta", "on");
  assert.equal(late.code, 1);
  assert.match(late.stderr, /412 ERR_REQUEST_VERSION_CONFLICT/);
  exists = false;
  const made = await run("flags", "set", "beta", "on", "--tenant", "t1");
  assert.equal(made.code, 0, made.stderr);
  await run("flags", "set", "beta", "on", "--if-version", "3");
  await run("flags", "clear", "beta");
  await run("flags", "clear", "beta", "--if-version", "3");
  assert.deepEqual(received.map(insists), [
    ["GET /flags/beta", undefined],
    ["PUT /flags/beta", '"7"'],
    ["GET /flags/beta", undefined],
    ["PUT /flags/beta/tenants/t1", "*"],
    ["PUT /flags/beta", '"3"'],
    ["DELETE /flags/beta", undefined],
    ["DELETE /flags/beta", '"3"'],
  ]);
});

// Guards against a fault that is armed over another, and a slip that looks like a server's fault.
test("a fault point is read and armed; an unknown one is told with those there are", async (t) => {
  const detail = 'There is no point "webhook.send"; do you mean webhooks.send?';
  const { run, received } = await operator(t, ({ url }, response) => {
    response.setHeader("etag", '"2"');
    if (url.endsWith("webhook.send")) {
      return json(response, 404, { ...problem(404, "ERR_FAULTS_UNKNOWN_POINT"), detail });
    }
    json(response, 200, { point: "webhooks.send", armed: { kind: "error" }, version: 3 });
  });
  const set = await run("faults", "set", "webhooks.send", "--kind", "error", "--count", "2");
  assert.equal(set.code, 0, set.stderr);
  const slip = await run("faults", "set", "webhook.send", "--kind", "error");
  assert.equal(slip.code, 1);
  assert.match(slip.stderr, /do you mean webhooks\.send/);
  assert.deepEqual(received.map(insists), [
    ["GET /faults/webhooks.send", undefined],
    ["PUT /faults/webhooks.send", '"2"'],
    ["GET /faults/webhook.send", undefined],
  ]);
  assert.deepEqual(JSON.parse(received[1]?.body ?? ""), { kind: "error", count: 2 });
});

// Guards against breakers of one process that are taken for everybody's.
test("breakers are listed with the process that they are of", async (t) => {
  const { run } = await operator(t, ({ url }, response) => {
    const instance = { id: "i-1", host: "api-1", pid: 42 };
    const rest = url.includes("cursor=more");
    const name = rest ? "redis" : "oidc";
    const nextCursor = rest ? null : "more";
    json(response, 200, { instance, items: [{ name, state: "OPEN" }], nextCursor });
  });
  const { stdout, stderr } = await run("breakers", "list");
  assert.match(stdout, /oidc +OPEN[^]*redis +OPEN/);
  assert.match(stderr, /process 42 on api-1/);
  const { instance, items } = JSON.parse((await run("breakers", "list", "--json")).stdout);
  assert.deepEqual([instance.pid, items.length], [42, 2]);
});

// Guards against an audit of the platform that can only be had by hand.
test("the platform's own audit is read with --platform", async (t) => {
  const { run, received } = await operator(t, ({ url }, response) => {
    json(response, 200, url.includes("verify") ? { ok: true } : { items: [], nextCursor: null });
  });
  for (const verb of ["list", "verify"]) {
    assert.equal((await run("audit", verb)).code, 0);
    assert.equal((await run("audit", verb, "--platform")).code, 0);
  }
  assert.deepEqual(
    received.map(({ url }) => url.split("?")[0]),
    ["/api/v1/audit", "/api/v1/admin/audit", "/api/v1/audit/verify", "/api/v1/admin/audit/verify"],
  );
});
