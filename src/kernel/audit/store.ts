import type { QueryResult, Statement, Transaction } from "../db/types.ts";
import type { Actor } from "../tenancy/types.ts";
import type { AuditFilter, AuditRecord } from "./types.ts";

interface NewRecord {
  tenantId: string;
  actor: Actor;
  action: string;
  resource: { type: string; id: string };
  requestId: string;
  before: string | null;
  after: string | null;
}

/**
 * Appends one record. The head row's lock makes writers of one tenant take turns, and since the
 * statement travels with COMMIT the turn is as short as the commit itself.
 */
export function appendRecord(record: NewRecord): Statement {
  return {
    text: `
with entry as materialized (
  select $1::uuid as tenant_id, platform.uuid_v7() as id, clock_timestamp() as at,
    $2::text as actor_kind, $3::text as actor_id, $4::text as actor_user_id,
    $5::text as actor_name, $6::text as action, $7::text as resource_type,
    $8::text as resource_id, $9::text as request_id, $10::jsonb as before, $11::jsonb as after
), head as (
  insert into platform.audit_head as h (tenant_id, seq, hash)
  select e.tenant_id, 1, platform.audit_digest('\\x', row(e.tenant_id, 1, e.id, e.at, e.actor_kind,
    e.actor_id, e.actor_user_id, e.actor_name, e.action, e.resource_type, e.resource_id,
    e.request_id, e.before, e.after, null)::platform.audit)
  from entry e
  on conflict (tenant_id) do update set seq = h.seq + 1,
    hash = (select platform.audit_digest(h.hash, row(e.tenant_id, h.seq + 1, e.id, e.at,
      e.actor_kind, e.actor_id, e.actor_user_id, e.actor_name, e.action, e.resource_type,
      e.resource_id, e.request_id, e.before, e.after, null)::platform.audit) from entry e)
  returning h.seq, h.hash
)
insert into platform.audit (tenant_id, seq, id, at, actor_kind, actor_id, actor_user_id,
  actor_name, action, resource_type, resource_id, request_id, before, after, hash)
select e.tenant_id, h.seq, e.id, e.at, e.actor_kind, e.actor_id, e.actor_user_id, e.actor_name,
  e.action, e.resource_type, e.resource_id, e.request_id, e.before, e.after, h.hash
from entry e, head h`,
    values: [
      record.tenantId,
      record.actor.kind,
      record.actor.id,
      record.actor.userId,
      record.actor.name,
      record.action,
      record.resource.type,
      record.resource.id,
      record.requestId,
      record.before,
      record.after,
    ],
  };
}

const recordColumns = `seq, id, at,
  jsonb_build_object('kind', actor_kind, 'id', actor_id, 'userId', actor_user_id,
    'name', actor_name) as actor,
  action, jsonb_build_object('type', resource_type, 'id', resource_id) as resource,
  request_id as "requestId", before, after, encode(hash, 'hex') as hash`;

function conditions(filter: AuditFilter, values: unknown[]): string[] {
  const found: string[] = [];
  const add = (value: unknown, condition: (parameter: string) => string) => {
    if (value === undefined) return;
    values.push(value);
    found.push(condition(`$${values.length}`));
  };
  add(filter.actor, (p) => `(actor_id = ${p} or actor_user_id = ${p})`);
  if (filter.action?.endsWith(".*")) {
    add(filter.action.slice(0, -1), (p) => `starts_with(action, ${p})`);
  } else {
    add(filter.action, (p) => `action = ${p}`);
  }
  add(filter.resourceType, (p) => `resource_type = ${p}`);
  add(filter.resourceId, (p) => `resource_id = ${p}`);
  add(filter.from, (p) => `at >= ${p}::timestamptz`);
  add(filter.to, (p) => `at < ${p}::timestamptz`);
  return found;
}

interface RecordPage {
  tenantId: string;
  filter: AuditFilter;
  /** Only records before this number, newest first. */
  beforeSeq?: number;
  /** Only records after this number, oldest first. */
  afterSeq?: number;
  limit: number;
}

/** A page of records. The filter's conditions are fixed texts; its values are parameters. */
export function selectRecords({ tenantId, filter, beforeSeq, afterSeq, limit }: RecordPage) {
  const values: unknown[] = [tenantId, limit];
  const where = ["tenant_id = $1", ...conditions(filter, values)];
  if (beforeSeq !== undefined) where.push(`seq < $${values.push(beforeSeq)}`);
  if (afterSeq !== undefined) where.push(`seq > $${values.push(afterSeq)}`);
  return {
    text: `select ${recordColumns} from platform.audit where ${where.join(" and ")}
 order by seq ${afterSeq === undefined ? "desc" : "asc"} limit $2`,
    values,
  };
}

/** The records of a page. */
export async function listRecords(tx: Transaction, page: RecordPage): Promise<AuditRecord[]> {
  const { text, values } = selectRecords(page);
  return (await tx.query<AuditRecord>(text, values)).rows;
}

export interface Head {
  seq: number;
  hash: string;
  baseSeq: number;
  baseHash: string;
  /** The number of the last record that there is, as of the same moment. */
  lastSeq: number;
}

/** The head as it should be where there is none: that of a chain without records. */
export async function readHead(tx: Transaction, tenantId: string): Promise<Head> {
  const { rows } = await tx.query<Head>(
    `select coalesce(h.seq, 0) as seq, coalesce(encode(h.hash, 'hex'), '') as hash,
       coalesce(h.base_seq, 0) as "baseSeq", coalesce(encode(h.base_hash, 'hex'), '') as "baseHash",
       coalesce((select max(seq) from platform.audit where tenant_id = $1), 0) as "lastSeq"
     from (select 1) one left join platform.audit_head h on h.tenant_id = $1`,
    [tenantId],
  );
  return rows[0] as Head;
}

export interface CheckedPage {
  records: number;
  lastSeq: number | null;
  lastHash: string | null;
  badSeq: number | null;
  badId: string | null;
  /** The number that the bad record should have had. */
  expectedSeq: number | null;
}

/**
 * Recomputes one page of the chain where the rows are: only the verdict travels. `previousHash` and
 * `afterSeq` are those of the record before the page.
 */
export async function checkPage(
  tx: Transaction,
  page: { tenantId: string; afterSeq: number; previousHash: string; toSeq: number; limit: number },
): Promise<CheckedPage> {
  const { rows }: QueryResult<CheckedPage> = await tx.query(
    `with page as materialized (
       select a.record, a.seq, a.id, a.hash,
         coalesce(lag(a.hash) over w, decode($3, 'hex')) as previous,
         coalesce(lag(a.seq) over w, $2::bigint) + 1 as expected
       from (select a as record, a.seq, a.id, a.hash from platform.audit a
              where tenant_id = $1 and seq > $2::bigint and seq <= $4::bigint
              order by seq limit $5) a
       window w as (order by a.seq)
     ), bad as (
       select seq, id, expected from page
        where seq <> expected or hash is distinct from platform.audit_digest(previous, record)
        order by seq limit 1
     ), last as (select seq, hash from page order by seq desc limit 1)
     select (select count(*) from page)::int as records,
       (select seq from last) as "lastSeq", (select encode(hash, 'hex') from last) as "lastHash",
       (select seq from bad) as "badSeq", (select id from bad) as "badId",
       (select expected from bad) as "expectedSeq"`,
    [page.tenantId, page.afterSeq, page.previousHash, page.toSeq, page.limit],
  );
  return rows[0] as CheckedPage;
}
