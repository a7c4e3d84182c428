import { audit } from "#kernel/audit/audit.ts";
import { onUniqueViolation } from "#kernel/db/pg-errors.ts";
import type { Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import { current, type Expected, firstStamps } from "#kernel/versions.ts";
import { ordersErrors } from "../errors.ts";
import { knownAllergens } from "../rules/allergens.ts";
import type { Customer, CustomerChanges, NewCustomer } from "../schemas/customers.ts";
import {
  deleteCustomer,
  insertCustomer,
  lockCustomer,
  updateCustomer,
} from "../store/customers.ts";
import { inUse } from "./in-use.ts";

/** Throws `customer_email_taken` or `unknown_allergen`. */
export async function createCustomer(tx: Tx, id: string, wanted: NewCustomer): Promise<Customer> {
  const values = { email: null, phone: null, notes: "", active: true, ...wanted };
  const allergenRestrictions = restrictionsOf(wanted.allergenRestrictions ?? []);
  const customer = { id, ...values, allergenRestrictions, ...firstStamps(id) };
  tx.write(insertCustomer(tx.tenant.id, customer), emailTaken(values.email));
  audit(tx, { action: "customer.create", resource: resourceOf(customer), after: customer });
  emit(tx, { type: "customer.created", resource: resourceOf(customer), data: customer });
  return customer;
}

/** `version` is the one that the caller read: the kernel's `version_conflict` if it moved on. */
export async function changeCustomer(
  tx: Tx,
  id: string,
  version: Expected,
  changes: CustomerChanges,
): Promise<Customer> {
  const before = current(await lockCustomer(tx, id), version);
  const values = { ...before, ...changes };
  const allergenRestrictions = restrictionsOf(values.allergenRestrictions);
  const after = await updateCustomer(tx, id, { ...values, allergenRestrictions }).catch(
    emailTaken(values.email),
  );
  audit(tx, { action: "customer.update", resource: resourceOf(after), before, after });
  emit(tx, { type: "customer.updated", resource: resourceOf(after), data: after });
  return after;
}

/** `version` null deletes it however it is by now. Throws `in_use`. */
export async function removeCustomer(tx: Tx, id: string, version: Expected): Promise<void> {
  const before = current(await lockCustomer(tx, id), version);
  await deleteCustomer(tx, id).catch(inUse("customer"));
  audit(tx, { action: "customer.delete", resource: resourceOf(before), before });
  emit(tx, { type: "customer.deleted", resource: resourceOf(before), data: before });
}

const resourceOf = ({ id }: Customer) => ({ type: "customer", id });

const restrictionsOf = (names: readonly string[]) => knownAllergens(names, "/allergenRestrictions");

const emailTaken = (email: string | null) =>
  onUniqueViolation("customer_email_taken", () =>
    ordersErrors.customer_email_taken({
      detail: `There is a customer with the address "${email}" already.`,
      errors: [{ path: "/email", message: "is taken" }],
    }),
  );
