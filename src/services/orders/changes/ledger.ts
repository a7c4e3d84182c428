import { audit } from "#kernel/audit/audit.ts";
import type { Tx } from "#kernel/db/types.ts";
import { emit } from "#kernel/events/emit.ts";
import type { Random } from "#kernel/random.ts";
import { ordersErrors } from "../errors.ts";
import { createdAtOf } from "../rules/ids.ts";
import { bookedVat, knownCurrency } from "../rules/money.ts";
import type { NewTransaction, Transaction } from "../schemas/ledger.ts";
import { currencyOfOrder, insertTransaction, type TransactionValues } from "../store/ledger.ts";

/** Writes an entry of the ledger, with COMMIT: nothing can be wrong with it by then. */
export function bookTransaction(tx: Tx, values: TransactionValues): Transaction {
  const createdAt = createdAtOf(values.id);
  const entry: Transaction = { ...values, version: 1, createdAt, updatedAt: createdAt };
  const resource = { type: "transaction", id: entry.id };
  tx.defer(insertTransaction(tx.tenant.id, values));
  audit(tx, { action: "transaction.create", resource, after: entry });
  emit(tx, { type: "transaction.created", resource, data: entry });
  return entry;
}

/** Throws `unknown_order`, `unknown_currency`, `mixed_currencies` or `vat_not_in_amount`. */
export async function createTransaction(
  tx: Tx,
  { random }: { random: Random },
  { orderId = null, currency, reference, ...amounts }: NewTransaction,
): Promise<Transaction> {
  const taken = orderId === null ? null : await knownOrderCurrency(tx, orderId);
  if (taken !== null && currency !== undefined && currency !== taken) {
    throw ordersErrors.mixed_currencies({
      detail: `The order is in ${taken}, not ${currency}.`,
      errors: [{ path: "/currency", message: `is ${currency}, while the order is in ${taken}` }],
    });
  }
  return bookTransaction(tx, {
    id: random.id(),
    ...amounts,
    vatMinor: bookedVat(amounts),
    currency: taken ?? knownCurrency(currency ?? "GBP"),
    orderId: orderId?.toLowerCase() ?? null,
    reference,
  });
}

async function knownOrderCurrency(tx: Tx, orderId: string): Promise<string> {
  const currency = await currencyOfOrder(tx, orderId);
  if (currency !== null) return currency;
  throw ordersErrors.unknown_order({
    detail: `There is no order ${orderId}.`,
    errors: [{ path: "/orderId", message: "is not known" }],
  });
}
