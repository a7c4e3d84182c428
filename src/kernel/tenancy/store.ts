import type { Db, Transaction } from "../db/types.ts";
import type { Isolation, TenantRef } from "./types.ts";

export interface TenantRow {
  id: string;
  slug: string;
  name: string;
  isolation: Isolation;
  active: boolean;
  version: number;
  createdAt: string;
  updatedAt: string;
}

const columns = `id, slug, name, isolation, active, version, created_at as "createdAt",
  updated_at as "updatedAt"`;

/** Null for a tenant that is not there, is not active, or was deleted. One flight. */
export async function readTenantRef(db: Db, id: string): Promise<TenantRef | null> {
  const known = await readKnownTenant(db, id);
  return known?.active ? known.ref : null;
}

export interface KnownTenant {
  ref: TenantRef;
  active: boolean;
}

/** Null for a tenant that is not there or was deleted. One flight. */
export async function readKnownTenant(db: Db, id: string): Promise<KnownTenant | null> {
  const { rows } = await db.query<{ isolation: Isolation; active: boolean }>(
    { id, isolation: "shared" },
    "select isolation, active from platform.tenant where id = $1 and deleted_at is null",
    [id],
  );
  const [row] = rows;
  return row ? { ref: { id, isolation: row.isolation }, active: row.active } : null;
}

/** Active tenants by id, for work that goes through all of them one by one. */
export async function listTenantRefs(
  tx: Transaction,
  { afterId, limit }: { afterId: string | null; limit: number },
): Promise<TenantRef[]> {
  const { rows } = await tx.query<TenantRef>(
    `select id, isolation from platform.tenant
      where active and deleted_at is null and ($1::uuid is null or id > $1::uuid)
      order by id limit $2`,
    [afterId, limit],
  );
  return rows;
}

/** Null for a deleted one; inactive ones are there. */
export async function findTenant(tx: Transaction, id: string): Promise<TenantRow | null> {
  const { rows } = await tx.query<TenantRow>(
    `select ${columns} from platform.tenant where id = $1 and deleted_at is null`,
    [id],
  );
  return rows[0] ?? null;
}

/** Null for a deleted one; inactive ones are there. */
export async function findTenantBySlug(tx: Transaction, slug: string): Promise<TenantRow | null> {
  const { rows } = await tx.query<TenantRow>(
    `select ${columns} from platform.tenant where slug = $1 and deleted_at is null`,
    [slug],
  );
  return rows[0] ?? null;
}

/** The oldest active tenant, where somebody without a membership starts. */
export async function findFirstTenant(tx: Transaction): Promise<TenantRow | null> {
  const { rows } = await tx.query<TenantRow>(
    `select ${columns} from platform.tenant where active and deleted_at is null
      order by created_at, id limit 1`,
  );
  return rows[0] ?? null;
}

/** Locked: what is decided about the tenant holds until the transaction ends. */
export async function lockTenant(tx: Transaction, id: string): Promise<TenantRow | null> {
  const { rows } = await tx.query<TenantRow>(
    `select ${columns} from platform.tenant where id = $1 and deleted_at is null for update`,
    [id],
  );
  return rows[0] ?? null;
}

/** Oldest first; `after` is the last one of the page before. */
export async function listTenants(
  tx: Transaction,
  { limit, after }: { limit: number; after: [createdAt: string, id: string] | null },
): Promise<TenantRow[]> {
  const { rows } = await tx.query<TenantRow>(
    `select ${columns} from platform.tenant
      where deleted_at is null
        and ($2::timestamptz is null or (created_at, id) > ($2::timestamptz, $3::uuid))
      order by created_at, id limit $1`,
    [limit, after?.[0] ?? null, after?.[1] ?? null],
  );
  return rows;
}

export interface NewTenant {
  id: string;
  slug: string;
  name: string;
  isolation: Isolation;
}

/** Null when the slug is taken, also by a deleted tenant. */
export async function insertTenant(tx: Transaction, row: NewTenant): Promise<TenantRow | null> {
  const { rows } = await tx.query<TenantRow>(
    `insert into platform.tenant (id, slug, name, isolation) values ($1, $2, $3, $4)
     on conflict (slug) do nothing returning ${columns}`,
    [row.id, row.slug, row.name, row.isolation],
  );
  return rows[0] ?? null;
}

export interface TenantChange {
  name?: string | undefined;
  slug?: string | undefined;
  active?: boolean | undefined;
}

/** Null when another tenant has the slug. Lock the row first. */
export async function updateTenant(
  tx: Transaction,
  id: string,
  change: TenantChange,
): Promise<TenantRow | null> {
  const { rows } = await tx.query<TenantRow>(
    `update platform.tenant t
        set name = coalesce($2, name), slug = coalesce($3, slug), active = coalesce($4, active),
            version = version + 1, updated_at = now()
      where id = $1
        and not exists (select from platform.tenant o where o.slug = $3 and o.id <> t.id)
     returning ${columns}`,
    [id, change.name ?? null, change.slug ?? null, change.active ?? null],
  );
  return rows[0] ?? null;
}

/** The row stays, and with it the slug, so that nobody takes over a name that people trust. */
export async function markTenantDeleted(tx: Transaction, id: string): Promise<void> {
  await tx.query(
    `update platform.tenant
        set active = false, deleted_at = now(), version = version + 1, updated_at = now()
      where id = $1`,
    [id],
  );
}

/** Deleted tenants that may have something left, by id. */
export async function listTenantsToErase(
  tx: Transaction,
  { afterId, limit }: { afterId: string | null; limit: number },
): Promise<string[]> {
  const { rows } = await tx.query<{ id: string }>(
    `select id from platform.tenant
      where deleted_at is not null and erased_at is null and ($1::uuid is null or id > $1::uuid)
      order by id limit $2`,
    [afterId, limit],
  );
  return rows.map(({ id }) => id);
}

/** Takes from a deleted tenant's row what is not needed to keep its slug. */
export async function blankTenant(tx: Transaction, id: string): Promise<void> {
  await tx.query(
    `update platform.tenant set name = 'Erased', settings = '{}'
      where id = $1 and deleted_at is not null`,
    [id],
  );
}

/** From now on nobody looks for what it may have left. */
export async function markTenantErased(tx: Transaction, id: string, now: string): Promise<void> {
  await tx.query(
    `update platform.tenant set erased_at = $2::timestamptz
      where id = $1 and deleted_at is not null`,
    [id, now],
  );
}
