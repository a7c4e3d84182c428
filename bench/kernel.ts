import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pg from "pg";
import { removeCluster, startEmbedded } from "#kernel/db/embedded.ts";
import { type ServerProcess, startServer, temporaryDataDir } from "../tests/support/server.ts";
import { compare, line, residentMiB } from "./load.ts";

/**
 * What the kernel costs, measured side by side in one run: the same 20 rows of 100,000 through
 * the whole server (authentication, isolation, limits, logs, metrics) and through bare Fastify with
 * `pg`; a create with audit, idempotency and outbox and a bare insert; start, memory, command line.
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

const options = {
  seconds: Number(args.seconds),
  rounds: Number(args.rounds),
  connections: Number(args.connections),
};
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

/** The demo tenant's id. */
async function tenantOf(server: ServerProcess): Promise<string> {
  const { email, password } = await server.demo();
  const answer = await fetch(`${server.url}/api/v1/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  if (answer.status !== 200) throw new Error(`POST /auth/login answered ${answer.status}`);
  return ((await answer.json()) as { tenant: { id: string } }).tenant.id;
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
line(
  "resident memory of the server, idle",
  `${Math.round(residentMiB(server.pid))} MiB`,
  "≤ 200 MiB",
);

const cli = here("../bin/plimsoll");
line("command line: plimsoll --help", `${Math.round(medianMs(cli, ["--help"]))} ms`, "≤ 100 ms");

// A second holder of the same cluster: its owner's URL is not the server's to give away.
const cluster = await startEmbedded({ dataDir });
const tenant = await tenantOf(server);
await seed(cluster.ownerUrl, tenant);

const appUrl = cluster.ownerUrl;
const bare = spawn(process.execPath, [here("bare-server.ts"), cluster.ownerUrl, appUrl]);
bare.stderr.pipe(process.stderr);
const bareUrl = String((await once(bare.stdout, "data"))[0]).trim();

const auth = { "x-api-key": apiKey };
const reads = await compare(
  [
    { name: "plimsoll", url: `${server.url}/api/v1/shops?limit=20`, headers: auth },
    { name: "plain", url: `${bareUrl}/plain?tenant=${tenant}` },
    { name: "trips", url: `${bareUrl}/trips?tenant=${tenant}` },
  ],
  options,
);
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
const unique = (members: object) => () => {
  number += 1;
  return JSON.stringify({ ...members, name: `Bench ${process.pid} ${number}` });
};

/** The same create on both; `connections` decides whether time or contention is measured. */
async function compareCreates(connections: number): Promise<void> {
  const post = { method: "POST" as const, connections };
  const url = `${server.url}/api/v1/shops`;
  const writes = await compare(
    [
      { ...post, name: "plimsoll", url, headers: { ...auth, ...json }, body: unique({}) },
      { ...post, name: "bare", url: `${bareUrl}/bare`, headers: json, body: unique({ tenant }) },
    ],
    options,
  );
  const [ours, theirs] = [rate("plimsoll", writes), rate("bare", writes)];
  const at = `${connections} at a time`;
  line(`create, ${at}: with audit, idempotency and outbox`, `${ours.toFixed(0)}/s`);
  line(`create, ${at}: bare insert transaction`, `${theirs.toFixed(0)}/s`);
  line(
    "  time of plimsoll's to the bare one's",
    `${(theirs / ours).toFixed(2)} ×`,
    connections === 1 ? "≤ 1.5 ×" : "",
  );
}

await compareCreates(1);
// One tenant's changes queue for its audit chain, so this is the most that one tenant can write.
await compareCreates(options.connections);
line("resident memory of the server, after load", `${Math.round(residentMiB(server.pid))} MiB`);

bare.kill();
await server.stop();
await cluster.stop();
await removeCluster(dataDir);
await rm(dataDir, { recursive: true, force: true });
