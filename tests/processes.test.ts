import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseEnv } from "node:util";
import { systemClock } from "#kernel/clock.ts";
import { generateProductionEnv } from "#kernel/config/generate.ts";
import { removeCluster } from "#kernel/db/embedded.ts";
import { derivedAppRole, withClient } from "#kernel/db/roles.ts";
import { systemRandom } from "#kernel/random.ts";
import { emptyDatabase, type TestDatabase, testFolder } from "#kernel/testing/database.ts";
import { eventually, startReceiver } from "#kernel/testing/events.ts";
import {
  type Cleanup,
  lastFirst,
  type Launched,
  launch,
  temporaryFolder,
} from "./support/process.ts";
import { freePort } from "./support/server.ts";

const json = { "content-type": "application/json" };

interface House extends Cleanup {
  env: Record<string, string>;
  database: TestDatabase;
  dataDir: string;
}

/** An empty database and what every server over it is told. */
async function emptyHouse(t: TestContext): Promise<House> {
  const cleanup = lastFirst(t);
  const database = await emptyDatabase(cleanup);
  const dataDir = await temporaryFolder(cleanup);
  const env = {
    DATABASE_URL: database.ownerUrl,
    DATABASE_APP_URL: database.appUrl,
    PLIMSOLL_DATA_DIR: dataDir,
    PLIMSOLL_MASTER_KEY: randomBytes(32).toString("base64"),
    LOG_LEVEL: "info",
  };
  return { ...cleanup, env, database, dataDir };
}

interface Serving extends Launched {
  url: string;
}

/** One that answers requests; resolves once it is ready. */
async function serving(
  t: Cleanup,
  env: Record<string, string>,
  args: readonly string[] = [],
): Promise<Serving> {
  const port = await freePort();
  const server = launch(t, { args, env: { ...env, PORT: String(port) } });
  const url = `http://127.0.0.1:${port}`;
  await server.answers(`${url}/ready`);
  return { ...server, url };
}

async function demoKey({ dataDir }: House): Promise<Record<string, string>> {
  const { default: demo } = await import(join(dataDir, "demo.json"), { with: { type: "json" } });
  return { "x-api-key": demo.apiKey };
}

async function post(url: string, body: unknown, headers: Record<string, string> = {}) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { ...json, ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: JSON.parse(await answer.text()) };
}

// Guards against a split of the process that loses what one part should do for the other.
test("what happens in the api process reaches a webhook through the worker process", async (t) => {
  const receiver = await startReceiver(t);
  const house = await emptyHouse(t);
  const env = { ...house.env, PLIMSOLL_ALLOW_PRIVATE_HOSTS: receiver.host };
  const api = await serving(house, env, ["--role", "api"]);
  const headers = await demoKey(house);
  const hook = { url: receiver.url, events: ["shop.*"] };
  const made = await post(`${api.url}/api/v1/webhooks`, hook, headers);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const metricsPort = String(await freePort());
  const workerEnv = { ...env, PLIMSOLL_METRICS_PORT: metricsPort, PORT: "0" };
  const worker = launch(house, { args: ["--role", "worker"], env: workerEnv });
  await worker.answers(`http://127.0.0.1:${metricsPort}/metrics`);
  const shop = await post(`${api.url}/api/v1/shops`, { name: "Told" }, headers);
  assert.equal(shop.status, 201);
  const told = () => receiver.received.filter(({ body }) => JSON.parse(body).data.name === "Told");
  await eventually(() => told().length > 0, "the webhook was told");
  assert.deepEqual(
    told().map(({ body }) => JSON.parse(body).type),
    ["shop.created"],
  );
  // The api process alone delivers nothing.
  assert.equal(await worker.stop(), 0, worker.output());
  receiver.received.length = 0;
  await post(`${api.url}/api/v1/shops`, { name: "Untold" }, headers);
  assert.equal((await fetch(`${api.url}/ready`)).status, 200);
  assert.equal(await api.stop(), 0, api.output());
  assert.equal(receiver.received.length, 0);
});

/** What one server issues, another over the same database takes, whatever its port. */
async function assertOneIssuer({ dataDir }: House, [first, second]: Serving[]): Promise<void> {
  const { email, password } = JSON.parse(readFileSync(join(dataDir, "demo.json"), "utf8"));
  const { body } = await post(`${first?.url}/api/v1/auth/login`, { email, password });
  const headers = { authorization: `Bearer ${body.accessToken}` };
  assert.equal((await fetch(`${second?.url}/api/v1/auth/me`, { headers })).status, 200);
}

