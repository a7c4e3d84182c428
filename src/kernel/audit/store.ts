import type { Gathering, QueryResult, Transaction } from "../db/types.ts";
import type { Actor } from "../tenancy/types.ts";
import type { AuditFilter, AuditRecord } from "./types.ts";

/** A record on its way; `before` and `after` are JSON texts. */
export interface NewRecord {
  tenantId: string;
  actor: Actor;
  action: string;
  resource: { type: string; id: string };
  requestId: string;
  before: string | null;
  after: string | null;
}

/** All that one transaction records for one tenant, appended to one of its chains. */
export const newRecords: Gathering<NewRecord> = {
  make: (records) => ({
    text: "select platform.append_audit($1, $2)",
    values: [records[0]?.tenantId, `[${records.map(jsonOf).join()}]`],
  }),
};

function jsonOf({ tenantId: _, before, after, ...record }: NewRecord): string {
  const text = JSON.stringify(record);
  return `${text.slice(0, -1)},"before":${before},"after":${after}}`;
}

const recordColumns = `chain, seq, id, at,
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
  if (filter.actorName === undefined) {
    add(filter.actor, (p) => `(actor_id = ${p} or actor_user_id = ${p})`);
  } else {
    const id = `$${values.push(filter.actor ?? null)}::text`;
    const isActor = `actor_id = ${id} or actor_user_id = ${id}`;
    add(filter.actorName, (p) => `(${isActor} or actor_name = ${p})`);
  }
  if (filter.action?.endsWith(".*")) {
    add(filter.action.slice(0, -1), (p) => `starts_with(action, ${p})`);
  } else {
    add(filter.action, (p) => `action = ${p}`);
  }
  add(filter.resourceType, (p) => `resource_type = ${p}`);
  add(filter.resourceId, (p) => `resource_id = ${p}`);
  // By the id, which is made of the time, because it leads an index.
  add(filter.from, (p) => `id >= platform.uuid_v7_at(${p}::timestamptz)`);
  add(filter.to, (p) => `id < platform.uuid_v7_at(${p}::timestamptz)`);
  return found;
}

interface RecordPage {
  tenantId: string;
  filter: AuditFilter;
  /** Only records before this one's id, newest first. */
  beforeId?: string;
  /** Only records after this one's id, oldest first. */
  afterId?: string;
  /** Null for all. */
  limit: number | null;
}

/** A page of records. The filter's conditions are fixed texts; its values are parameters. */
export function selectRecords({ tenantId, filter, beforeId, afterId, limit }: RecordPage) {
  const values: unknown[] = [tenantId, limit];
  const where = ["tenant_id = $1", ...conditions(filter, values)];
  if (beforeId !== undefined) where.push(`id < $${values.push(beforeId)}`);
  if (afterId !== undefined) where.push(`id > $${values.push(afterId)}`);
  return {
    text: `select ${recordColumns} from platform.audit where ${where.join(" and ")}
 order by id ${afterId === undefined ? "desc" : "asc"} limit $2`,
    values,
  };
}

/** The records of a page. */
export async function listRecords(tx: Transaction, page: RecordPage): Promise<AuditRecord[]> {
  const { text, values } = selectRecords(page);
  return (await tx.query<AuditRecord>(text, values)).rows;
}

/** One of a tenant's chains. */
export interface Head {
  chain: number;
  seq: number;
  hash: string;
  baseSeq: number;
  baseHash: string;
  /** The number of the last record that there is, as of the same moment. */
  lastSeq: number;
}

/** Every chain that has a head or records, at one moment; one without a head as if empty. */
export async function readHeads(tx: Transaction, tenantId: string): Promise<Head[]> {
  const { rows } = await tx.query<Head>(
    `select chain, coalesce(h.seq, 0) as seq, coalesce(encode(h.hash, 'hex'), '') as hash,
       coalesce(h.base_seq, 0) as "baseSeq", coalesce(encode(h.base_hash, 'hex'), '') as "baseHash",
       coalesce(r.last_seq, coalesce(h.base_seq, 0)) as "lastSeq"
     from (select * from platform.audit_head where tenant_id = $1) h
     full join (select chain, max(seq) as last_seq from platform.audit
                 where tenant_id = $1 group by chain) r using (chain)
     order by chain`,
    [tenantId],
  );
  return rows;
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
  page: {
    tenantId: string;
    chain: number;
    afterSeq: number;
    previousHash: string;
    toSeq: number;
    limit: number;
  },
): Promise<CheckedPage> {
  const { rows }: QueryResult<CheckedPage> = await tx.query(
    `with page as materialized (
       select a.record, a.seq, a.id, a.hash,
         coalesce(lag(a.hash) over w, decode($3, 'hex')) as previous,
         coalesce(lag(a.seq) over w, $2::bigint) + 1 as expected
       from (select a as record, a.seq, a.id, a.hash from platform.audit a
              where tenant_id = $1 and chain = $6 and seq > $2::bigint
                and seq <= $4::bigint
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
    [page.tenantId, page.afterSeq, page.previousHash, page.toSeq, page.limit, page.chain],
  );
  return rows[0] as CheckedPage;
}
