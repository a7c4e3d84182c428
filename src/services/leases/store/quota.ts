import { type Clock, isoOf } from "#kernel/clock.ts";
import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { nothing, type QuotaUse } from "../rules/quota.ts";
import { epochMs, momentOf, nowAt } from "./moment.ts";

/** Under this owner stands what the whole tenant has taken. */
export const wholeTenant = "";

const useColumns = `leases, cpu_millis as "cpuMillis", memory_mb as "memoryMb",
  disk_mb as "diskMb", snapshots`;

/**
 * Takes a share, and answers what is taken then: the tenant's row first for everybody, so that
 * nobody waits in a circle. The row stays locked, so that limits hold whoever else asks.
 */
export function takeShare(tx: Tx, ownerId: string, share: QuotaUse): Statement {
  const { leases, cpuMillis, memoryMb, diskMb, snapshots } = share;
  return {
    text: `insert into lease_quota as q (tenant_id, owner_id, leases, cpu_millis, memory_mb,
                                         disk_mb, snapshots)
           values ($1, $2, $3, $4, $5, $6, $7)
           on conflict (tenant_id, owner_id) do update
              set leases = q.leases + excluded.leases,
                  cpu_millis = q.cpu_millis + excluded.cpu_millis,
                  memory_mb = q.memory_mb + excluded.memory_mb,
                  disk_mb = q.disk_mb + excluded.disk_mb,
                  snapshots = q.snapshots + excluded.snapshots
           returning ${useColumns}`,
    values: [tx.tenant.id, ownerId, leases, cpuMillis, memoryMb, diskMb, snapshots],
  };
}

/** The tenant's row, locked as by whoever takes something, and what is taken. */
export const lockQuota = (tx: Tx): Statement => takeShare(tx, wholeTenant, nothing);

/** Gives a share back. */
export function returnShare(tx: Tx, ownerId: string, share: QuotaUse): Statement {
  const { leases, cpuMillis, memoryMb, diskMb, snapshots } = share;
  return {
    text: `update lease_quota
              set leases = leases - $3, cpu_millis = cpu_millis - $4, memory_mb = memory_mb - $5,
                  disk_mb = disk_mb - $6, snapshots = snapshots - $7
            where tenant_id = $1 and owner_id = $2`,
    values: [tx.tenant.id, ownerId, leases, cpuMillis, memoryMb, diskMb, snapshots],
  };
}

/** `tenant` and `owner`: how many leases were begun in the minute before `nowMs`. */
export function selectStarts(ownerId: string, nowMs: number): Statement {
  return {
    text: `select count(*)::int as tenant,
                  (count(*) filter (where owner_id = $1))::int as owner
             from lease where created_at > $2::timestamptz`,
    values: [ownerId, isoOf(nowMs - 60_000)],
  };
}

export interface QuotaState {
  readonly tenant: QuotaUse;
  readonly owner: QuotaUse;
  readonly nowMs: number;
}

/** What is taken now. */
export async function readQuota(tx: Tx, ownerId: string, clock: Clock): Promise<QuotaState> {
  const [uses, moment] = await tx.batch([
    {
      text: `select owner_id as "ownerId", ${useColumns} from lease_quota
              where owner_id in ($1, $2)`,
      values: [wholeTenant, ownerId],
    },
    { text: `select ${epochMs(nowAt("$1"))} as "nowMs"`, values: [momentOf(clock)] },
  ]);
  const useOf = (owner: string): QuotaUse => {
    const row = uses?.rows.find((one) => one.ownerId === owner);
    if (!row) return nothing;
    const { ownerId: _, ...use } = row;
    return use as unknown as QuotaUse;
  };
  return {
    tenant: useOf(wholeTenant),
    owner: useOf(ownerId),
    nowMs: moment?.rows[0]?.nowMs as number,
  };
}

const counted = `
  select coalesce(owner_id, '') as owner_id, sum(leases) as leases, sum(cpu_millis) as cpu_millis,
         sum(memory_mb) as memory_mb, sum(disk_mb) as disk_mb, sum(snapshots) as snapshots
    from (
      select owner_id, 1 as leases, cpu_millis, memory_mb, coalesce(disk_mb, 0) as disk_mb,
             0 as snapshots
        from lease where state not in ('ended', 'failed')
      union all
      select owner_id, 0, 0, 0, 0, 1 from lease_snapshot where state <> 'failed'
      union all
      select null, 0, cpu_millis, memory_mb, coalesce(disk_mb, 0), 0
        from lease_warm where state <> 'removing') parts
   group by grouping sets ((), (owner_id)) having grouping(owner_id) = 1 or owner_id is not null`;

/** A count that differs from what there is. */
export interface QuotaDrift {
  readonly ownerId: string;
  readonly counted: string;
  readonly stored: string;
}

const differing = `
  select coalesce(q.owner_id, c.owner_id) as "ownerId",
         concat_ws('/', coalesce(c.leases, 0), coalesce(c.cpu_millis, 0),
           coalesce(c.memory_mb, 0), coalesce(c.disk_mb, 0), coalesce(c.snapshots, 0)) as counted,
         concat_ws('/', coalesce(q.leases, 0), coalesce(q.cpu_millis, 0),
           coalesce(q.memory_mb, 0), coalesce(q.disk_mb, 0), coalesce(q.snapshots, 0)) as stored
    from lease_quota q full join (${counted}) c on c.owner_id = q.owner_id`;

/** Where the counts are not the sums of what there is: only where rows were changed by hand. */
export async function readQuotaDrift(db: Db, tenant: TenantRef): Promise<QuotaDrift[]> {
  const { rows } = await db.query<QuotaDrift>(
    tenant,
    `select * from (${differing}) d where counted <> stored order by "ownerId"`,
  );
  return rows;
}

/** Counts anew, while nobody takes or returns anything. */
export async function recountQuota(tx: Tx): Promise<void> {
  await tx.batch([
    { text: "select 1 from lease_quota where owner_id = '' for update" },
    { text: "select 1 from lease_quota where owner_id <> '' order by owner_id for update" },
    {
      text: `insert into lease_quota as q (tenant_id, owner_id, leases, cpu_millis, memory_mb,
                                           disk_mb, snapshots)
             select $1, coalesce(c.owner_id, q.owner_id), coalesce(c.leases, 0),
                    coalesce(c.cpu_millis, 0), coalesce(c.memory_mb, 0), coalesce(c.disk_mb, 0),
                    coalesce(c.snapshots, 0)
               from (${counted}) c full join lease_quota q on q.owner_id = c.owner_id
             on conflict (tenant_id, owner_id) do update
                set leases = excluded.leases, cpu_millis = excluded.cpu_millis,
                    memory_mb = excluded.memory_mb, disk_mb = excluded.disk_mb,
                    snapshots = excluded.snapshots`,
      values: [tx.tenant.id],
    },
  ]);
}
