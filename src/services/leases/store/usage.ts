import { isoOf } from "#kernel/clock.ts";
import { streamRows } from "#kernel/db/stream.ts";
import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Lease } from "../rules/lease.ts";
import type { groupings, Interval } from "../schemas/usage.ts";
import { epochMs } from "./moment.ts";

/** From now on the lease is paid for. The lease runs by then. */
export function openInterval(tx: Tx, id: string, lease: Lease, flatMicros: bigint): Statement {
  return {
    text: `insert into lease_usage (tenant_id, id, lease_id, owner_id, template_name, image,
                                    cpu_millis, memory_mb, rate, flat_micros, currency, started_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::timestamptz)`,
    values: [
      tx.tenant.id,
      id,
      lease.id,
      lease.ownerId,
      lease.templateName,
      lease.image,
      lease.cpuMillis,
      lease.memoryMb,
      lease.rate,
      flatMicros,
      lease.currency,
      isoOf(lease.runningSinceMs as number),
    ],
  };
}

/** The lease is not paid for any more. Before the lease is written. */
export function closeInterval(leaseId: string, atMs: number, costMicros: bigint): Statement {
  return {
    text: `update lease_usage set ended_at = $2::timestamptz, cost_micros = $3
            where lease_id = $1 and ended_at is null`,
    values: [leaseId, isoOf(atMs), costMicros],
  };
}

/** What of an interval lies between two moments, in milliseconds; open ones go on until `now`. */
const insideMs = (from: string, to: string, now: string) =>
  `greatest(0, ${epochMs(`least(coalesce(ended_at, ${now}), ${to})`)}
    - ${epochMs(`greatest(started_at, ${from})`)})`;

/**
 * What that part costs: of a whole interval that is closed, what was written down; else what
 * `costMicrosOf` says of it, with the flat price where the interval begins.
 */
const insideMicros = (from: string, to: string, now: string) =>
  `case when ended_at <= ${to} and started_at >= ${from} then cost_micros
     else div(rate * ${insideMs(from, to, now)} * 2 + 3686400000, 7372800000)
       + case when started_at >= ${from} then flat_micros else 0 end end`;

/** `tenantMicros` and `ownerMicros`: spent since `fromMs`, as text. */
export function selectSpent(ownerId: string, fromMs: number, nowMs: number): Statement {
  return {
    text: `select coalesce(sum(cost), 0)::text as "tenantMicros",
             coalesce(sum(cost) filter (where owner_id = $1), 0)::text as "ownerMicros"
        from (select owner_id, ${insideMicros("$2::timestamptz", "$3::timestamptz", "$3::timestamptz")} as cost
                from lease_usage
               where started_at < $3::timestamptz
                 and (ended_at is null or ended_at > $2::timestamptz)) parts`,
    values: [ownerId, isoOf(fromMs), isoOf(nowMs)],
  };
}

/** Of the tenant (its owner is null) and of each owner: spent, and at which rate it goes on. */
export interface Spending {
  readonly ownerId: string | null;
  readonly spentMicros: bigint;
  readonly rate: bigint;
}

/** Who spends in the tenant's month. */
export async function readSpending(
  db: Db,
  tenant: TenantRef,
  { fromMs, nowMs }: { fromMs: number; nowMs: number },
): Promise<Spending[]> {
  const [from, now] = ["$1::timestamptz", "$2::timestamptz"];
  const { rows } = await db.query<{ ownerId: string | null; spent: string; rate: string }>(
    tenant,
    `select owner_id as "ownerId", coalesce(sum(cost), 0)::text as spent,
            coalesce(sum(rate) filter (where is_open), 0)::text as rate
       from (select owner_id, rate, ended_at is null as is_open,
                    ${insideMicros(from, now, now)} as cost
               from lease_usage
              where started_at < ${now} and (ended_at is null or ended_at > ${from})) parts
      group by grouping sets ((), (owner_id))`,
    [isoOf(fromMs), isoOf(nowMs)],
  );
  return rows.map(({ ownerId, spent, rate }) => ({
    ownerId,
    spentMicros: BigInt(spent),
    rate: BigInt(rate),
  }));
}

