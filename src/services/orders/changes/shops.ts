import { audit } from "#kernel/audit/audit.ts";
import { onUniqueViolation } from "#kernel/db/pg-errors.ts";
import type { Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import { current, type Expected, firstStamps } from "#kernel/versions.ts";
import { ordersErrors } from "../errors.ts";
import { knownCurrency } from "../rules/money.ts";
import type { NewShop, Shop, ShopChanges } from "../schemas/shops.ts";
import { deleteShop, insertShop, lockShop, updateShop } from "../store/shops.ts";
import { inUse } from "./in-use.ts";

/** Throws `shop_name_taken` or `unknown_currency`. */
export async function createShop(tx: Tx, id: string, wanted: NewShop): Promise<Shop> {
  const values = { address: "", currency: "GBP", active: true, ...wanted };
  knownCurrency(values.currency);
  const shop = { id, ...values, ...firstStamps(id) };
  tx.write(insertShop(tx.tenant.id, shop), nameTaken(values.name));
  audit(tx, { action: "shop.create", resource: shopResource(shop), after: shop });
  emit(tx, { type: "shop.created", resource: shopResource(shop), data: shop });
  return shop;
}

/** `version` is the one that the caller read: the kernel's `version_conflict` if it moved on. */
export async function changeShop(
  tx: Tx,
  id: string,
  version: Expected,
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

/** `version` null deletes it however it is by now. Throws `in_use`. */
export async function removeShop(tx: Tx, id: string, version: Expected): Promise<void> {
  const before = current(await lockShop(tx, id), version);
  await deleteShop(tx, id).catch(inUse("shop"));
  audit(tx, { action: "shop.delete", resource: shopResource(before), before });
  emit(tx, { type: "shop.deleted", resource: shopResource(before), data: before });
}

const shopResource = ({ id }: Shop) => ({ type: "shop", id });

const nameTaken = (name: string) =>
  onUniqueViolation("shop_name_taken", () =>
    ordersErrors.shop_name_taken({
      detail: `There is a shop "${name}" already.`,
      errors: [{ path: "/name", message: "is taken" }],
    }),
  );