// Guards against servers that start together and migrate, or fill the demo, one over the other.
test("two servers at once on an empty database migrate it once and both serve", async (t) => {
  const house = await emptyHouse(t);
  const both = await Promise.all([serving(house, house.env), serving(house, house.env)]);
  const migrated = both.filter(({ output }) => output().includes('"migrated"'));
  assert.equal(migrated.length, 1, "one of them migrated");
  const headers = await demoKey(house);
  const lists = await Promise.all(
    both.map(async ({ url }) => {
      const answer = await fetch(`${url}/api/v1/shops?limit=100`, { headers });
      assert.equal(answer.status, 200);
      return ((await answer.json()) as { items: { name: string }[] }).items;
    }),
  );
  await assertOneIssuer(house, both);
  for (const { url, output } of both) {
    const there = `PLIMSOLL_API=${url} PLIMSOLL_DATA_DIR=${house.dataDir}`;
    const next = `  Next step      export ${there} && bin/plimsoll login --demo`;
    assert.ok(output().includes(next), "what it says to do next leads to it");
  }
  const names = (lists[0] ?? []).map(({ name }) => name);
  assert.ok(names.length > 0);
  assert.equal(new Set(names).size, names.length, "the demo is there once");
  assert.deepEqual(lists[0], lists[1]);
  const tenants = await withClient(house.database.adminUrl, (client) =>
    client.query("select slug from platform.tenant"),
  );
  assert.deepEqual(tenants.rows, [{ slug: "demo" }]);
  assert.deepEqual(await Promise.all(both.map(({ stop }) => stop())), [0, 0]);
});

// Guards against a production server with guessable secrets, and against secrets in its output.
test("in production a server without its secrets names each and starts nothing", async (t) => {
  const dataDir = await temporaryFolder(t);
  const values = { PLIMSOLL_ADMIN_EMAIL: "root@acme.example", PLIMSOLL_METRICS_TOKEN: "hunter2" };
  const env = { NODE_ENV: "production", PLIMSOLL_DATA_DIR: dataDir, PORT: "notaport", ...values };
  const server = launch(t, { env });
  assert.equal(await server.ended, 1);
  const output = server.output();
  for (const name of [
    "PLIMSOLL_MASTER_KEY",
    "PLIMSOLL_ADMIN_PASSWORD",
    "PLIMSOLL_METRICS_TOKEN",
    "PORT",
  ]) {
    assert.match(output, new RegExp(`^  ${name} `, "m"));
  }
  for (const value of [...Object.values(values), "notaport"]) {
    assert.ok(!output.includes(value), `${value} stands in the output`);
  }
  assert.doesNotMatch(output, /\n\s+at /, "no stack for an operator's mistake");
});

/** A production server's environment as `plimsoll secrets generate` prints it. */
async function productionHouse(t: TestContext) {
  const house = await emptyHouse(t);
  const generated = parseEnv(generateProductionEnv(systemRandom(systemClock)));
  const masterKey = Buffer.from(generated.PLIMSOLL_MASTER_KEY ?? "", "base64");
  const { role } = derivedAppRole(house.database.name, masterKey);
  // Roles belong to the cluster, which other tests share.
  const elsewhere = new URL(house.database.adminUrl);
  elsewhere.pathname = "/postgres";
  t.after(() =>
    withClient(elsewhere.href, (client) => client.query(`drop role if exists ${role}`)),
  );
  const env: Record<string, string> = {
    ...(generated as Record<string, string>),
    HOST: "127.0.0.1",
    DATABASE_URL: house.database.ownerUrl,
    PLIMSOLL_DATA_DIR: house.dataDir,
    PLIMSOLL_SHUTDOWN_DELAY_MS: "0",
  };
  return { ...house, env };
}

// Guards against generated secrets that are not enough, and against demo access in production.
test("with generated secrets it boots in production, and the first admin signs in", async (t) => {
  const house = await productionHouse(t);
  const { env } = house;
  const server = await serving(house, env);
  const { PLIMSOLL_ADMIN_EMAIL: email, PLIMSOLL_ADMIN_PASSWORD: password } = env;
  const signIn = `${server.url}/api/v1/auth/login`;
  const signedIn = await post(signIn, { email, password });
  assert.equal(signedIn.status, 200, JSON.stringify(signedIn.body));
  const headers = { authorization: `Bearer ${signedIn.body.accessToken}` };
  const tenants = await fetch(`${server.url}/api/v1/tenants`, { headers });
  const { items } = (await tenants.json()) as { items: { slug: string }[] };
  assert.deepEqual(
    items.map(({ slug }) => slug),
    ["operations"],
  );
  const shops = await fetch(`${server.url}/api/v1/shops`, { headers });
  assert.deepEqual(await shops.json(), { items: [], nextCursor: null });
  const demo = await post(signIn, { email: "demo@plimsoll.local", password });
  assert.equal(demo.status, 401);
  await assert.rejects(demoKey(house), { code: "ERR_MODULE_NOT_FOUND" });
  assert.equal((await fetch(`${server.url}/metrics`)).status, 401);
  assert.equal(await server.stop(), 0, server.output());
  assert.match(server.output(), /TLS is off/);
  for (const [name, value] of Object.entries(env)) {
    if (!/KEY|PASSWORD|TOKEN/.test(name)) continue;
    assert.ok(!server.output().includes(value ?? ""), `${name} stands in the log`);
  }
});

