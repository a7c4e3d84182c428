import type { Tx } from "../db/types.ts";

export interface EndpointInput {
  url: string;
  /** Types, "order.*" or "*". */
  events: string[];
  description: string;
  active: boolean;
}

export interface Endpoint extends EndpointInput {
  id: string;
  /** Why it was switched off when nobody did: "gone" (it answered 410) or "failing". */
  disabledReason: "gone" | "failing" | null;
  secretLastFour: string;
  /** Until when the secret before signs too. */
  oldSecretUntil: string | null;
  failingSince: string | null;
  failuresInRow: number;
  version: number;
  createdAt: string;
  updatedAt: string;
}

const endpointColumns = `id, url, events, description, active,
  disabled_reason as "disabledReason", secret_last_four as "secretLastFour",
  old_secret_until as "oldSecretUntil", failing_since as "failingSince",
  failures_in_row as "failuresInRow", version, created_at as "createdAt",
  updated_at as "updatedAt"`;

/** Null when the tenant has `most` endpoints already. */
export async function insertEndpoint(
  tx: Tx,
  { id, url, events, description, active }: EndpointInput & { id: string },
  lastFour: string,
  most: number,
): Promise<Endpoint | null> {
  const { rows } = await tx.query<Endpoint>(
    `insert into platform.webhook_endpoint
       (tenant_id, id, url, events, description, active, secret_last_four)
     select $1, $2, $3, $4::text[], $5, $6::boolean, $7
      where (select count(*) from platform.webhook_endpoint where tenant_id = $1) < $8::int
     returning ${endpointColumns}`,
    [tx.tenant.id, id, url, events, description, active, lastFour, most],
  );
  return rows[0] ?? null;
}

/** With `lock`, not so hard that planning deliveries for the endpoint would have to wait. */
export async function selectEndpoint(tx: Tx, id: string, lock = false): Promise<Endpoint | null> {
  const { rows } = await tx.query<Endpoint>(
    `select ${endpointColumns} from platform.webhook_endpoint
      where tenant_id = $1 and id = $2 ${lock ? "for no key update" : ""}`,
    [tx.tenant.id, id],
  );
  return rows[0] ?? null;
}

/** Oldest first. */
export async function selectEndpoints(
  tx: Tx,
  { afterId, limit }: { afterId?: string; limit: number },
): Promise<Endpoint[]> {
  const { rows } = await tx.query<Endpoint>(
    `select ${endpointColumns} from platform.webhook_endpoint
      where tenant_id = $1 and ($2::uuid is null or id > $2) order by id limit $3`,
    [tx.tenant.id, afterId ?? null, limit],
  );
  return rows;
}

/** A person's change: an endpoint that is switched on starts with a clean slate. */
export async function updateEndpoint(
  tx: Tx,
  id: string,
  { url, events, description, active }: EndpointInput,
): Promise<Endpoint> {
  const { rows } = await tx.query<Endpoint>(
    `update platform.webhook_endpoint set url = $3, events = $4::text[], description = $5,
       active = $6, disabled_reason = null, failing_since = null, failures_in_row = 0,
       version = version + 1, updated_at = now()
      where tenant_id = $1 and id = $2 returning ${endpointColumns}`,
    [tx.tenant.id, id, url, events, description, active],
  );
  return rows[0] as Endpoint;
}

/** Notes which secret signs, and until when the one before does too. */
export async function updateSecret(
  tx: Tx,
  id: string,
  lastFour: string,
  oldUntil: string | null,
): Promise<Endpoint> {
  const { rows } = await tx.query<Endpoint>(
    `update platform.webhook_endpoint set secret_last_four = $3,
       old_secret_until = $4::timestamptz, version = version + 1, updated_at = now()
      where tenant_id = $1 and id = $2 returning ${endpointColumns}`,
    [tx.tenant.id, id, lastFour, oldUntil],
  );
  return rows[0] as Endpoint;
}

/** The order is the relay's, which marks an endpoint due before it refers to its row. */
export async function deleteEndpoint(tx: Tx, id: string): Promise<void> {
  await tx.batch([
    {
      text: "delete from platform.webhook_due where of_tenant = $1 and endpoint_id = $2",
      values: [tx.tenant.id, id],
    },
    {
      text: "delete from platform.webhook_endpoint where tenant_id = $1 and id = $2",
      values: [tx.tenant.id, id],
    },
  ]);
}

/** Lets the senders look at an endpoint at once, whether or not it is being held back. */
export async function markDue(tx: Tx, endpointId: string, nowIso: string): Promise<void> {
  await tx.query(
    `insert into platform.webhook_due (of_tenant, endpoint_id, due_at) values ($1, $2, $3)
     on conflict (of_tenant, endpoint_id) do update set not_before = '-infinity',
       due_at = least(webhook_due.due_at, excluded.due_at)`,
    [tx.tenant.id, endpointId, nowIso],
  );
}

export type DeliveryState = "pending" | "delivered" | "failed";

