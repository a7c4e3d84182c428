import { audit } from "#kernel/audit/audit.ts";
import { onUniqueViolation } from "#kernel/db/pg-errors.ts";
import type { Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import { current, type Expected, firstStamps } from "#kernel/versions.ts";
import { ordersErrors } from "../errors.ts";
import { knownAllergens } from "../rules/allergens.ts";
import { completeProduct } from "../rules/products.ts";
import { stockFellLow } from "../rules/stock.ts";
import type { NewProduct, Product, ProductChanges } from "../schemas/products.ts";
import { deleteProduct, insertProduct, lockProduct, updateProduct } from "../store/products.ts";
import { inUse } from "./in-use.ts";

/** Throws `sku_taken` or `unknown_allergen`. */
export async function createProduct(tx: Tx, id: string, wanted: NewProduct): Promise<Product> {
  const product = { id, ...completeProduct(wanted), ...firstStamps(id) };
  tx.write(insertProduct(tx.tenant.id, product), skuTaken(wanted.sku));
  audit(tx, { action: "product.create", resource: productResource(product), after: product });
  emit(tx, { type: "product.created", resource: productResource(product), data: product });
  return product;
}

/** As `changeShop`; also tells when the stock has fallen low. */
export async function changeProduct(
  tx: Tx,
  id: string,
  version: Expected,
  changes: ProductChanges,
): Promise<Product> {
  const before = current(await lockProduct(tx, id), version);
  const values = { ...before, ...changes };
  const allergens = knownAllergens(values.allergens);
  const after = await updateProduct(tx, id, { ...values, allergens }).catch(skuTaken(values.sku));
  audit(tx, { action: "product.update", resource: productResource(after), before, after });
  emit(tx, { type: "product.updated", resource: productResource(after), data: after });
  if (stockFellLow(before.stock, after.stock)) {
    emit(tx, { type: "product.stock_low", resource: productResource(after), data: after });
  }
  return after;
}

/** As `removeShop`. */
export async function removeProduct(tx: Tx, id: string, version: Expected): Promise<void> {
  const before = current(await lockProduct(tx, id), version);
  await deleteProduct(tx, id).catch(inUse("product"));
  audit(tx, { action: "product.delete", resource: productResource(before), before });
  emit(tx, { type: "product.deleted", resource: productResource(before), data: before });
}

/** A product as audit records and events name it. */
export const productResource = ({ id }: Product) => ({ type: "product", id });

const skuTaken = (sku: string) =>
  onUniqueViolation("product_sku_taken", () =>
    ordersErrors.sku_taken({
      detail: `There is a product with SKU "${sku}" already.`,
      errors: [{ path: "/sku", message: "is taken" }],
    }),
  );
