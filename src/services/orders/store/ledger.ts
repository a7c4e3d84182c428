import type { Db, Statement, Tx } from "#kernel/db/types.ts";
import { type Page, page } from "#kernel/http/cursor.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { createdAtOf, firstIdOf } from "../rules/ids.ts";
import type { Transaction, TransactionFilter } from "../schemas/ledger.ts";
import { narrowed } from "./common.ts";

export type TransactionValues = Omit<Transaction, "version" | "createdAt" | "updatedAt">;

const transactionColumns = `id, amount_minor as "amountMinor", vat_rate as "vatRate",
  vat_minor as "vatMinor", currency, order_id as "orderId", reference,
  1 as version, created_at as "createdAt", created_at as "updatedAt"`;

/** Newest first, one more than asked for, so that the page knows whether there is another. */
export async function listTransactions(
  db: Db,
  tenant: TenantRef,
  filter: TransactionFilter,
): Promise<Page<Transaction>> {
  const { orderId, from, to, limit } = filter;
  const slice = narrowed(filter, [
    [orderId, (place) => `order_id = ${place}`],
    [from && firstIdOf(from, "query/from"), (place) => `id >= ${place}`],
    [to && firstIdOf(to, "query/to"), (place) => `id < ${place}`],
  ]);
  const { rows } = await db.query<Transaction>(
    tenant,
    `select ${transactionColumns} from ledger_entry ${slice.page}`,
    slice.values,
  );
  return page(rows, limit, ({ id }) => [id]);
}

/** Null when the tenant has no such entry. */
export async function getTransaction(
  db: Db,
  tenant: TenantRef,
  id: string,
): Promise<Transaction | null> {
  const { rows } = await db.query<Transaction>(
    tenant,
    `select ${transactionColumns} from ledger_entry where id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** The currency of an order; null when the tenant has no such order. */
export async function currencyOfOrder(tx: Tx, orderId: string): Promise<string | null> {
  const { rows } = await tx.query<{ currency: string }>(
    "select currency from sales_order where id = $1",
    [orderId],
  );
  return rows[0]?.currency ?? null;
}

/** Its createdAt is the moment of its id. */
export function insertTransaction(tenantId: string, values: TransactionValues): Statement {
  const { id, amountMinor, vatRate, vatMinor, currency, orderId, reference } = values;
  return {
    text: `insert into ledger_entry (tenant_id, id, created_at, amount_minor, vat_rate, vat_minor,
                                     currency, order_id, reference)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    values: [
      tenantId,
      id,
      createdAtOf(id),
      amountMinor,
      vatRate,
      vatMinor,
      currency,
      orderId,
      reference,
    ],
  };
}
