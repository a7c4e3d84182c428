import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import autocannon from "autocannon";
import pg from "pg";
import { removeCluster, startEmbedded } from "#kernel/db/embedded.ts";
import { startServer, temporaryDataDir } from "../tests/support/server.ts";

/**
 * What the kernel costs, measured side by side in one run: the same 20 rows of 100,000 through the
 * whole server (authentication, isolation, limits, logs, metrics) and through bare Fastify with `pg`;
 * a create with audit, idempotency and outbox and a bare insert; start, memory and command line.
 *
 *   npm run bench -- kernel [--seconds 4] [--rounds 3] [--connections 32]
 */
const { values: args } = parseArgs({
  options: {
    seconds: { type: "string", default: "4" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "32" },
  },
});

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const otherTenants = 499;
const shopsPerTenant = 200;

/** The demo tenant and 499 others get 200 shops each; the bare server a copy without policies. */
async function seed(ownerUrl: string, tenantId: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  // One tenant after the other, as forced row-level security asks of the owner too.
  const tenants = [tenantId];
  for (let n = 0; n < otherTenants; n += 1) {
    tenants.push(`00000000-0000-7000-8000-${String(n).padStart(12, "0")}`);
  }
  for (const tenant of tenants) {
    await client.query("begin");
    await client.query("select set_config('app.tenant_id', $1, true)", [tenant]);
    await client.query(
      `insert into orders.shop (tenant_id, id, name, address, currency, active, created_at, updated_at)
       select $1, gen_random_uuid(), 'Shop ' || n, n || ' High Street', 'GBP', true, now(), now()
         from generate_series(1, $2) n`,
      [tenant, shopsPerTenant],
    );
    if (tenant === tenants[0]) {
      await client.query("create table bench_shop (like orders.shop including all)");
    }
    await client.query("insert into bench_shop select * from orders.shop");
    await client.query("commit");
  }
  await client.query("vacuum analyze bench_shop, orders.shop");
  await client.end();
}

interface Target {
  name: string;
  url: string;
  method?: "GET" | "POST";
  headers?: Record<string, string>;
  /** A body that no other request has. */
  body?: () => string;
}

