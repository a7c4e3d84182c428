import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { ListFilter } from "../schemas/common.ts";
import type { Shop } from "../schemas/shops.ts";
import { catalogueConditions, narrowed } from "./common.ts";

/** What a caller decides about a row; the rest is the database's: version and times. */
export type ShopValues = Pick<Shop, "name" | "address" | "currency" | "active">;

const shopColumns = `id, name, address, currency, active, version,
  created_at as "createdAt", updated_at as "updatedAt"`;

// No `where` below names the tenant: the row-level policy does, and PostgreSQL uses its equality
// on tenant_id together with the id's to enter the primary key.

/** Newest first, one more than asked for, so that the page knows whether there is another. */
export async function listShops(
  db: Db,
  tenant: TenantRef,
  filter: ListFilter,
): Promise<Page<Shop>> {
  const slice = narrowed(filter, catalogueConditions(filter, ["name"]));
  const { rows } = await db.query<Shop>(
    tenant,
    `select ${shopColumns} from shop ${slice.page}`,
    slice.values,
  );
  return page(rows, filter.limit, ({ id }) => [id]);
}

/** Null when the tenant has no such shop. */
export async function getShop(db: Db, tenant: TenantRef, id: string): Promise<Shop | null> {
  const { rows } = await db.query<Shop>(
    tenant,
    `select ${shopColumns}
       from shop where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** The shop as it is, and as it stays until the transaction ends. */
export async function lockShop(tx: Tx, id: string): Promise<Shop | null> {
  const { rows } = await tx.query<Shop>(
    `select ${shopColumns}
       from shop where id = $1 for no key update`,
    [id],
  );
  return rows[0] ?? null;
}

/** Violates `shop_name_taken` when another shop has the name; so does `updateShop`. */
export function insertShop(tenantId: string, shop: Shop): Statement {
  const { id, name, address, currency, active, version, createdAt, updatedAt } = shop;
  return {
    text: `insert into shop
             (tenant_id, id, name, address, currency, active, version, created_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    values: [tenantId, id, name, address, currency, active, version, createdAt, updatedAt],
  };
}

/** Overwrites what a caller decides about and raises the version; the row is locked by then. */
export async function updateShop(tx: Tx, id: string, shop: ShopValues): Promise<Shop> {
  const { rows } = await tx.query<Shop>(
    `update shop
        set name = $2, address = $3, currency = $4, active = $5,
            version = version + 1, updated_at = now()
      where id = $1
  returning ${shopColumns}`,
    [id, shop.name, shop.address, shop.currency, shop.active],
  );
  return rows[0] as Shop;
}

/** Forgets the shop; its history stays in the audit. */
export async function deleteShop(tx: Tx, id: string): Promise<void> {
  await tx.query("delete from shop where id = $1", [id]);
}
