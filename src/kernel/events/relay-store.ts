import type pg from "pg";
import type { Faults } from "../resilience/faults.ts";

/** "PLIM" and "rely" as numbers: held for as long as a connection is the relay's. */
const leaderLock = "1347176781, 1919249529";

/** True from now until the connection ends, for one connection at a time. */
export async function tryLead(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query(`select pg_try_advisory_lock(${leaderLock}) as leads`);
  return rows[0].leads;
}

export interface Waiting {
  tenantId: string;
  /** The last pointer of this batch. */
  toSeq: string;
  /** How many pointers of this batch are the tenant's. */
  count: number;
}

/** Tenants with events among the oldest `limit` that wait, with those to leave alone left out. */
export async function waitingTenants(
  client: pg.Client,
  limit: number,
  leaveAlone: readonly string[],
): Promise<Waiting[]> {
  const { rows } = await client.query({
    name: "relay-waiting",
    text: `select of_tenant as "tenantId", max(seq)::text as "toSeq", count(*)::int as count from (
        select of_tenant, seq from platform.outbox
         where position is null and of_tenant <> all($2::uuid[]) order by seq limit $1) o
      group by of_tenant order by min(seq)`,
    values: [limit, leaveAlone],
  });
  return rows;
}

export interface Relayed {
  events: number;
  deliveries: number;
  /** The last position given out; null when there were no events after all. */
  position: string | null;
}

/**
 * Hands out one tenant's waiting events in one transaction: gives positions in pointer order, plans
 * a delivery for every endpoint that wants an event, marks the endpoints due, tells listeners, and
 * keeps (for the broker) or drops the pointers. It runs on the connection that holds the leader's
 * lock, so a relay that has lost its lock has lost its transaction too. An endpoint gets nothing
 * that is older than itself. Progress events go only to endpoints that name them; a ping only to
 * its own.
 */
export async function relayTenant(
  client: pg.Client,
  work: { tenantId: string; toSeq: string; limit: number; keep: boolean; nowIso: string },
  faults?: Pick<Faults, "at">,
): Promise<Relayed> {
  await client.query("begin");
  try {
    await client.query({
      name: "relay-tenant",
      text: "select set_config('app.tenant_id', $1, true)",
      values: [work.tenantId],
    });
    const { rows } = await client.query({
      name: "relay-events",
      text: relayText,
      values: [work.tenantId, work.toSeq, work.limit, work.keep, work.nowIso],
    });
    const relayed = rows[0] as Relayed;
    if (relayed.position !== null) {
      await client.query({
        name: "relay-notify",
        text: "select pg_notify('plimsoll_events', $1)",
        values: [work.tenantId],
      });
    }
    await faults?.at("events.relay.commit");
    await client.query("commit");
    return relayed;
  } catch (error) {
    // Where the connection is gone, so is the transaction.
    await client.query("rollback").catch(() => {});
    throw error;
  }
}

const relayText = `
with pointer as materialized (
  select seq, event_id, nextval('platform.event_position') as position from (
    select seq, event_id from platform.outbox
     where of_tenant = $1::uuid and position is null and seq <= $2::bigint
     order by seq limit $3) o
), stamped as (
  update platform.event e set position = p.position from pointer p
   where e.tenant_id = $1::uuid and e.id = p.event_id
  returning e.id, e.type, e.resource_type, e.resource_id, e.position, e.occurred_at
), kept as (
  update platform.outbox o set position = p.position from pointer p
   where o.seq = p.seq and $4::boolean
), dropped as (
  delete from platform.outbox o using pointer p where o.seq = p.seq and not $4::boolean
), planned as (
  insert into platform.webhook_delivery (tenant_id, endpoint_id, event_id, event_type,
    resource_type, resource_id, position, next_attempt_at)
  select w.tenant_id, w.id, s.id, s.type, s.resource_type, s.resource_id, s.position,
    $5::timestamptz
  from stamped s join platform.webhook_endpoint w on w.tenant_id = $1::uuid and w.active
    and w.created_at <= s.occurred_at
    and case s.type
      when 'webhook.ping' then s.resource_id = w.id::text
      when 'job.progress' then s.type = any(w.events)
      else exists (select 1 from unnest(w.events) wanted
        where wanted = '*' or wanted = s.type
          or (right(wanted, 2) = '.*' and starts_with(s.type, left(wanted, -1))))
    end
  order by s.position
  on conflict (tenant_id, endpoint_id, event_id) do nothing
  returning endpoint_id
), due as (
  insert into platform.webhook_due (of_tenant, endpoint_id, due_at)
  select distinct $1::uuid, endpoint_id, $5::timestamptz from planned
  on conflict (of_tenant, endpoint_id)
    do update set due_at = least(webhook_due.due_at, excluded.due_at)
)
select (select count(*) from stamped)::int as events,
  (select count(*) from planned)::int as deliveries,
  (select max(position) from stamped)::text as position`;
