import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { ListFilter } from "../schemas/common.ts";
import type { Customer } from "../schemas/customers.ts";
import { catalogueConditions, narrowed } from "./common.ts";

/** What a caller decides about a row; the rest is the database's: version and times. */
export type CustomerValues = Omit<Customer, "id" | "version" | "createdAt" | "updatedAt">;

const customerColumns = `id, name, email, phone, allergen_restrictions as "allergenRestrictions",
  notes, active, version, created_at as "createdAt", updated_at as "updatedAt"`;

/** Newest first, one more than asked for, so that the page knows whether there is another. */
export async function listCustomers(
  db: Db,
  tenant: TenantRef,
  filter: ListFilter,
): Promise<Page<Customer>> {
  const slice = narrowed(filter, catalogueConditions(filter, ["name", "email", "phone"]));
  const { rows } = await db.query<Customer>(
    tenant,
    `select ${customerColumns} from customer ${slice.page}`,
    slice.values,
  );
  return page(rows, filter.limit, ({ id }) => [id]);
}

/** Null when the tenant has no such customer. */
export async function getCustomer(db: Db, tenant: TenantRef, id: string): Promise<Customer | null> {
  const { rows } = await db.query<Customer>(
    tenant,
    `select ${customerColumns}
       from customer where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** The customer as it is, and as it stays until the transaction ends. */
export async function lockCustomer(tx: Tx, id: string): Promise<Customer | null> {
  const { rows } = await tx.query<Customer>(
    `select ${customerColumns}
       from customer where id = $1 for no key update`,
    [id],
  );
  return rows[0] ?? null;
}

/** Violates `customer_email_taken` when another has the address; so does `updateCustomer`. */
export function insertCustomer(tenantId: string, customer: Customer): Statement {
  const { id, version, createdAt, updatedAt } = customer;
  return {
    text: `insert into customer
             (tenant_id, id, version, created_at, updated_at,
              name, email, phone, allergen_restrictions, notes, active)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    values: [tenantId, id, version, createdAt, updatedAt, ...customerValues(customer)],
  };
}

/** Overwrites what a caller decides about and raises the version; the row is locked by then. */
export async function updateCustomer(
  tx: Tx,
  id: string,
  values: CustomerValues,
): Promise<Customer> {
  const { rows } = await tx.query<Customer>(
    `update customer
        set name = $2, email = $3, phone = $4, allergen_restrictions = $5, notes = $6, active = $7,
            version = version + 1, updated_at = now()
      where id = $1
  returning ${customerColumns}`,
    [id, ...customerValues(values)],
  );
  return rows[0] as Customer;
}

/** Forgets the customer; its history stays in the audit. Violates a key where orders name it. */
export async function deleteCustomer(tx: Tx, id: string): Promise<void> {
  await tx.query("delete from customer where id = $1", [id]);
}

function customerValues(customer: CustomerValues): unknown[] {
  const { name, email, phone, allergenRestrictions, notes, active } = customer;
  return [name, email, phone, allergenRestrictions, notes, active];
}
