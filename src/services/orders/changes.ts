import { audit } from "#kernel/audit/audit.ts";
import { isUniqueViolation } from "#kernel/db/pg-errors.ts";
import type { Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import { current } from "#kernel/http/etag.ts";
import { ordersErrors } from "./errors.ts";
import { knownAllergens, knownCurrency, stockFellLow } from "./rules.ts";
import type { NewProduct, NewShop, Product, ProductChanges, Shop, ShopChanges } from "./schemas.ts";
import {
  deleteProduct,
  deleteShop,
  insertProduct,
  insertShop,
  lockProduct,
  lockShop,
  updateProduct,
  updateShop,
} from "./store.ts";

// Every change there is, whoever asks for it: a route, an import, a job, the demo. Each one writes
// its row, its audit record and its event in the transaction that it is given.

/** Throws `shop_name_taken` or `unknown_currency`. */
export async function createShop(tx: Tx, id: string, wanted: NewShop): Promise<Shop> {
  const values = { address: "", currency: "GBP", active: true, ...wanted };
  knownCurrency(values.currency);
  const shop = await insertShop(tx, id, values).catch(nameTaken(values.name));
  audit(tx, { action: "shop.create", resource: shopResource(shop), after: shop });
  emit(tx, { type: "shop.created", resource: shopResource(shop), data: shop });
  return shop;
}

/** `version` is the one that the caller read: the kernel's `version_conflict` if it moved on. */
export async function changeShop(
  tx: Tx,
  id: string,
  version: number,
  changes: ShopChanges,
): Promise<Shop> {
  const before = current(await lockShop(tx, id), version);
  const values = { ...before, ...changes };
  knownCurrency(values.currency);
  const after = await updateShop(tx, id, values).catch(nameTaken(values.name));
  audit(tx, { action: "shop.update", resource: shopResource(after), before, after });
  emit(tx, { type: "shop.updated", resource: shopResource(after), data: after });
  return after;
}

/** `version` null deletes it however it is by now. */
export async function removeShop(tx: Tx, id: string, version: number | null): Promise<void> {
  const before = current(await lockShop(tx, id), version);
  await deleteShop(tx, id);
  audit(tx, { action: "shop.delete", resource: shopResource(before), before });
  emit(tx, { type: "shop.deleted", resource: shopResource(before), data: before });
}

/** Throws `sku_taken` or `unknown_allergen`. */
export async function createProduct(tx: Tx, id: string, wanted: NewProduct): Promise<Product> {
  const product = await insertProduct(tx, id, {
    ingredients: "",
    stock: null,
    active: true,
    ...wanted,
    allergens: knownAllergens(wanted.allergens ?? []),
  }).catch(skuTaken(wanted.sku));
  audit(tx, { action: "product.create", resource: productResource(product), after: product });
  emit(tx, { type: "product.created", resource: productResource(product), data: product });
  return product;
}

/** As `changeShop`; also tells when the stock has fallen low. */
export async function changeProduct(
  tx: Tx,
  id: string,
  version: number,
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
export async function removeProduct(tx: Tx, id: string, version: number | null): Promise<void> {
  const before = current(await lockProduct(tx, id), version);
  await deleteProduct(tx, id);
  audit(tx, { action: "product.delete", resource: productResource(before), before });
  emit(tx, { type: "product.deleted", resource: productResource(before), data: before });
}

const shopResource = ({ id }: Shop) => ({ type: "shop", id });
const productResource = ({ id }: Product) => ({ type: "product", id });

function nameTaken(name: string) {
  return (error: unknown): never => {
    if (!isUniqueViolation(error, "shop_name_taken")) throw error;
    throw ordersErrors.shop_name_taken({
      detail: `There is a shop "${name}" already.`,
      errors: [{ path: "/name", message: "is taken" }],
    });
  };
}

function skuTaken(sku: string) {
  return (error: unknown): never => {
    if (!isUniqueViolation(error, "product_sku_taken")) throw error;
    throw ordersErrors.sku_taken({
      detail: `There is a product with SKU "${sku}" already.`,
      errors: [{ path: "/sku", message: "is taken" }],
    });
  };
}
