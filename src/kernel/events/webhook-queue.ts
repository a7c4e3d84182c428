import type { Transaction, Tx } from "../db/types.ts";
import { eventColumns } from "./store.ts";
import type { StoredEvent } from "./types.ts";
import type { AttemptOutcome } from "./webhook-rules.ts";
import type { DeliveryState } from "./webhook-store.ts";

export interface Due {
  tenantId: string;
  endpointId: string;
}

/**
 * Leases endpoints whose time has come, the longest waiting first and no more of one tenant than
 * `perTenant` at a time. Every other process leaves a leased endpoint alone.
 */
export async function leaseDue(
  tx: Transaction,
  lease: { id: string; nowIso: string; untilIso: string; limit: number; perTenant: number },
): Promise<Due[]> {
  const { rows } = await tx.query<Due>(
    `with waiting as (
       select of_tenant, endpoint_id, due_at,
         row_number() over (partition by of_tenant order by due_at, endpoint_id) as turn
       from (select * from platform.webhook_due
              where greatest(due_at, not_before) <= $1 and leased_until <= $1
              order by due_at limit 1000) w
     ), chosen as (
       select of_tenant, endpoint_id from waiting w
        where turn + (select count(*) from platform.webhook_due busy
          where busy.of_tenant = w.of_tenant and busy.leased_until > $1) <= $5::int
        order by due_at limit $4
     ), free as (
       select d.of_tenant, d.endpoint_id from platform.webhook_due d join chosen
        using (of_tenant, endpoint_id) where d.leased_until <= $1 for update of d skip locked
     )
     update platform.webhook_due d set leased_until = $2, lease_id = $3 from free f
      where d.of_tenant = f.of_tenant and d.endpoint_id = f.endpoint_id
     returning d.of_tenant as "tenantId", d.endpoint_id as "endpointId"`,
    [lease.nowIso, lease.untilIso, lease.id, lease.limit, lease.perTenant],
  );
  return rows;
}

export interface Head {
  deliveryId: string;
  attempts: number;
  event: StoredEvent;
}

/** The next deliveries of an endpoint: each resource's oldest only, so they may go together. */
export async function selectHeads(
  tx: Tx,
  endpointId: string,
  nowIso: string,
  limit: number,
): Promise<Head[]> {
  const { rows } = await tx.query<StoredEvent & { deliveryId: string; attempts: number }>(
    `select d.id as "deliveryId", d.attempts, ${eventColumns}
       from platform.webhook_delivery d
       join platform.event e on e.tenant_id = d.tenant_id and e.id = d.event_id
      where d.tenant_id = $1 and d.endpoint_id = $2 and d.state = 'pending'
        and d.next_attempt_at <= $3
        and not exists (select 1 from platform.webhook_delivery b
          where b.tenant_id = d.tenant_id and b.endpoint_id = d.endpoint_id
            and b.resource_type = d.resource_type and b.resource_id = d.resource_id
            and b.state = 'pending' and b.position < d.position)
      order by d.position limit $4`,
    [tx.tenant.id, endpointId, nowIso, limit],
  );
  return rows.map(({ deliveryId, attempts, ...event }) => ({ deliveryId, attempts, event }));
}

export interface SettledAttempt {
  deliveryId: string;
  atIso: string;
  outcome: AttemptOutcome;
  state: DeliveryState;
  nextAttemptIso: string;
}

/** Notes attempts. A delivery that was started anew meanwhile keeps its new start. */
export async function noteAttempts(tx: Tx, attempts: readonly SettledAttempt[]): Promise<void> {
  await tx.batch(
    attempts.flatMap(({ deliveryId, atIso, outcome, state, nextAttemptIso }) => [
      {
        text: `insert into platform.webhook_attempt
            (tenant_id, delivery_id, at, status, latency_ms, error, response_excerpt)
          select $1, $2, $3, $4::int, $5::int, $6, $7 where exists (select 1
            from platform.webhook_delivery where tenant_id = $1 and id = $2)`,
        values: [
          tx.tenant.id,
          deliveryId,
          atIso,
          outcome.status,
          Math.round(outcome.latencyMs),
          outcome.error,
          outcome.excerpt,
        ],
      },
      {
        text: `update platform.webhook_delivery set state = $3, attempts = attempts + 1,
            next_attempt_at = $4, finished_at = case when $3 = 'pending' then null else $5::timestamptz end
          where tenant_id = $1 and id = $2 and state = 'pending'`,
        values: [tx.tenant.id, deliveryId, state, nextAttemptIso, atIso],
      },
    ]),
  );
}

/** How an endpoint is after a round, as its sender judged it. */
export async function noteEndpoint(
  tx: Tx,
  id: string,
  health: { failingSince: string | null; failuresInRow: number; disabledReason: string | null },
): Promise<void> {
  await tx.query(
    `update platform.webhook_endpoint set failing_since = $3, failures_in_row = $4,
       active = active and $5::text is null, disabled_reason = coalesce($5, disabled_reason),
       version = version + case when $5::text is null then 0 else 1 end,
       updated_at = case when $5::text is null then updated_at else now() end
      where tenant_id = $1 and id = $2`,
    [tx.tenant.id, id, health.failingSince, health.failuresInRow, health.disabledReason],
  );
}

/**
 * Gives a lease back with the moment at which the endpoint is due again, or takes the endpoint off
 * the list when nothing waits for it. The row is locked first: deliveries planned by others are
 * then either seen here, or make the endpoint due themselves afterwards.
 */
export async function releaseDue(
  tx: Tx,
  endpointId: string,
  lease: { id: string; active: boolean; notBeforeIso: string },
): Promise<void> {
  const { rowCount } = await tx.query(
    `select 1 from platform.webhook_due
      where of_tenant = $1 and endpoint_id = $2 and lease_id = $3 for update`,
    [tx.tenant.id, endpointId, lease.id],
  );
  if (rowCount === 0) return;
  const { rows } = await tx.query<{ next: string | null }>(
    `select min(next_attempt_at) as next from (
       select distinct on (resource_type, resource_id) next_attempt_at
         from platform.webhook_delivery
        where tenant_id = $1 and endpoint_id = $2 and state = 'pending'
        order by resource_type, resource_id, position) heads`,
    [tx.tenant.id, endpointId],
  );
  const next = lease.active ? rows[0]?.next : null;
  if (!next) {
    await tx.query("delete from platform.webhook_due where of_tenant = $1 and endpoint_id = $2", [
      tx.tenant.id,
      endpointId,
    ]);
    return;
  }
  await tx.query(
    `update platform.webhook_due set due_at = $3, not_before = $4, leased_until = '-infinity',
       lease_id = null where of_tenant = $1 and endpoint_id = $2`,
    [tx.tenant.id, endpointId, next, lease.notBeforeIso],
  );
}