// Guards against mistakes on the command line or in the environment that go unnoticed.
test("what it does not know it names, and starts nothing", async (t) => {
  const house = await emptyHouse(t);
  const start = async (args: string[], env: Record<string, string> = {}) => {
    const server = launch(house, { args, env: { ...house.env, PORT: "0", ...env } });
    assert.equal(await server.ended, 1);
    assert.doesNotMatch(server.output(), /\n\s+at /, "no stack for an operator's mistake");
    return server.output();
  };
  const noFiles = { TLS_CERT_FILE: "/nowhere/tls.crt", TLS_KEY_FILE: "/nowhere/tls.key" };
  const [service, role, typo, option, tls] = await Promise.all([
    start(["--services", "orders,ordres"]),
    start(["--role", "wroker"]),
    start([], { PLIMSOLL_ALOW_PRIVATE_HOSTS: "10.1.2.3" }),
    start(["--sevices", "orders"]),
    start([], noFiles),
  ]);
  assert.match(service, /--services names ordres, which is no service; there are platform, orders/);
  assert.match(role, /--role expects api, worker or all/);
  assert.match(typo, /PLIMSOLL_ALOW_PRIVATE_HOSTS .*did you mean PLIMSOLL_ALLOW_PRIVATE_HOSTS/);
  assert.ok(!typo.includes("10.1.2.3"));
  assert.match(option, /--sevices/);
  assert.match(tls, /TLS_CERT_FILE names a file [^]*TLS_KEY_FILE names a file/);
  assert.ok(!tls.includes("/nowhere/"));
  const schemas = await withClient(house.database.adminUrl, (client) =>
    client.query("select from pg_namespace where nspname = 'platform'"),
  );
  assert.equal(schemas.rows.length, 0, "the database was not touched");
});

// Guards against strangers who are shown a stack where a sentence would help.
test("what stands in the way of a start is told with what helps", async (t) => {
  const house = await emptyHouse(t);
  const file = join(house.dataDir, "file");
  await writeFile(file, "");
  const first = await serving(house, house.env);
  assert.equal(await first.stop(), 0, first.output());
  const masterKey = randomBytes(32).toString("base64");
  for (const [env, told] of [
    [{ PLIMSOLL_DATA_DIR: file, PLIMSOLL_MASTER_KEY: "" }, /a file.*PLIMSOLL_DATA_DIR/],
    [{ PLIMSOLL_MASTER_KEY: masterKey }, /another key than before[^]*PLIMSOLL_MASTER_KEY_PREVIOUS/],
    [{ DATABASE_URL: "postgres://a:b@127.0.0.1:1/c" }, /ECONNREFUSED.*is DATABASE_URL right/],
    [{ HOST: "192.0.2.1" }, /listen on 192\.0\.2\.1:\d+.*HOST has to be an address of this/],
  ] as const) {
    const port = String(await freePort());
    const server = launch(house, { env: { ...house.env, PORT: port, ...env } });
    assert.equal(await server.ended, 1);
    assert.match(server.output(), told);
    assert.doesNotMatch(server.output(), /\n\s+at /, "no stack for an operator's mistake");
    assert.ok(!server.output().includes(masterKey));
  }
});

// Guards against a process that can't listen and stays all the same, with a worker that works.
test("with its port in use it says so and exits, leaving nothing running", async (t) => {
  const house = await emptyHouse(t);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const server = launch(house, { env: { ...house.env, PORT: String(port) } });
  assert.equal(await server.ended, 1);
  assert.match(server.output(), new RegExp(`could not start[^]*127.0.0.1:${port} is in use`));
  assert.doesNotMatch(server.output(), /\n\s+at /, "no stack for an operator's mistake");
  const { rows } = await withClient(house.database.adminUrl, (client) =>
    client.query(
      `select application_name, query from pg_stat_activity
        where datname = $1 and pid <> pg_backend_pid()`,
      [house.database.name],
    ),
  );
  assert.deepEqual(rows, []);
});

