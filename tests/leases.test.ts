import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "#kernel/clock.ts";
import { withClient } from "#kernel/db/roles.ts";
import { systemRandom } from "#kernel/random.ts";
import { createPolicies } from "#kernel/resilience/policies.ts";
import { createLogger } from "#kernel/telemetry/logger.ts";
import { createMetrics } from "#kernel/telemetry/metrics.ts";
import { emptyDatabase } from "#kernel/testing/database.ts";
import { eventually } from "#kernel/testing/events.ts";
import { requireService, testImage } from "#kernel/testing/services.ts";
import { noProcessRuntime } from "../src/services/leases/fixtures/process-runtime.ts";
import { dockerRuntime } from "../src/services/leases/runtimes/docker.ts";
import type { Runtime } from "../src/services/leases/runtimes/types.ts";
import {
  type Cleanup,
  type Launched,
  lastFirst,
  launch,
  temporaryFolder,
} from "./support/process.ts";
import { freePort } from "./support/server.ts";

/** Real servers over one database, whose containers are real; processes unless `told` otherwise. */
async function openHouse(t: TestContext, told: Record<string, string> = {}) {
  const cleanup = lastFirst(t);
  const dataDir = await temporaryFolder(cleanup);
  const database = await emptyDatabase(cleanup);
  const env = {
    DATABASE_URL: database.ownerUrl,
    DATABASE_APP_URL: database.appUrl,
    PLIMSOLL_DATA_DIR: dataDir,
    PLIMSOLL_MASTER_KEY: randomBytes(32).toString("base64"),
    PLIMSOLL_DEMO: "0",
    LEASES_RUNTIME: "process",
    LEASES_MIN_TTL_SECONDS: "1",
    LEASES_PRICES: "*=36000:0:0",
    ...told,
  };
  const folder = join(dataDir, "leases", "containers");
  return {
    cleanup,
    ownerUrl: database.ownerUrl,
    async serve(): Promise<Launched & { url: string }> {
      const port = await freePort();
      const server = launch(cleanup, { env: { ...env, PORT: String(port) } });
      const url = `http://127.0.0.1:${port}/api/v1`;
      await server.answers(`http://127.0.0.1:${port}/ready`);
      return { ...server, url };
    },
    /** Folders of containers that are there. */
    containers(): string[] {
      try {
        return readdirSync(folder).filter((name) => name.startsWith("plm-"));
      } catch (error) {
        if ((error as { code?: string }).code === "ENOENT") return [];
        throw error;
      }
    },
  };
}