/** Requests per second and the 99th percentile of one round. */
async function shoot(target: Target): Promise<{ rate: number; p99Ms: number }> {
  const result = await autocannon({
    url: target.url,
    method: target.method ?? "GET",
    connections: Number(args.connections),
    duration: Number(args.seconds),
    headers: target.headers,
    requests: target.body
      ? [{ setupRequest: (request) => freshRequest(request, target.body as () => string) }]
      : undefined,
  });
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${target.name}: ${result.non2xx} failures, ${result.errors} errors`);
  }
  return { rate: result.requests.average, p99Ms: result.latency.p99 };
}

let requestNumber = 0;

function freshRequest(request: autocannon.Request, body: () => string): autocannon.Request {
  requestNumber += 1;
  const headers = { ...request.headers, "idempotency-key": `bench-${process.pid}-${requestNumber}` };
  return { ...request, headers, body: body() };
}

/** Rounds of all targets in turn, so that a disturbed moment hits all alike; the best counts. */
async function compare(targets: readonly Target[]): Promise<Map<string, number>> {
  const best = new Map<string, number>();
  for (let round = 0; round < Number(args.rounds); round += 1) {
    for (const target of targets) {
      const { rate } = await shoot(target);
      best.set(target.name, Math.max(best.get(target.name) ?? 0, rate));
    }
  }
  return best;
}

function residentMiB(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1]) / 1024;
}

/** Median wall time of a command in milliseconds, of 20 runs. */
function medianMs(command: string, parameters: readonly string[]): number {
  const times = Array.from({ length: 20 }, () => {
    const startMs = performance.now();
    execFileSync(command, parameters, { stdio: "ignore" });
    return performance.now() - startMs;
  });
  return times.sort((a, b) => a - b)[10] as number;
}

function line(name: string, figure: string, target = ""): void {
  console.log(`${name.padEnd(62)} ${figure.padStart(12)}  ${target}`);
}

const dataDir = await temporaryDataDir();
const env = {
  PLIMSOLL_RATE_TENANT_PER_MINUTE: "100000000",
  LOG_LEVEL: "warn",
};
const first = await startServer({ dataDir, env });
const { apiKey } = await first.demo();
await first.stop();
const server = await startServer({ dataDir, env });
line("ready after start, database already made", `${Math.round(server.readyMs)} ms`, "≤ 3000 ms");
await new Promise((resolve) => setTimeout(resolve, 3_000));
line("resident memory of the server, idle", `${Math.round(residentMiB(server.pid))} MiB`, "≤ 200 MiB");

const cli = here("../bin/plimsoll");
line("command line: plimsoll --help", `${Math.round(medianMs(cli, ["--help"]))} ms`, "≤ 100 ms");

// A second holder of the same cluster: its owner's URL is not the server's to give away.
const cluster = await startEmbedded({ dataDir });
const me = (await (
  await fetch(`${server.url}/api/v1/auth/me`, { headers: { "x-api-key": apiKey } })
).json()) as { tenant: { id: string } };
await seed(cluster.ownerUrl, me.tenant.id);

const appUrl = cluster.ownerUrl;
const bare = spawn(process.execPath, [here("bare-server.ts"), cluster.ownerUrl, appUrl]);
bare.stderr.pipe(process.stderr);
const bareUrl = String((await once(bare.stdout, "data"))[0]).trim();

const tenant = me.tenant.id;
const auth = { "x-api-key": apiKey };
const reads = await compare([
  { name: "plimsoll", url: `${server.url}/api/v1/shops?limit=20`, headers: auth },
  { name: "plain", url: `${bareUrl}/plain?tenant=${tenant}` },
  { name: "trips", url: `${bareUrl}/trips?tenant=${tenant}` },
]);
const rate = (name: string, from: Map<string, number>) => from.get(name) as number;
line("list of 20: plimsoll, authenticated and isolated", `${rate("plimsoll", reads).toFixed(0)}/s`);
line("list of 20: bare Fastify + pg, not isolated", `${rate("plain", reads).toFixed(0)}/s`);
line("list of 20: bare Fastify + pg, four round trips", `${rate("trips", reads).toFixed(0)}/s`);
const overPlain = rate("plimsoll", reads) / rate("plain", reads);
const overTrips = rate("plimsoll", reads) / rate("trips", reads);
line("  plimsoll to not isolated", `${overPlain.toFixed(2)} ×`, "≥ 1.2 ×");
line("  plimsoll to four round trips", `${overTrips.toFixed(2)} ×`, "≥ 2.5 ×");

let number = 0;
const json = { "content-type": "application/json" };
const writes = await compare([
  {
    name: "plimsoll",
    url: `${server.url}/api/v1/shops`,
    method: "POST",
    headers: { ...auth, ...json },
    body: () => {
      number += 1;
      return JSON.stringify({ name: `Bench ${process.pid} ${number}` });
    },
  },
  {
    name: "bare",
    url: `${bareUrl}/bare`,
    method: "POST",
    headers: json,
    body: () => {
      number += 1;
      return JSON.stringify({ tenant, name: `Bare ${process.pid} ${number}` });
    },
  },
]);
line("create: plimsoll, with audit, idempotency and outbox", `${rate("plimsoll", writes).toFixed(0)}/s`);
line("create: bare insert transaction", `${rate("bare", writes).toFixed(0)}/s`);
const slowdown = rate("bare", writes) / rate("plimsoll", writes);
line("  time of plimsoll's to the bare one's", `${slowdown.toFixed(2)} ×`, "≤ 1.5 ×");
line("resident memory of the server, after load", `${Math.round(residentMiB(server.pid))} MiB`);

bare.kill();
await server.stop();
await cluster.stop();
await removeCluster(dataDir);
await rm(dataDir, { recursive: true, force: true });
