import { parseArgs } from "node:util";
import pg from "pg";
import { createDatabase } from "#kernel/db/pool.ts";

/**
 * What isolation costs: 20 rows of 100,000, read by each pattern over the same PostgreSQL, the same
 * number of connections and the same number of requests in flight, interleaved in rounds so that a
 * disturbed moment hits all alike; the best round of each counts.
 *
 *   node bench/kernel-db.ts [--url postgres://owner…] [--seconds 2] [--rounds 3] [--json]
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
const isolatedText = `select ${columns} from purchase order by created_at desc, id desc limit ${PAGE}`;
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

async function ownerUrl(): Promise<{ url: string; stop: () => Promise<void> }> {
  if (args.url) return { url: args.url, stop: async () => {} };
  throw new Error("give --url");
}

function patterns(appUrl: string): Pattern[] {
  const pool = (extra: object = {}) =>
    new pg.Pool({ connectionString: appUrl, max: connections, ...extra });
  const fourTrips = pool();
  const plain = pool();
  const named = pool();
  const pipelined = pool({ pipeline: true });
  const path = "set search_path = benchkernel";
  fourTrips.on("connect", (client) => void client.query(path));
  pipelined.on("connect", (client) => void client.query(path));
  const database = createDatabase({
    appUrl,
    poolMax: connections,
    log: console,
  });
  const db = database.forService("benchkernel");
  return [
    {
      name: "four round trips (BEGIN, set_config, query, COMMIT)",
      async request(tenant) {
        const client = await fourTrips.connect();
        try {
          await client.query("begin");
          await client.query("select set_config('app.tenant_id', $1, true)", [tenant.id]);
          const { rows } = await client.query(isolatedText);
          await client.query("commit");
          return rows.length;
        } finally {
          client.release();
        }
      },
      close: () => fourTrips.end(),
    },
    {
      name: "pg pipeline mode, the same four in one go",
      async request(tenant) {
        const client = await pipelined.connect();
        try {
          const [, , answer] = await Promise.all([
            client.query("begin"),
            client.query({
              name: "tenant",
              text: "select set_config('app.tenant_id', $1, true)",
              values: [tenant.id],
            }),
            client.query({ name: "list", text: isolatedText }),
            client.query("commit"),
          ]);
          return answer.rows.length;
        } finally {
          client.release();
        }
      },
      close: () => pipelined.end(),
    },
    {
      name: "no isolation: pg query",
      request: async (tenant) => (await plain.query(plainText, [tenant.id])).rows.length,
      close: () => plain.end(),
    },
    {
      name: "no isolation: pg named query",
      request: async (tenant) =>
        (await named.query({ name: "list", text: plainText, values: [tenant.id] })).rows.length,
      close: () => named.end(),
    },
    {
      name: "db.query: isolated, one flight",
      request: async (tenant) => (await db.query(tenant, isolatedText)).rows.length,
      close: () => database.close(),
    },
  ];
}

/** Requests answered per second, with `inFlight` of them always under way. */
async function measure(pattern: Pattern, durationMs: number): Promise<number> {
  const startMs = performance.now();
  let answered = 0;
  const worker = async (first: number) => {
    for (let turn = first; performance.now() - startMs < durationMs; turn += 7) {
      const rows = await pattern.request(tenants[turn % TENANTS] as (typeof tenants)[number]);
      if (rows !== PAGE) throw new Error(`${pattern.name}: ${rows} rows instead of ${PAGE}`);
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, index) => worker(index)));
  return (answered * 1000) / (performance.now() - startMs);
}

const server = await ownerUrl();
const owner = new pg.Client(server.url);
await owner.connect();
for (const statement of setup.split(/;\n(?=  [a-z])/)) await owner.query(statement);
const appUrl = new URL(server.url);
appUrl.username = "plimsoll_bench";
appUrl.password = "bench";
const all = patterns(appUrl.href).filter((one) => !args.only || one.name.includes(args.only));
const best = new Map<string, number>();
for (const pattern of all) await measure(pattern, 500);
for (let round = 0; round < Number(args.rounds); round += 1) {
  for (const pattern of all) {
    const perSecond = await measure(pattern, roundMs);
    best.set(pattern.name, Math.max(best.get(pattern.name) ?? 0, perSecond));
  }
}
for (const pattern of all) await pattern.close();
await owner.query("drop schema benchkernel cascade");
await owner.end();
await server.stop();

const ours = best.get("db.query: isolated, one flight") ?? Number.NaN;
for (const [name, perSecond] of best) {
  const ratio = (ours / perSecond).toFixed(2);
  console.log(`${name.padEnd(54)} ${perSecond.toFixed(0).padStart(7)}/s   db.query is ${ratio} x`);
}
