import assert from "node:assert/strict";
import { test } from "node:test";
import { manualClock, systemClock } from "../clock.ts";
import { Problem } from "../errors.ts";
import { seededRandom } from "../random.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { drill } from "../testing/faults.ts";
import { hasCode, hello, serve, startOutgoing } from "./outgoing-fixture.ts";

const isBroken = (error: unknown) =>
  error instanceof Problem && error.code === "ERR_DEPENDENCY_BROKEN";
const post = { method: "POST", body: "{}" };

// Guards against a dead host that every request waits for, and that takes the others with it.
test("a host that is gone is left alone, no other is, and it comes back", async (t) => {
  const clock = manualClock();
  const status = { code: 503 };
  const sick = await serve(t, (_, reply) => void reply.writeHead(status.code).end());
  const well = await serve(t, hello);
  const { outgoing, policies } = startOutgoing(t, { allow: ["127.0.0.1"], clock });
  const ask = (port: number) => outgoing.fetch(`http://127.0.0.1:${port}/`, post);
  for (let round = 0; round < 5; round += 1) {
    const answer = await ask(sick.port);
    assert.equal(answer.status, 503, "the answer itself is the caller's");
    answer.discard();
  }
  await assert.rejects(ask(sick.port), isBroken);
  assert.equal(sick.requests.length, 5, "nobody asks it any more");
  (await ask(well.port)).discard();
  const states = Object.fromEntries(policies.list().map(({ name, state }) => [name, state]));
  assert.deepEqual(states, {
    [`outgoing http://127.0.0.1:${sick.port}`]: "OPEN",
    [`outgoing http://127.0.0.1:${well.port}`]: "CLOSED",
  });
  status.code = 200;
  clock.advance(30_000);
  (await ask(sick.port)).discard();
  (await ask(sick.port)).discard();
  assert.equal(sick.requests.length, 7);
});

// Guards against one tenant who, by a host that fails for it, shuts it for everybody.
test("what fails one tenant is not held against another at the same host", async (t) => {
  const server = await serve(t, (request, reply) => {
    reply.writeHead(request.url === "/bad" ? 502 : 200).end();
  });
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"] });
  const ask = async (path: string, tenantId: string) => {
    const url = `http://127.0.0.1:${server.port}${path}`;
    (await outgoing.fetch(url, { ...post, tenantId })).discard();
  };
  for (let round = 0; round < 5; round += 1) await ask("/bad", "ada");
  await assert.rejects(ask("/good", "ada"), isBroken);
  await ask("/good", "bob");
});

// Guards against a refusal, or a server that only says no, being taken for an outage.
test("refusals and answers of a living server open no breaker", async (t) => {
  const server = await serve(t, (_, reply) => void reply.writeHead(500).end());
  const { outgoing, policies } = startOutgoing(t, { allow: [`127.0.0.1:${server.port}`] });
  for (let round = 0; round < 8; round += 1) {
    await assert.rejects(outgoing.fetch("http://127.0.0.1/"), hasCode("PRIVATE_ADDRESS"));
    (await outgoing.fetch(`http://127.0.0.1:${server.port}/`)).discard();
  }
  assert.equal(server.requests.length, 8);
  assert.deepEqual(
    policies.list().map(({ name, state }) => [name, state]),
    [[`outgoing http://127.0.0.1:${server.port}`, "CLOSED"]],
  );
});

// Guards against a hiccup that fails what could be asked again, and a write that is made twice.
test("a GET is repeated where nobody was there, a POST never", async (t) => {
  let broken = 2;
  const server = await serve(t, (request, reply) => {
    broken -= 1;
    if (broken < 0) reply.end("good");
    else if (request.url === "/cut") request.socket.destroy();
    else reply.writeHead(503).end("bad");
  });
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"] });
  const url = `http://127.0.0.1:${server.port}`;
  for (const path of ["/cut", "/busy"]) {
    broken = 2;
    assert.equal(await (await outgoing.fetch(`${url}${path}`)).text(), "good", path);
  }
  broken = 1;
  await assert.rejects(outgoing.fetch(`${url}/cut`, post), hasCode("UNREACHABLE"));
  broken = 1;
  assert.equal(await (await outgoing.fetch(`${url}/busy`, post)).text(), "bad");
  broken = 1;
  const once = await outgoing.fetch(`${url}/busy`, { retries: 0 });
  assert.deepEqual([once.status, await once.text()], [503, "bad"], "with its body");
});

// Guards against retries that each have the whole time, so that a caller waits for all of them.
test("the deadline is that of all attempts together", async (t) => {
  const server = await serve(t, () => {});
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"] });
  const startedMs = systemClock.monotonicMs();
  const asked = outgoing.fetch(`http://127.0.0.1:${server.port}/`, { timeoutMs: 300 });
  await assert.rejects(asked, hasCode("TIMEOUT"));
  assert.ok(systemClock.monotonicMs() - startedMs < 1_500);
  assert.equal(server.requests.length, 1);
});

// Guards against code that has never met a server that fails.
test("outgoing.request: an injected fault looks like a server that is not there", async (t) => {
  const server = await serve(t, hello);
  const around = {
    clock: systemClock,
    random: seededRandom(systemClock, 1),
    log: createLogger({ level: "silent" }),
    metrics: createMetrics({ processMetrics: false }),
  };
  const faults = drill(around, "outgoing.request", { times: 6 });
  const { outgoing } = startOutgoing(t, { allow: ["127.0.0.1"], faults });
  const url = `http://127.0.0.1:${server.port}/`;
  await assert.rejects(outgoing.fetch(url), { code: "ERR_FAULTS_INJECTED" });
  assert.equal(faults.struck(), 3, "and is tried again where it may be");
  await assert.rejects(outgoing.fetch(url), isBroken);
  assert.equal(server.requests.length, 0);
});
