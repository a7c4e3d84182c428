import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { ListFilter } from "../schemas/common.ts";
import type { Product } from "../schemas/products.ts";
import { catalogueConditions, narrowed } from "./common.ts";

/** What a caller decides about a row; the rest is the database's: version and times. */
export type ProductValues = Omit<Product, "id" | "version" | "createdAt" | "updatedAt">;

export const productColumns = `id, sku, title, ingredients, allergens, price_minor as "priceMinor",
  vat_rate as "vatRate", stock, active, version,
  created_at as "createdAt", updated_at as "updatedAt"`;

// No `where` below names the tenant: the row-level policy does, and PostgreSQL uses its equality
// on tenant_id together with the id's to enter the primary key.

/** Newest first, one more than asked for, so that the page knows whether there is another. */
export async function listProducts(
  db: Db,
  tenant: TenantRef,
  filter: ListFilter,
): Promise<Page<Product>> {
  const slice = narrowed(filter, catalogueConditions(filter, ["title", "sku"]));
  const { rows } = await db.query<Product>(
    tenant,
    `select ${productColumns} from product ${slice.page}`,
    slice.values,
  );
  return page(rows, filter.limit, ({ id }) => [id]);
}

/** Null when the tenant has no such product. */
export async function getProduct(db: Db, tenant: TenantRef, id: string): Promise<Product | null> {
  const { rows } = await db.query<Product>(
    tenant,
    `select ${productColumns}
       from product where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** Those of the products that there are, as the transaction sees them. */
export async function getProducts(tx: Tx, ids: readonly string[]): Promise<Product[]> {
  const { rows } = await tx.query<Product>(
    `select ${productColumns} from product where id = any($1::uuid[]) order by id`,
    [ids],
  );
  return rows;
}

/** The product as it is, and as it stays until the transaction ends. */
export async function lockProduct(tx: Tx, id: string): Promise<Product | null> {
  const { rows } = await tx.query<Product>(
    `select ${productColumns}
       from product where id = $1 for no key update`,
    [id],
  );
  return rows[0] ?? null;
}

/** Violates `product_sku_taken` when another product has the SKU; so does `updateProduct`. */
export function insertProduct(tenantId: string, product: Product): Statement {
  const { id, version, createdAt, updatedAt } = product;
  return {
    text: `insert into product
             (tenant_id, id, version, created_at, updated_at,
              sku, title, ingredients, allergens, price_minor, vat_rate, stock, active)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    values: [tenantId, id, version, createdAt, updatedAt, ...productValues(product)],
  };
}

/** Overwrites what a caller decides about and raises the version; the row is locked by then. */
export async function updateProduct(tx: Tx, id: string, product: ProductValues): Promise<Product> {
  const { rows } = await tx.query<Product>(
    `update product
        set sku = $2, title = $3, ingredients = $4, allergens = $5, price_minor = $6,
            vat_rate = $7, stock = $8, active = $9,
            version = version + 1, updated_at = now()
      where id = $1
  returning ${productColumns}`,
    [id, ...productValues(product)],
  );
  return rows[0] as Product;
}

/** Forgets the product; its history stays in the audit. */
export async function deleteProduct(tx: Tx, id: string): Promise<void> {
  await tx.query("delete from product where id = $1", [id]);
}

function productValues(product: ProductValues): unknown[] {
  const { sku, title, ingredients, allergens, priceMinor, vatRate, stock, active } = product;
  return [sku, title, ingredients, allergens, priceMinor, vatRate, stock, active];
}