async function ask(url: string, method: string, body?: object, token?: string) {
  const answer = await fetch(url, {
    method,
    headers: {
      "content-type": "application/json",
      ...(token && { authorization: `Bearer ${token}` }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === "" ? null : JSON.parse(text) };
}

async function signUp(url: string): Promise<string> {
  const { status, body } = await ask(`${url}/auth/register`, "POST", {
    email: "ada@example.test",
    password: "correct horse battery",
    name: "Ada",
    tenant: { name: "Engines" },
  });
  assert.equal(status, 201, JSON.stringify(body));
  return body.accessToken;
}

interface Ended {
  id: string;
  state: string;
  reason: string;
  lagMs: number;
  paidMs: number;
  lifeMs: number;
}

/** What became of every lease, straight from the tables. */
function readAll(ownerUrl: string): Promise<Ended[]> {
  return withClient(ownerUrl, async (client) => {
    const { rows: tenants } = await client.query("select id from platform.tenant");
    await client.query("select set_config('app.tenant_id', $1, false)", [tenants[0].id]);
    const { rows } = await client.query<Ended>(
      `select l.id, l.state, l.termination_reason as reason,
              extract(epoch from l.expires_at - l.started_at)::float8 * 1000 as "lifeMs",
              (select extract(epoch from a.at - l.expires_at)::float8 * 1000 from platform.audit a
                where a.resource_id = l.id::text and a.action = 'lease.expire') as "lagMs",
              (select sum(extract(epoch from u.ended_at - u.started_at))::float8 * 1000
                 from leases.lease_usage u where u.lease_id = l.id) as "paidMs"
         from leases.lease l order by l.id`,
    );
    return rows;
  });
}

const reason = await noProcessRuntime();

// Guards against a lease that outlives its server, a container that outlives its lease, and money
// for either: with real servers, real processes and the database's clock.
test("two servers lease real containers, and one of them is killed", {
  skip: reason,
}, async (t) => {
  const house = await openHouse(t);
  const [first, second] = await Promise.all([house.serve(), house.serve()]);
  const token = await signUp(first.url);
  const lease = (server: { url: string }, ttlSeconds: number, wait = 20) =>
    ask(`${server.url}/leases?wait=${wait}`, "POST", { image: "alpine", ttlSeconds }, token);
  const runtime = await ask(`${first.url}/leases/runtime`, "GET", undefined, token);
  assert.deepEqual([runtime.body.name, runtime.body.strength], ["process", "weak"]);
  assert.match(runtime.body.notes.join(" "), /Development only: weak isolation/);

  const made = await Promise.all([
    ...Array.from({ length: 4 }, (_, n) => lease(first, 4 + n)),
    ...Array.from({ length: 4 }, (_, n) => lease(second, 4 + n)),
  ]);
  for (const { status, body } of made) {
    assert.equal(status, 202);
    assert.equal(body.state, "running", body.message);
    assert.equal(body.isolation.runtime, "process");
  }
  assert.equal(house.containers().length, 8);

  // Some are on their way, and some about to end, when the first server dies.
  const doomed = Promise.allSettled([lease(first, 5, 0), lease(first, 5, 0), lease(first, 5, 0)]);
  await doomed;
  await first.stop("SIGKILL");
  await eventually(
    async () => (await readAll(house.ownerUrl)).every(({ state }) => state === "ended"),
    "all leases have ended",
  );
  const all = await readAll(house.ownerUrl);
  assert.equal(all.length, 11);
  for (const one of all) {
    assert.equal(one.reason, "expired", JSON.stringify(one));
    assert.ok(one.lagMs < 2_000, `${one.lagMs} ms after its deadline`);
    assert.ok(one.paidMs <= one.lifeMs + 1, `paid for ${one.paidMs} of ${one.lifeMs} ms`);
  }
  t.diagnostic(`expiry lag at most ${Math.max(...all.map(({ lagMs }) => Math.round(lagMs)))} ms`);
  assert.deepEqual(house.containers(), [], "containers that nobody has any more");
  const { body: quota } = await ask(`${second.url}/leases/quota`, "GET", undefined, token);
  assert.deepEqual([quota.tenant.leases.used, quota.tenant.cpuMillis.used], [0, 0]);
  assert.equal(await second.stop(), 0, second.output());
});

// Guards against a lease that both is renewed and ends, or neither, under the real clock.
test("of a renewal and an expiry that meet, one wins", { skip: reason }, async (t) => {
  const house = await openHouse(t);
  const server = await house.serve();
  const token = await signUp(server.url);
  const post = (path: string, body?: object) => ask(`${server.url}${path}`, "POST", body, token);
  const { body: lease } = await post("/leases?wait=20", { image: "alpine", ttlSeconds: 1 });
  assert.equal(lease.state, "running", JSON.stringify(lease));
  const renewals: { status: number; expiresAt: string }[] = [];
  for (let over = false; !over; ) {
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => post(`/leases/${lease.id}/renew`, { ttlSeconds: 1 })),
    );
    for (const { status, body } of answers) renewals.push({ status, expiresAt: body.expiresAt });
    over = answers.some(({ status }) => status === 410) || renewals.length > 60;
    // Ever closer to the deadline, until one comes too late.
    await new Promise((go) => setTimeout(go, 400 + renewals.length * 25));
  }
  await eventually(
    async () => (await readAll(house.ownerUrl)).every(({ state }) => state === "ended"),
    "the lease has ended",
  );
  const good = renewals.filter(({ status }) => status === 200);
  const late = renewals.findIndex(({ status }) => status === 410);
  assert.ok(good.length > 4 && late > 0, JSON.stringify(renewals));
  assert.ok(
    renewals.slice(late).every(({ status }) => status !== 200),
    "renewed after its end",
  );
  const { body: ended } = await ask(`${server.url}/leases/${lease.id}`, "GET", undefined, token);
  const promised = good.map(({ expiresAt }) => expiresAt).sort();
  assert.equal(ended.expiresAt, promised.at(-1), "it ended when it was last promised to");
  assert.deepEqual(house.containers(), []);
});

/** The engine as the server sees it; whatever is left of it goes with the test. */
async function watchEngine(t: Cleanup, host: string, ownerUrl: string): Promise<Runtime> {
  const installId = await withClient(ownerUrl, async (client) => {
    const { rows } = await client.query("select id from leases.lease_installation");
    return rows[0].id as string;
  });
  const random = systemRandom(systemClock);
  const log = createLogger({ level: "silent" });
  const policies = createPolicies({ clock: systemClock, random, log, metrics: createMetrics() });
  const runtime = dockerRuntime({ host, installId, random, policies, log });
  t.after(async () => {
    for (const { id } of await runtime.list()) await runtime.remove(id);
    await runtime.close();
  });
  return runtime;
}

// Guards against a life of a lease that only a stand-in for an engine can live.
test("on a real Docker Engine a lease is paused, kept, restored and expires", async (t) => {
  const host = await requireService(t, "docker");
  if (host === null) return;
  const image = testImage();
  const house = await openHouse(t, {
    LEASES_RUNTIME: "docker",
    DOCKER_HOST: host,
    LEASES_ALLOWED_IMAGES: image,
  });
  const server = await house.serve();
  const token = await signUp(server.url);
  const engine = await watchEngine(house.cleanup, host, house.ownerUrl);
  const call = async (method: string, path: string, body?: object) => {
    const answer = await ask(`${server.url}${path}`, method, body, token);
    assert.ok(answer.status < 300, JSON.stringify(answer.body));
    return answer.body;
  };
  const states = async () => (await engine.list()).map(({ state }) => state).sort();
  await call("POST", "/leases/templates", { name: "box", image, writable: true, maxRestarts: 1 });
  const wanted = { template: "box", command: ["sleep", "600"], cpuMillis: 200, memoryMb: 64 };
  const lease = await call("POST", "/leases?wait=30", { ...wanted, env: { SECRET: "hunter2" } });
  assert.equal(lease.state, "running", lease.message);
  assert.deepEqual([lease.runtime, lease.isolation.memoryMb], ["docker", 64]);
  const path = `/leases/${lease.id}`;
  assert.equal((await call("POST", `${path}/pause?wait=20`)).state, "paused");
  assert.deepEqual(await states(), ["paused"]);
  assert.equal((await call("POST", `${path}/resume?wait=20`)).state, "running");
  assert.deepEqual(await states(), ["running"]);
  const kept = await call("POST", `${path}/snapshots?wait=30`, { name: "Kept" });
  assert.equal(kept.state, "ready", kept.message);
  const restarted = await call("POST", `${path}/restart?wait=30`);
  assert.deepEqual([restarted.state, restarted.generation], ["running", 2]);
  const restored = await call("POST", `/snapshots/${kept.id}/restore?wait=30`, { ttlSeconds: 60 });
  assert.equal(restored.state, "running", restored.message);
  assert.deepEqual(await states(), ["running", "running"]);
  // Somebody ends it from outside: that is a crash, which the engine tells of.
  const [victim] = (await engine.list()).filter(({ identity }) => identity.leaseId === lease.id);
  await engine.stop(victim?.id as string, 0);
  await eventually(async () => (await call("GET", path)).restarts === 1, "it was restarted");
  await call("DELETE", path);
  await call("POST", `/leases/${restored.id}/renew`, { ttlSeconds: 2 });
  await eventually(
    async () => (await readAll(house.ownerUrl)).every(({ state }) => state === "ended"),
    "both have ended",
  );
  assert.deepEqual(await states(), []);
  await call("DELETE", `/snapshots/${kept.id}`);
  await eventually(
    async () => (await call("GET", "/snapshots")).items.length === 0,
    "the snapshot is gone",
  );
  assert.equal(await server.stop(), 0, server.output());
});
