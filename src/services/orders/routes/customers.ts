import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, NoContent } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { changeCustomer, createCustomer, removeCustomer } from "../changes/customers.ts";
import { ordersErrors } from "../errors.ts";
import {
  Customer,
  CustomerChanges,
  CustomerFilter,
  CustomerPage,
  NewCustomer,
} from "../schemas/customers.ts";
import { getCustomer, listCustomers } from "../store/customers.ts";

const customerErrors = [ordersErrors.customer_email_taken, ordersErrors.unknown_allergen];

/** Who buys. */
export const customerRoutes: Routes = (app, { db, mutate, random }) => {
  app.get(
    "/customers",
    {
      schema: {
        summary: "List customers",
        querystring: CustomerFilter,
        response: { 200: CustomerPage },
      },
      config: { permission: "customer:read" },
    },
    async ({ tenant, query }) => listCustomers(db, tenant, query),
  );

  app.post(
    "/customers",
    {
      schema: { summary: "Write a customer down", body: NewCustomer, response: { 201: Customer } },
      config: { permission: "customer:create", idempotent: true, errors: customerErrors },
    },
    (request, reply) =>
      mutate(request, reply, 201, (tx) => createCustomer(tx, random.id(), request.body)),
  );

  app.get(
    "/customers/:id",
    {
      schema: { summary: "Get a customer", params: ById, response: { 200: Customer } },
      config: { permission: "customer:read" },
    },
    async (request, reply) =>
      sendFound(request, reply, await getCustomer(db, request.tenant, request.params.id)),
  );

  app.patch(
    "/customers/:id",
    {
      schema: {
        summary: "Change a customer",
        params: ById,
        body: CustomerChanges,
        response: { 200: Customer },
      },
      config: { permission: "customer:update", ifMatch: true, errors: customerErrors },
    },
    (request, reply) =>
      mutate(request, reply, 200, (tx) =>
        changeCustomer(tx, request.params.id, expectedVersion(request), request.body),
      ),
  );

  app.delete(
    "/customers/:id",
    {
      schema: { summary: "Delete a customer", params: ById, response: { 204: NoContent } },
      config: { permission: "customer:delete", errors: [ordersErrors.in_use] },
    },
    (request, reply) =>
      mutate(request, reply, 204, (tx) =>
        removeCustomer(tx, request.params.id, optionalVersion(request)),
      ),
  );

  app.get(
    "/customers/:id/history",
    { schema: historySchema("customer"), config: { permission: "customer:read" } },
    async ({ tenant, params, query }) => history(db, tenant, "customer", params.id, query),
  );
};
