import { audit } from "#kernel/audit/audit.ts";
import { onUniqueViolation } from "#kernel/db/pg-errors.ts";
import type { Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import { current, type Expected, firstStamps } from "#kernel/versions.ts";
import { consistencyErrors } from "../errors.ts";
import { assertBounds, newStore, storesMost } from "../rules/stores.ts";
import type { NewStore, Store, StoreChanges } from "../schemas/stores.ts";
import { countStores, deleteStore, insertStore, lockStore, updateStore } from "../store/stores.ts";
import type { ConsistencyDeps } from "../types.ts";

type Makes = Pick<ConsistencyDeps, "random" | "secrets" | "allowedNodes">;

/** For what a store's password is sealed. */
export const passwordContext = (tenantId: string, storeId: string): string =>
  `consistency/password/${tenantId}/${storeId}`;

/** Throws `store_name_taken`, `too_many_stores` and what `newStore` throws. */
export async function createStore(tx: Tx, deps: Makes, wanted: NewStore): Promise<Store> {
  const { random, secrets, allowedNodes } = deps;
  if ((await countStores(tx)) >= storesMost) {
    throw consistencyErrors.too_many_stores({
      detail: `A tenant may have ${storesMost} stores; delete one first.`,
    });
  }
  const seed = random.bytes(4).readUInt32BE();
  const { password, ...values } = newStore(wanted, { seed, allowedNodes });
  const id = random.id();
  const store = { id, ...values, ...firstStamps(id) };
  const sealed =
    password === null
      ? null
      : secrets.seal(Buffer.from(password), passwordContext(tx.tenant.id, id));
  const stored = { ...store, passwordSealed: sealed?.toString("base64url") ?? null };
  tx.write(insertStore(tx.tenant.id, stored), nameTaken(store.name));
  audit(tx, { action: "store.create", resource: storeResource(store), after: store });
  emit(tx, { type: "store.created", resource: storeResource(store), data: store });
  return store;
}

/** `version` is the one that the caller read. Throws `store_name_taken` and `bad_bounds`. */
export async function changeStore(
  tx: Tx,
  id: string,
  version: Expected,
  changes: StoreChanges,
): Promise<Store> {
  const before = current(await lockStore(tx, id), version);
  const wanted = { ...before, ...changes };
  assertBounds(wanted);
  const after = await updateStore(tx, id, wanted).catch(nameTaken(wanted.name));
  audit(tx, { action: "store.update", resource: storeResource(after), before, after });
  emit(tx, { type: "store.updated", resource: storeResource(after), data: after });
  return after;
}

/** `version` null deletes it however it is by now. */
export async function removeStore(
  tx: Tx,
  { engines }: Pick<ConsistencyDeps, "engines">,
  id: string,
  version: Expected,
): Promise<void> {
  const before = current(await lockStore(tx, id), version);
  await deleteStore(tx, id);
  audit(tx, { action: "store.delete", resource: storeResource(before), before });
  emit(tx, { type: "store.deleted", resource: storeResource(before), data: before });
  const { id: tenantId } = tx.tenant;
  tx.afterCommit(() => void engines.close(tenantId, id));
}

/** How audit and events name a store. */
export const storeResource = ({ id }: Pick<Store, "id">) => ({ type: "store", id });

const nameTaken = (name: string) =>
  onUniqueViolation("store_name_taken", () =>
    consistencyErrors.store_name_taken({
      detail: `There is a store "${name}" already.`,
      errors: [{ path: "/name", message: "is taken" }],
    }),
  );