export interface Delivery {
  id: string;
  endpointId: string;
  event: { id: string; type: string };
  resource: { type: string; id: string };
  position: number;
  state: DeliveryState;
  attempts: number;
  /** Null once it is over. */
  nextAttemptAt: string | null;
  createdAt: string;
  finishedAt: string | null;
  /** The last attempt's answer, null before the first or where none came. */
  lastStatus: number | null;
  lastError: string | null;
}

const deliveryColumns = `d.id, d.endpoint_id as "endpointId",
  jsonb_build_object('id', d.event_id, 'type', d.event_type) as event,
  jsonb_build_object('type', d.resource_type, 'id', d.resource_id) as resource,
  d.position, d.state, d.attempts,
  case d.state when 'pending' then d.next_attempt_at end as "nextAttemptAt",
  d.created_at as "createdAt", d.finished_at as "finishedAt",
  last.status as "lastStatus", last.error as "lastError"`;

const lastAttempt = `left join lateral (
  select a.status, a.error from platform.webhook_attempt a
   where a.tenant_id = d.tenant_id and a.delivery_id = d.id order by a.id desc limit 1) last on true`;

/** An endpoint's deliveries, those of the newest events first. */
export async function selectDeliveries(
  tx: Tx,
  wanted: { endpointId: string; state?: DeliveryState; beforePosition?: number; limit: number },
): Promise<Delivery[]> {
  const { rows } = await tx.query<Delivery>(
    `select ${deliveryColumns} from platform.webhook_delivery d ${lastAttempt}
      where d.tenant_id = $1 and d.endpoint_id = $2 and ($3::text is null or d.state = $3)
        and ($4::bigint is null or d.position < $4)
      order by d.position desc limit $5`,
    [
      tx.tenant.id,
      wanted.endpointId,
      wanted.state ?? null,
      wanted.beforePosition ?? null,
      wanted.limit,
    ],
  );
  return rows;
}

/** One delivery, of whichever endpoint. */
export async function selectDelivery(tx: Tx, id: string): Promise<Delivery | null> {
  const { rows } = await tx.query<Delivery>(
    `select ${deliveryColumns} from platform.webhook_delivery d ${lastAttempt}
      where d.tenant_id = $1 and d.id = $2`,
    [tx.tenant.id, id],
  );
  return rows[0] ?? null;
}

export interface Attempt {
  id: string;
  at: string;
  status: number | null;
  latencyMs: number;
  error: string | null;
  responseExcerpt: string | null;
}

/** The last 50 attempts, newest first. */
export async function selectAttempts(tx: Tx, deliveryId: string): Promise<Attempt[]> {
  const { rows } = await tx.query<Attempt>(
    `select id, at, status, latency_ms as "latencyMs", error,
       response_excerpt as "responseExcerpt"
     from platform.webhook_attempt where tenant_id = $1 and delivery_id = $2
     order by id desc limit 50`,
    [tx.tenant.id, deliveryId],
  );
  return rows;
}

/** Makes a delivery start anew; false when there is none. */
export async function restartDelivery(
  tx: Tx,
  endpointId: string,
  id: string,
  nowIso: string,
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `update platform.webhook_delivery set state = 'pending', attempts = 0,
       next_attempt_at = $4, finished_at = null
      where tenant_id = $1 and endpoint_id = $2 and id = $3`,
    [tx.tenant.id, endpointId, id, nowIso],
  );
  return rowCount > 0;
}

export interface Replayed {
  replayed: number;
  /** When the last of them happened; null when there were none. */
  until: string | null;
}

/**
 * Plans, or starts anew, the deliveries of the events of a stretch of time that an endpoint wants,
 * also of those that happened while it was switched off. At most `limit`, the oldest.
 */
export async function replayEvents(
  tx: Tx,
  replay: { endpointId: string; from: string; to: string; nowIso: string; limit: number },
): Promise<Replayed> {
  const { rows } = await tx.query<Replayed>(
    `with chosen as (
       select e.*, w.id as endpoint_id
         from platform.webhook_endpoint w join platform.event e on e.tenant_id = w.tenant_id
        where w.tenant_id = $1 and w.id = $2 and e.position is not null
          and e.id >= platform.uuid_v7_at($3::timestamptz)
          and e.id < platform.uuid_v7_at($4::timestamptz)
          and e.type not in ('webhook.ping', 'job.progress')
          and exists (select 1 from unnest(w.events) wanted
            where wanted = '*' or wanted = e.type
              or (right(wanted, 2) = '.*' and starts_with(e.type, left(wanted, -1))))
        order by e.id limit $6
     ), planned as (
       insert into platform.webhook_delivery (tenant_id, endpoint_id, event_id, event_type,
         resource_type, resource_id, position, next_attempt_at)
       select tenant_id, endpoint_id, id, type, resource_type, resource_id, position, $5
         from chosen
       on conflict (tenant_id, endpoint_id, event_id) do update set state = 'pending',
         attempts = 0, next_attempt_at = excluded.next_attempt_at, finished_at = null
     )
     select count(*)::int as replayed, max(occurred_at) as until from chosen`,
    [tx.tenant.id, replay.endpointId, replay.from, replay.to, replay.nowIso, replay.limit],
  );
  return rows[0] as Replayed;
}