// Guards against a stop that waits for timers or idle connections, and one that can't be hurried.
test("idle it stops within 2 s; told to hurry by a second SIGINT, at once", async (t) => {
  const house = await emptyHouse(t);
  const slowEnv = { ...house.env, PLIMSOLL_SHUTDOWN_DELAY_MS: "20000" };
  const [idle, slow] = await Promise.all([serving(house, house.env), serving(house, slowEnv)]);
  // Leaves an idle connection that is kept alive.
  assert.equal((await fetch(`${idle.url}/health`)).status, 200);
  const startedMs = performance.now();
  assert.equal(await idle.stop("SIGTERM"), 0, idle.output());
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < 2_000, `${tookMs} ms`);
  t.diagnostic(`idle, it stopped in ${Math.round(tookMs)} ms`);
  slow.child.kill("SIGINT");
  await slow.says(/"msg":"stopping"/);
  assert.equal((await fetch(`${slow.url}/ready`)).status, 503);
  assert.equal((await fetch(`${slow.url}/health`)).status, 200, "it goes on serving meanwhile");
  assert.equal(await slow.stop("SIGINT"), 130);
});

// Guards against a signal that meets a server half started and leaves half of it behind.
test("told to stop while it starts, it comes up, stops cleanly and exits 0", async (t) => {
  const house = await emptyHouse(t);
  const server = launch(house, { env: { ...house.env, PORT: String(await freePort()) } });
  await server.says(/"migrated"/);
  assert.equal(await server.stop("SIGTERM"), 0, server.output());
  const { rows } = await withClient(house.database.adminUrl, (client) =>
    client.query("select slug from platform.tenant"),
  );
  assert.deepEqual(rows, [{ slug: "demo" }], "the demo is whole");
});

// Guards against operators who learn to ignore the log, because each stop fills it with alarms.
test("a clean stop logs nothing at warn or above, and takes its PostgreSQL along", async (t) => {
  const cleanup = lastFirst(t);
  const dataDir = await mkdtemp(join(testFolder(), "plimsoll-data-"));
  cleanup.after(() => removeCluster(dataDir));
  const server = await serving(cleanup, { PLIMSOLL_DATA_DIR: dataDir, LOG_LEVEL: "info" });
  const headers = {
    "x-api-key": JSON.parse(readFileSync(join(dataDir, "demo.json"), "utf8")).apiKey,
  };
  const read = () => fetch(`${server.url}/api/v1/shops`, { headers }).then((got) => got.status);
  assert.deepEqual(new Set(await Promise.all(Array.from({ length: 30 }, read))), new Set([200]));
  const stream = await fetch(`${server.url}/api/v1/events`, { headers });
  assert.equal(stream.status, 200);
  assert.equal(await server.stop(), 0, server.output());
  await stream.text();
  const lines = server
    .output()
    .split("\n")
    .filter((line) => line.startsWith("{"));
  // What came before tells of the machine: where it is busy, statements of the boot are slow.
  const begun = lines.findIndex((line) => JSON.parse(line).msg === "stopping");
  assert.ok(begun >= 0, server.output());
  assert.deepEqual(
    lines.slice(begun).filter((line) => !["debug", "info"].includes(JSON.parse(line).level)),
    [],
  );
  assert.match(lines.at(-1) ?? "", /"msg":"stopped"/);
  assert.ok(!existsSync(join(dataDir, "postgres", "data", "postmaster.pid")));
});

// Guards against a forced exit that leaves the embedded PostgreSQL behind, running for nobody.
test("hurried by a second SIGINT, it takes its embedded PostgreSQL along", async (t) => {
  const cleanup = lastFirst(t);
  const dataDir = await mkdtemp(join(testFolder(), "plimsoll-data-"));
  cleanup.after(() => removeCluster(dataDir));
  const env = { PLIMSOLL_DATA_DIR: dataDir, PLIMSOLL_SHUTDOWN_DELAY_MS: "20000" };
  const server = await serving(cleanup, env, ["--role", "api"]);
  const postmaster = join(dataDir, "postgres", "data", "postmaster.pid");
  assert.ok(existsSync(postmaster));
  server.child.kill("SIGINT");
  await server.says(/"msg":"stopping"/);
  assert.equal(await server.stop("SIGINT"), 130);
  await eventually(() => !existsSync(postmaster), "PostgreSQL ended");
});
