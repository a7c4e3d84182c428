import { withClient } from "#kernel/db/roles.ts";
import type { LeasesHouse } from "../tests/support/leases-house.ts";
import type { Ledger } from "./leases-load.ts";

/** What must not be, and how often it is. */
export interface Wrong {
  what: string;
  count: number;
  /** A few of them, for whoever looks into it. */
  examples: string[];
}

interface Check {
  what: string;
  /** Selects a text for each thing that is wrong. */
  sql: string;
}

/** While anything still lives, the first ones must hold already; the rest when all has ended. */
const always: readonly Check[] = [
  {
    what: "open usage intervals without a lease that runs",
    sql: `select u.lease_id from leases.lease_usage u
            left join leases.lease l on l.tenant_id = u.tenant_id and l.id = u.lease_id
           where u.ended_at is null and l.state is distinct from 'running'`,
  },
  {
    what: "moments paid for twice",
    sql: `select a.lease_id from leases.lease_usage a join leases.lease_usage b
              on b.tenant_id = a.tenant_id and b.lease_id = a.lease_id and b.id > a.id
             and tstzrange(a.started_at, a.ended_at) && tstzrange(b.started_at, b.ended_at)`,
  },
  {
    what: "intervals that cost more or less than their time",
    sql: `select id || ' ' || cost_micros from leases.lease_usage
           where ended_at is not null and cost_micros <> flat_micros
             + div(rate * (extract(epoch from ended_at - started_at) * 1000)::bigint * 2
                   + 3686400000, 7372800000)`,
  },
  {
    what: "flat prices asked for more than once",
    sql: `select lease_id from leases.lease_usage where flat_micros > 0
           group by lease_id having count(*) > 1`,
  },
  {
    what: "leases whose cost is not the sum of their intervals",
    sql: `select l.id || ' ' || l.cost_micros from leases.lease l
           where l.cost_micros <> (select coalesce(sum(u.cost_micros), 0)
             from leases.lease_usage u where u.tenant_id = l.tenant_id and u.lease_id = l.id)`,
  },
  {
    what: "quotas that are not the sum of what there is",
    sql: `select coalesce(q.owner_id, c.owner_id, 'tenant') || ' ' || coalesce(q.leases, 0) || '/'
              || coalesce(c.leases, 0)
            from leases.lease_quota q full join (
              select coalesce(owner_id, '') as owner_id, sum(leases) as leases,
                     sum(cpu_millis) as cpu_millis, sum(memory_mb) as memory_mb,
                     sum(disk_mb) as disk_mb, sum(snapshots) as snapshots
                from (select owner_id, 1 as leases, cpu_millis, memory_mb,
                             coalesce(disk_mb, 0) as disk_mb, 0 as snapshots
                        from leases.lease where state not in ('ended', 'failed')
                      union all
                      select owner_id, 0, 0, 0, 0, 1 from leases.lease_snapshot
                       where state <> 'failed') parts
               group by grouping sets ((), (owner_id))) c on c.owner_id = q.owner_id
           where (coalesce(q.leases, 0), coalesce(q.cpu_millis, 0), coalesce(q.memory_mb, 0),
                  coalesce(q.disk_mb, 0), coalesce(q.snapshots, 0))
              is distinct from
                 (coalesce(c.leases, 0), coalesce(c.cpu_millis, 0), coalesce(c.memory_mb, 0),
                  coalesce(c.disk_mb, 0), coalesce(c.snapshots, 0))`,
  },
  {
    what: "leases made twice for one request",
    sql: `select name from leases.lease where name like 'chaos %'
           group by name having count(*) > 1`,
  },
];

const atTheEnd: readonly Check[] = [
  {
    what: "leases stuck on their way",
    sql: "select id || ' ' || state from leases.lease where state not in ('ended', 'failed')",
  },
  {
    what: "leases that ended other than once",
    sql: `select l.id || ' ' || count(a.resource_id) from leases.lease l
            left join platform.audit a on a.tenant_id = l.tenant_id and a.resource_id = l.id::text
             and a.action in ('lease.end', 'lease.failed', 'lease.abandon')
           group by l.id having count(a.resource_id) <> 1`,
  },
  {
    what: "snapshots stuck on their way",
    sql: "select id || ' ' || state from leases.lease_snapshot",
  },
  {
    what: "containers kept ready of no template",
    sql: "select id || ' ' || state from leases.lease_warm",
  },
  {
    what: "pointers to what has ended",
    sql: `select kind || ' ' || subject_id from leases.lease_due
           where kind in ('lease', 'snapshot', 'warm')`,
  },
  {
    what: "environments of leases that have ended",
    sql: `select id::text from leases.lease
           where env_sealed is not null and state in ('ended', 'failed')`,
  },
];

