import { type Clock, isoOf } from "#kernel/clock.ts";
import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { epochMs, momentOf, nowAt } from "./moment.ts";

/** What is looked at when its time has come. */
export type DueKind = "lease" | "snapshot" | "budget" | "warm" | "pools";

/** A pointer to something that is due, and nothing of what it is. */
export interface Due {
  readonly tenantId: string;
  readonly kind: DueKind;
  readonly subjectId: string;
  readonly dueAtMs: number;
}

// Pointers are looked at before there is a tenant, and from dedicated tenants' transactions, so
// these statements name the schema.

/**
 * When something is due again; null: never. Whoever says so has the subject's row locked, so that
 * pointers never fall behind what they point to.
 */
export function setDue(
  tx: Tx,
  kind: DueKind,
  subjectId: string,
  dueAtMs: number | null,
): Statement {
  if (dueAtMs === null) {
    return {
      text: `delete from leases.lease_due
              where of_tenant = $1 and kind = $2 and subject_id = $3`,
      values: [tx.tenant.id, kind, subjectId],
    };
  }
  return {
    text: `insert into leases.lease_due (of_tenant, kind, subject_id, due_at)
           values ($1, $2, $3, $4::timestamptz)
           on conflict (of_tenant, kind, subject_id) do update
              set due_at = excluded.due_at, claimed_until = '-infinity', claim_id = null`,
    values: [tx.tenant.id, kind, subjectId, isoOf(dueAtMs)],
  };
}

/** The same where it is due at that moment or sooner already. */
export function setDueBy(tx: Tx, kind: DueKind, subjectId: string, dueAtMs: number): Statement {
  return {
    text: `insert into leases.lease_due as d (of_tenant, kind, subject_id, due_at)
           values ($1, $2, $3, $4::timestamptz)
           on conflict (of_tenant, kind, subject_id) do update
              set due_at = least(d.due_at, excluded.due_at)`,
    values: [tx.tenant.id, kind, subjectId, isoOf(dueAtMs)],
  };
}

export interface ClaimOptions {
  readonly id: string;
  readonly limit: number;
  /** No more of one tenant at a time, so that none keeps the others waiting. */
  readonly perTenant: number;
  readonly holdMs: number;
  readonly clock: Clock;
}

/**
 * Takes what is due, the longest waiting first; nobody else takes it for `holdMs`. The moment is a
 * subselect where the index is to end there: joined, it would be compared with all that is to come.
 */
export async function claimDue(db: Db, options: ClaimOptions): Promise<Due[]> {
  const { id, limit, perTenant, holdMs, clock } = options;
  return db.inPlatform(async (tx) => {
    const { rows } = await tx.query<Due>(
      `with moment as materialized (select ${nowAt("$1")} as now),
       waiting as (
         select of_tenant, kind, subject_id, due_at,
           row_number() over (partition by of_tenant order by due_at, subject_id) as turn
         from (select d.* from leases.lease_due d
                where d.due_at <= (select now from moment)
                  and d.claimed_until <= (select now from moment)
                order by d.due_at limit 1000) w
       ), chosen as (
         select of_tenant, kind, subject_id from waiting where turn <= $3
          order by due_at limit $2
       ), free as (
         select d.of_tenant, d.kind, d.subject_id
           from leases.lease_due d join chosen using (of_tenant, kind, subject_id), moment m
          where d.claimed_until <= m.now and d.due_at <= m.now
            for update of d skip locked
       )
       update leases.lease_due d
          set claimed_until = m.now + $4 * interval '1 millisecond', claim_id = $5
         from free f, moment m
        where d.of_tenant = f.of_tenant and d.kind = f.kind and d.subject_id = f.subject_id
       returning d.of_tenant as "tenantId", d.kind, d.subject_id as "subjectId",
         ${epochMs("d.due_at")} as "dueAtMs"`,
      [momentOf(clock), limit, perTenant, holdMs, id],
    );
    return rows;
  });
}

/** Forgets a pointer whose subject is gone. */
export async function dropDue(
  db: Db,
  { tenantId, kind, subjectId }: Omit<Due, "dueAtMs">,
): Promise<void> {
  await db.inPlatform((tx) =>
    tx.query(
      "delete from leases.lease_due where of_tenant = $1 and kind = $2 and subject_id = $3",
      [tenantId, kind, subjectId],
    ),
  );
}

/** Ids of this installation; made at its first start with what `candidate` offers. */
export async function installationId(db: Db, candidate: string): Promise<string> {
  return db.inPlatform(async (tx) => {
    const [, answer] = await tx.batch([
      {
        text: "insert into leases.lease_installation (id) values ($1) on conflict do nothing",
        values: [candidate],
      },
      { text: "select id from leases.lease_installation" },
    ]);
    return answer?.rows[0]?.id as string;
  });
}

/** How many leases live, of all tenants, and how many pointers are 5 s late. */
export async function countDue(db: Db, clock: Clock): Promise<{ leases: number; overdue: number }> {
  return db.inPlatform(async (tx) => {
    const { rows } = await tx.query<{ leases: number; overdue: number }>(
      `select (count(*) filter (where kind = 'lease'))::int as leases,
              (count(*) filter (where due_at < ${nowAt("$1")} - interval '5 seconds'))::int
                as overdue
         from leases.lease_due`,
      [momentOf(clock)],
    );
    return rows[0] ?? { leases: 0, overdue: 0 };
  });
}

/** Makes pointers for those that have none, so that nothing is forgotten. */
export function ensureDue(tx: Tx, kind: DueKind, ids: readonly string[], clock: Clock): Statement {
  return {
    text: `insert into leases.lease_due (of_tenant, kind, subject_id, due_at)
           select $2, $3, id, ${nowAt("$1")} from unnest($4::uuid[]) as id
           on conflict (of_tenant, kind, subject_id) do nothing`,
    values: [momentOf(clock), tx.tenant.id, kind, ids],
  };
}