export interface Period {
  readonly fromMs: number;
  readonly toMs: number;
  /** Until when open intervals have gone on. */
  readonly nowMs: number;
  /** With it, only that one's. */
  readonly ownerIds: readonly string[];
}

/** One line of a report; sums of whole numbers come as text. */
export interface UsageRow {
  readonly group: string | null;
  readonly currency: string;
  readonly leases: number;
  readonly milliseconds: string;
  /** CPU in thousandths × milliseconds. */
  readonly cpu: string;
  /** Memory in MiB × milliseconds. */
  readonly memory: string;
  readonly micros: string;
}

const groups: Readonly<Record<(typeof groupings)[number], string>> = {
  lease: "lease_id::text",
  owner: "owner_id",
  template: "template_name",
  image: "image",
  day: "to_char(day, 'YYYY-MM-DD')",
};

const [from, to, now] = ["$1::timestamptz", "$2::timestamptz", "$3::timestamptz"];
const sums = `count(distinct lease_id)::int as leases, sum(ms)::text as milliseconds,
  sum(ms * cpu_millis)::text as cpu, sum(ms * memory_mb)::text as memory, sum(cost)::text as micros`;

/** Intervals that touch the period, cut to it: by day, each once for every day it touches. */
function parts(byDay: boolean): string {
  const [start, end] = byDay
    ? [`greatest(${from}, day)`, `least(${to}, day + interval '1 day')`]
    : [from, to];
  const days = `, lateral generate_series(
      date_trunc('day', greatest(started_at, ${from}), 'UTC'),
      greatest(started_at, least(coalesce(ended_at, ${now}), ${to}) - interval '1 microsecond'),
      interval '1 day') as day`;
  return `select lease_id, owner_id, template_name, image, currency, cpu_millis, memory_mb,
       ${byDay ? "day at time zone 'UTC' as day," : ""}
       ${insideMs(start, end, now)} as ms, ${insideMicros(start, end, now)} as cost
  from lease_usage${byDay ? days : ""}
 where started_at < ${to} and started_at <= ${now}
   and (ended_at is null or ended_at > ${from} or ended_at = started_at and ended_at >= ${from})
   and (cardinality($4::text[]) = 0 or owner_id = all($4::text[]))`;
}

const valuesOf = ({ fromMs, toMs, nowMs, ownerIds }: Period) => [
  isoOf(fromMs),
  isoOf(toMs),
  isoOf(nowMs),
  ownerIds,
];

/** The lines of a report, and its exact sums, one of each for every currency. */
export async function readUsage(
  tx: Tx,
  groupBy: (typeof groupings)[number],
  period: Period,
  limit: number,
): Promise<{ lines: UsageRow[]; totals: UsageRow[] }> {
  const group = groups[groupBy];
  const [lines, totals] = await tx.batch([
    {
      text: `select ${group} as "group", currency, ${sums}
               from (${parts(groupBy === "day")}) parts
              group by ${group}, currency order by ${group} nulls last, currency limit $5`,
      values: [...valuesOf(period), limit],
    },
    {
      text: `select null as "group", currency, ${sums} from (${parts(false)}) parts
              group by currency order by currency`,
      values: valuesOf(period),
    },
  ]);
  return {
    lines: (lines?.rows ?? []) as unknown as UsageRow[],
    totals: (totals?.rows ?? []) as unknown as UsageRow[],
  };
}

/** The intervals that touch the period, cut to it, in batches, as of one moment. */
export function exportUsage(db: Db, tenant: TenantRef, period: Period) {
  const text = `select lease_id as "leaseId", owner_id as "ownerId", template_name as template,
       image, greatest(started_at, ${from}) as "startedAt",
       case when ended_at is not null or ${now} > ${to} then least(ended_at, ${to}) end as "endedAt",
       ${insideMs(from, to, now)} as milliseconds, cpu_millis as "cpuMillis",
       memory_mb as "memoryMb", (${insideMicros(from, to, now)})::text as "costMicros", currency
  from lease_usage
 where started_at < ${to} and started_at <= ${now} and (ended_at is null or ended_at > ${from})
   and (cardinality($4::text[]) = 0 or owner_id = all($4::text[]))
 order by started_at, id`;
  return streamRows<Interval>(db, tenant, { text, values: valuesOf(period) });
}