const examplesMost = 3;

const wrongOf = (what: string, found: readonly string[]): Wrong => ({
  what,
  count: found.length,
  examples: found.slice(0, examplesMost),
});

interface Ended {
  id: string;
  reason: string;
  endsAtMs: number;
}

/** Compares what clients were told with what is stored. */
function compareWith({ asked, promised, bad }: Ledger, rows: readonly Ended[], names: Set<string>) {
  const byId = new Map(rows.map((row) => [row.id, row]));
  const all = [...promised.values()];
  const broken = all.filter(({ id, expiresAtMs }) => {
    const row = byId.get(id);
    return row?.reason === "expired" && row.endsAtMs < expiresAtMs;
  });
  const lost = all.filter(({ id }) => !byId.has(id));
  return [
    wrongOf(
      "creates that were acknowledged and are lost",
      lost.map(({ id }) => id),
    ),
    wrongOf(
      "renewals that were acknowledged and not kept",
      broken.map(({ id }) => id),
    ),
    wrongOf(
      "leases that nobody asked for",
      [...names].filter((name) => !asked.has(name)),
    ),
    wrongOf("answers that nobody should get", bad),
  ];
}

/** Everything that is wrong, with what is right as a count of 0. */
export async function findWrong(house: LeasesHouse, ledger: Ledger): Promise<Wrong[]> {
  return withClient(house.ownerUrl, async (client) => {
    await client.query("select set_config('app.tenant_id', $1, false)", [house.tenantId]);
    const found: Wrong[] = [];
    for (const { what, sql } of [...always, ...atTheEnd]) {
      const { rows } = await client.query({ text: sql, rowMode: "array" });
      found.push(
        wrongOf(
          what,
          rows.map(([text]) => String(text)),
        ),
      );
    }
    const { rows } = await client.query<Ended & { name: string | null }>(
      `select id, name, termination_reason as reason,
              (extract(epoch from ends_at) * 1000)::float8 as "endsAtMs" from leases.lease`,
    );
    const names = new Set(rows.map(({ name }) => name).filter((name) => name !== null));
    found.push(...compareWith(ledger, rows, names));
    const { containers, images, processes, networks } = await house.eyes.look();
    found.push(
      wrongOf("containers leaked", containers),
      wrongOf("images of snapshots leaked", images),
      wrongOf("processes leaked", processes),
      // One is kept for ten minutes for the tenant's next lease.
      wrongOf("networks beyond one of the tenant's", networks.slice(1)),
    );
    return found;
  });
}

/** What the drill was about, for its report. */
export interface Counted {
  leases: number;
  restarts: number;
  snapshots: number;
  strays: number;
  intervals: number;
  lagMsP99: number | null;
  byReason: Record<string, number>;
}

/** Reads it from the tables. */
export async function countAll(house: LeasesHouse): Promise<Counted> {
  return withClient(house.ownerUrl, async (client) => {
    await client.query("select set_config('app.tenant_id', $1, false)", [house.tenantId]);
    const { rows: reasons } = await client.query<{ reason: string; count: number }>(
      `select termination_reason as reason, count(*)::int as count
         from leases.lease group by 1 order by 2 desc`,
    );
    const { rows } = await client.query<Omit<Counted, "byReason">>(
      `select count(*)::int as leases, coalesce(sum(restarts), 0)::int as restarts,
              (select count(*)::int from platform.audit
                where action = 'snapshot.create') as snapshots,
              (select count(*)::int from platform.audit
                where action = 'lease.remove_stray') as strays,
              (select count(*)::int from leases.lease_usage) as intervals,
              (select percentile_cont(0.99) within group (
                  order by extract(epoch from a.at - l.ends_at) * 1000)::float8
                 from platform.audit a join leases.lease l
                   on l.tenant_id = a.tenant_id and l.id::text = a.resource_id
                where a.action = 'lease.expire') as "lagMsP99"
         from leases.lease`,
    );
    const byReason = Object.fromEntries(reasons.map(({ reason, count }) => [reason, count]));
    return { ...(rows[0] as Omit<Counted, "byReason">), byReason };
  });
}
