import type { Db, Gathering, Transaction, Tx } from "../db/types.ts";
import type { TenantRef } from "../tenancy/types.ts";
import type { StoredEvent } from "./types.ts";

/** A tenant as the platform's own tables need it: they are the same for every isolation. */
export function platformTenant(id: string): TenantRef {
  return { id, isolation: "shared" };
}

/** An event on its way; `data` is a JSON text. */
export interface NewEvent {
  tenantId: string;
  type: string;
  resource: { type: string; id: string };
  ownerId: string | null;
  data: string;
}

/**
 * All events of a transaction for one tenant, and the pointers to them. The pointers' numbers are
 * given in the order of emitting.
 */
export const newEvents: Gathering<NewEvent> = {
  make: (events) => ({
    text: `
with event as (
  insert into platform.event
    (tenant_id, id, type, resource_type, resource_id, owner_id, data, occurred_at)
  select $1, platform.uuid_v7(), value ->> 'type', value #>> '{resource,type}',
    value #>> '{resource,id}', value ->> 'ownerId', value -> 'data', clock_timestamp()
    from jsonb_array_elements($2::jsonb) with ordinality as emitted (value, place)
   order by place
  returning tenant_id, id
)
insert into platform.outbox (of_tenant, event_id) select tenant_id, id from event`,
    values: [events[0]?.tenantId, `[${events.map(jsonOf).join()}]`],
  }),
};

function jsonOf({ tenantId: _, data, ...event }: NewEvent): string {
  return `${JSON.stringify(event).slice(0, -1)},"data":${data}}`;
}

export const eventColumns = `e.id, e.type, e.tenant_id as "tenantId",
  jsonb_build_object('type', e.resource_type, 'id', e.resource_id) as resource,
  e.data, e.occurred_at as "occurredAt", e.position, e.owner_id as "ownerId"`;

/** Events after a position, in order; their sizes bound what a reader keeps. */
export async function eventsAfter(
  db: Db,
  tenantId: string,
  position: number,
  limit: number,
): Promise<(StoredEvent & { sizeBytes: number })[]> {
  const { rows } = await db.query<StoredEvent & { sizeBytes: number }>(
    platformTenant(tenantId),
    `select ${eventColumns}, length(e.data::text) as "sizeBytes" from platform.event e
      where e.tenant_id = $1 and e.position > $2 order by e.position limit $3`,
    [tenantId, position, limit],
  );
  return rows;
}

/** The last position handed out to a tenant; 0 when there is none. */
export async function lastPosition(db: Db, tenantId: string): Promise<number> {
  const { rows } = await db.query<{ position: number }>(
    platformTenant(tenantId),
    `select coalesce(max(position), 0) as position from platform.event
      where tenant_id = $1 and position is not null`,
    [tenantId],
  );
  return rows[0]?.position ?? 0;
}

/** Those of the events that are there and were handed out. */
export async function eventsByIds(
  db: Db,
  tenantId: string,
  ids: readonly string[],
): Promise<StoredEvent[]> {
  const { rows } = await db.query<StoredEvent>(
    platformTenant(tenantId),
    `select ${eventColumns} from platform.event e
      where e.tenant_id = $1 and e.id = any($2::uuid[]) and e.position is not null`,
    [tenantId, ids],
  );
  return rows;
}

export interface Pointer {
  seq: number;
  eventId: string;
  tenantId: string;
}

/** The next events that the broker is to get. */
export async function pointersToPublish(tx: Transaction, limit: number): Promise<Pointer[]> {
  const { rows } = await tx.query<Pointer>(
    `select seq, event_id as "eventId", of_tenant as "tenantId" from platform.outbox
      where position is not null order by position limit $1`,
    [limit],
  );
  return rows;
}

/** Forgets pointers to events that have been handed out everywhere. */
export async function deletePointers(tx: Transaction, seqs: readonly number[]): Promise<void> {
  await tx.query("delete from platform.outbox where seq = any($1::bigint[])", [seqs]);
}

export interface Lag {
  toRelay: number;
  toRelayAgeSeconds: number;
  toPublish: number;
  toPublishAgeSeconds: number;
}

/** How many events wait, counted to 10,000 at most, and since when. */
export async function outboxLag(tx: Transaction): Promise<Lag> {
  const { rows } = await tx.query<Lag>(
    `select
       (select count(*) from (select 1 from platform.outbox where position is null
         limit 10000) o)::int as "toRelay",
       coalesce((select extract(epoch from clock_timestamp() - queued_at) from platform.outbox
         where position is null order by seq limit 1), 0)::float8 as "toRelayAgeSeconds",
       (select count(*) from (select 1 from platform.outbox where position is not null
         limit 10000) o)::int as "toPublish",
       coalesce((select extract(epoch from clock_timestamp() - queued_at) from platform.outbox
         where position is not null order by position limit 1), 0)::float8
         as "toPublishAgeSeconds"`,
  );
  return rows[0] as Lag;
}

/**
 * Deletes a tenant's events, with their deliveries, that are older than a moment and handed out.
 * Ids sort by time, so the primary key finds them.
 */
export async function deleteEventsBefore(tx: Tx, before: string, limit: number): Promise<number> {
  const { rowCount } = await tx.query(
    `delete from platform.event where tenant_id = $1 and id in (
       select id from platform.event
        where tenant_id = $1 and id < platform.uuid_v7_at($2::timestamptz)
          and position is not null and occurred_at < $2::timestamptz
        order by id limit $3)`,
    [tx.tenant.id, before, limit],
  );
  return rowCount;
}
