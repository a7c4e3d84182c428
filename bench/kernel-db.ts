import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { removeCluster, startEmbedded } from "#kernel/db/embedded.ts";
import { createDatabase } from "#kernel/db/pool.ts";

/**
 * What isolation costs: 20 rows of 100,000, read by each pattern over the same PostgreSQL, the same
 * number of connections and the same number of requests in flight, interleaved in rounds so that a
 * disturbed moment hits all alike; the best round of each counts. "CPU" is this process's own,
 * which says more than the rate where other programs keep the machine busy.
 *
 *   node bench/kernel-db.ts [--url postgres://superuser…] [--seconds 2] [--rounds 3]
 *     [--connections 10] [--inflight 32] [--only db.query] [--json]
 *
 * Without --url it starts the PostgreSQL that comes with the product, in a temporary folder.
 */
const { values: args } = parseArgs({
  options: {
    url: { type: "string" },
    seconds: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "10" },
    inflight: { type: "string", default: "32" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const connections = Number(args.connections);
const inFlight = Number(args.inflight);
const roundMs = Number(args.seconds) * 1000;

const TENANTS = 100;
const ROWS_PER_TENANT = 1_000;
const PAGE = 20;

const tenants = Array.from({ length: TENANTS }, (_, index) => ({
  id: `00000000-0000-7000-8000-${String(index).padStart(12, "0")}`,
  isolation: "shared" as const,
}));

const columns = `id, number, customer, status, total_minor as "totalMinor",
  created_at as "createdAt", updated_at as "updatedAt"`;
const isolatedText = `select ${columns} from purchase
  order by created_at desc, id desc limit ${PAGE}`;
const plainText = `select ${columns} from benchkernel.plain where tenant_id = $1
  order by created_at desc, id desc limit ${PAGE}`;

const setup = `
  do $$ begin create role plimsoll_bench login password 'bench'; exception
    when duplicate_object then null; end $$;
  drop schema if exists benchkernel cascade;
  create schema benchkernel;
  grant usage on schema benchkernel to plimsoll_bench;
  create table benchkernel.purchase (
    tenant_id uuid not null, id uuid not null, number integer not null, customer text not null,
    status text not null, total_minor bigint not null,
    created_at timestamptz not null, updated_at timestamptz not null,
    primary key (tenant_id, id));
  insert into benchkernel.purchase
    select ('00000000-0000-7000-8000-' || lpad((n % ${TENANTS})::text, 12, '0'))::uuid,
           gen_random_uuid(), n, 'Customer ' || n, 'placed', n * 100,
           now() - n * interval '1 second', now() - n * interval '1 second'
      from generate_series(1, ${TENANTS * ROWS_PER_TENANT}) n;
  create index on benchkernel.purchase (tenant_id, created_at desc, id desc);
  create table benchkernel.plain (like benchkernel.purchase including all);
  insert into benchkernel.plain select * from benchkernel.purchase;
  alter table benchkernel.purchase enable row level security;
  alter table benchkernel.purchase force row level security;
  create policy tenant_isolation on benchkernel.purchase
    using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
  grant select on benchkernel.purchase, benchkernel.plain to plimsoll_bench;
  vacuum analyze benchkernel.purchase, benchkernel.plain;`;

interface Pattern {
  readonly name: string;
  /** Answers one request; returns its number of rows. */
  readonly request: (tenant: (typeof tenants)[number]) => Promise<number>;
  readonly close: () => Promise<void>;
}

type Tenant = (typeof tenants)[number];

interface Measured {
  perSecond: number;
  cpuMicros: number;
}

const ourName = "db.query: isolated, one flight";

async function startServer(): Promise<{ url: string; stop: () => Promise<void> }> {
  if (args.url) return { url: args.url, stop: async () => {} };
  const dataDir = mkdtempSync(join(tmpdir(), "plimsoll-bench-"));
  const embedded = await startEmbedded({ dataDir });
  const stop = async () => {
    await embedded.stop();
    await removeCluster(dataDir);
  };
  return { url: embedded.adminUrl, stop };
}

function pool(appUrl: string, pipeline = false): pg.Pool {
  const made = new pg.Pool({ connectionString: appUrl, max: connections, pipeline });
  made.on("connect", (client) => void client.query("set search_path = benchkernel"));
  return made;
}

const settingText = "select set_config('app.tenant_id', $1, true)";

function fourTrips(appUrl: string): Pattern {
  const clients = pool(appUrl);
  return {
    name: "isolated: four round trips (begin, set_config, query, commit)",
    async request(tenant) {
      const client = await clients.connect();
      try {
        await client.query("begin");
        await client.query(settingText, [tenant.id]);
        const { rows } = await client.query(isolatedText);
        await client.query("commit");
        return rows.length;
      } finally {
        client.release();
      }
    },
    close: () => clients.end(),
  };
}

function pipelined(appUrl: string): Pattern {
  const clients = pool(appUrl, true);
  return {
    name: "isolated: the same four in pg's pipeline mode, named",
    async request(tenant) {
      const client = await clients.connect();
      try {
        const [, , answer] = await Promise.all([
          client.query("begin"),
          client.query({ name: "tenant", text: settingText, values: [tenant.id] }),
          client.query({ name: "list", text: isolatedText }),
          client.query("commit"),
        ]);
        return answer.rows.length;
      } finally {
        client.release();
      }
    },
    close: () => clients.end(),
  };
}

function plain(appUrl: string, name?: string): Pattern {
  const clients = pool(appUrl);
  return {
    name: name ? "not isolated: pg query, named" : "not isolated: pg query",
    async request(tenant) {
      const query = { text: plainText, values: [tenant.id], ...(name && { name }) };
      return (await clients.query(query)).rows.length;
    },
    close: () => clients.end(),
  };
}

function ours(appUrl: string): Pattern {
  const database = createDatabase({ appUrl, poolMax: connections, log: console });
  const db = database.forService("benchkernel");
  return {
    name: ourName,
    request: async (tenant) => (await db.query(tenant, isolatedText)).rows.length,
    close: () => database.close(),
  };
}

/** Answers with `inFlight` requests always under way. */
async function measure(pattern: Pattern, durationMs: number): Promise<Measured> {
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  let answered = 0;
  const worker = async (first: number) => {
    for (let turn = first; performance.now() - startMs < durationMs; turn += 7) {
      const rows = await pattern.request(tenants[turn % TENANTS] as Tenant);
      if (rows !== PAGE) throw new Error(`${pattern.name}: ${rows} rows instead of ${PAGE}`);
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, index) => worker(index)));
  const { user, system } = process.cpuUsage(startCpu);
  return {
    perSecond: (answered * 1000) / (performance.now() - startMs),
    cpuMicros: (user + system) / answered,
  };
}

async function compare(patterns: Pattern[]): Promise<Map<string, Measured>> {
  const best = new Map<string, Measured>();
  for (const pattern of patterns) await measure(pattern, 500);
  for (let round = 0; round < Number(args.rounds); round += 1) {
    for (const pattern of patterns) {
      const now = await measure(pattern, roundMs);
      const before = best.get(pattern.name);
      best.set(pattern.name, {
        perSecond: Math.max(now.perSecond, before?.perSecond ?? 0),
        cpuMicros: Math.min(now.cpuMicros, before?.cpuMicros ?? Number.POSITIVE_INFINITY),
      });
    }
  }
  for (const pattern of patterns) await pattern.close();
  return best;
}

function print(best: Map<string, Measured>): void {
  const reference = best.get(ourName)?.perSecond ?? Number.NaN;
  const table = [...best].map(([pattern, { perSecond, cpuMicros }]) => ({
    pattern,
    perSecond: Math.round(perSecond),
    cpuMicrosPerRequest: Math.round(cpuMicros),
    oursIsTimes: Math.round((100 * reference) / perSecond) / 100,
  }));
  if (args.json) console.log(JSON.stringify(table));
  else console.table(table);
}

const server = await startServer();
const owner = new pg.Client(server.url);
await owner.connect();
try {
  for (const statement of setup.split(/;\n(?= {2}[a-z])/)) await owner.query(statement);
  const appUrl = new URL(server.url);
  appUrl.username = "plimsoll_bench";
  appUrl.password = "bench";
  const make = [
    fourTrips,
    pipelined,
    (url: string) => plain(url),
    (url: string) => plain(url, "list"),
    ours,
  ];
  const patterns = make.map((one) => one(appUrl.href));
  const only = args.only ?? "";
  print(await compare(patterns.filter((one) => one.name.includes(only))));
  await owner.query("drop schema benchkernel cascade; drop role plimsoll_bench");
} finally {
  await owner.end();
  await server.stop();
}
