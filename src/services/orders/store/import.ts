import type { Tx } from "#kernel/db/types.ts";
import type { Product } from "../schemas/products.ts";
import { productColumns, type ProductValues } from "./products.ts";

/** A product as it is to be; its id is the database's or, of a new one, the caller's. */
export interface ProductRow extends ProductValues {
  id: string;
}

/** Whether the transaction got the tenant's turn to import; it has it until it ends. */
export async function takeImportTurn(tx: Tx): Promise<boolean> {
  const { rows } = await tx.query<{ taken: boolean }>(
    `select pg_try_advisory_xact_lock(
       hashtextextended('orders.product_import ' || $1, 0)) as taken`,
    [tx.tenant.id],
  );
  return rows[0]?.taken === true;
}

/**
 * Locks all of these that are there, in the order in which everybody locks products, so that
 * whoever changes several at once waits for the import instead of deadlocking with it.
 */
export async function lockSkus(tx: Tx, skus: readonly string[]): Promise<void> {
  await tx.query(
    `select count(*) from
       (select id from product where sku = any($1::text[]) order by id for no key update) locked`,
    [skus],
  );
}

/** The products with these SKUs, as they stay until the transaction ends. */
export async function lockProductsBySku(tx: Tx, skus: readonly string[]): Promise<Product[]> {
  const { rows } = await tx.query<Product>(
    `select ${productColumns}
       from product where sku = any($1::text[]) order by id for no key update`,
    [skus],
  );
  return rows;
}

/** The same without holding anybody up, for a look at what an import would do. */
export async function getProductsBySku(tx: Tx, skus: readonly string[]): Promise<Product[]> {
  const { rows } = await tx.query<Product>(
    `select ${productColumns}
       from product where sku = any($1::text[])`,
    [skus],
  );
  return rows;
}

/** Those that could be made; one whose SKU somebody else has taken by now is left out. */
export async function insertProducts(tx: Tx, products: readonly ProductRow[]): Promise<Product[]> {
  const { rows } = await tx.query<Product>(
    `insert into product (tenant_id, id, sku, title, ingredients, allergens, price_minor,
                          vat_rate, stock, active)
     select $1::uuid, new_id, new_sku, new_title, new_ingredients, string_to_array(new_allergens, ';'),
            new_price_minor, new_vat_rate, new_stock, new_active
       from ${given}
         on conflict on constraint product_sku_taken do nothing
  returning ${productColumns}`,
    [tx.tenant.id, ...columnsOf(products)],
  );
  return rows;
}

/** Overwrites what a caller decides about and raises the versions; the rows are locked by then. */
export async function updateProducts(tx: Tx, products: readonly ProductRow[]): Promise<Product[]> {
  const { rows } = await tx.query<Product>(
    `update product
        set title = new_title, ingredients = new_ingredients,
            allergens = string_to_array(new_allergens, ';'), price_minor = new_price_minor,
            vat_rate = new_vat_rate, stock = new_stock, active = new_active,
            version = version + 1, updated_at = now()
       from ${given}
      where tenant_id = $1 and id = new_id
  returning ${productColumns}`,
    [tx.tenant.id, ...columnsOf(products)],
  );
  return rows;
}

/** $2 to $10: one array a column. The allergens of a product are one text: unnest takes no more. */
const given = `unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
              $8::text[], $9::integer[], $10::boolean[])
         as given (new_id, new_sku, new_title, new_ingredients, new_allergens, new_price_minor,
                   new_vat_rate, new_stock, new_active)`;

function columnsOf(products: readonly ProductRow[]): unknown[] {
  return [
    products.map(({ id }) => id),
    products.map(({ sku }) => sku),
    products.map(({ title }) => title),
    products.map(({ ingredients }) => ingredients),
    products.map(({ allergens }) => allergens.join(";")),
    products.map(({ priceMinor }) => priceMinor),
    products.map(({ vatRate }) => vatRate),
    products.map(({ stock }) => stock),
    products.map(({ active }) => active),
  ];
}
