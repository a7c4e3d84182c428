import { sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { createTransaction } from "../changes/ledger.ts";
import { ordersErrors } from "../errors.ts";
import {
  NewTransaction,
  Transaction,
  TransactionFilter,
  TransactionPage,
} from "../schemas/ledger.ts";
import { getTransaction, listTransactions } from "../store/ledger.ts";

/** What money came in and went out: added to, never changed. */
export const ledgerRoutes: Routes = (app, { db, mutate, random }) => {
  app.get(
    "/transactions",
    {
      schema: {
        summary: "List the ledger",
        querystring: TransactionFilter,
        response: { 200: TransactionPage },
      },
      config: { permission: "transaction:read" },
    },
    async ({ tenant, query }) => listTransactions(db, tenant, query),
  );

  app.post(
    "/transactions",
    {
      schema: {
        summary: "Book money that came in or went out",
        description: "Entries are never changed: what was wrong is put right by a second one.",
        body: NewTransaction,
        response: { 201: Transaction },
      },
      config: {
        permission: "transaction:create",
        idempotent: true,
        errors: [
          ordersErrors.unknown_order,
          ordersErrors.unknown_currency,
          ordersErrors.mixed_currencies,
          ordersErrors.vat_not_in_amount,
        ],
      },
    },
    (request, reply) =>
      mutate(request, reply, 201, (tx) => createTransaction(tx, { random }, request.body)),
  );

  app.get(
    "/transactions/:id",
    {
      schema: {
        summary: "Get an entry of the ledger",
        params: ById,
        response: { 200: Transaction },
      },
      config: { permission: "transaction:read" },
    },
    async (request, reply) =>
      sendFound(request, reply, await getTransaction(db, request.tenant, request.params.id)),
  );

  app.get(
    "/transactions/:id/history",
    { schema: historySchema("transaction"), config: { permission: "transaction:read" } },
    async ({ tenant, params, query }) => history(db, tenant, "transaction", params.id, query),
  );
};
