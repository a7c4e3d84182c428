import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, NoContent } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { changeProduct, createProduct, removeProduct } from "../changes/products.ts";
import { ordersErrors } from "../errors.ts";
import { ListFilter } from "../schemas/common.ts";
import { NewProduct, Product, ProductChanges, ProductPage } from "../schemas/products.ts";
import { getProduct, listProducts } from "../store/products.ts";

const productErrors = [ordersErrors.sku_taken, ordersErrors.unknown_allergen];

/** What a tenant sells. */
export const productRoutes: Routes = (app, { db, mutate, random }) => {
  app.get(
    "/products",
    {
      schema: { summary: "List products", querystring: ListFilter, response: { 200: ProductPage } },
      config: { permission: "product:read" },
    },
    async ({ tenant, query }) => listProducts(db, tenant, query),
  );

  app.post(
    "/products",
    {
      schema: { summary: "Add a product", body: NewProduct, response: { 201: Product } },
      config: { permission: "product:create", idempotent: true, errors: productErrors },
    },
    (request, reply) =>
      mutate(request, reply, 201, (tx) => createProduct(tx, random.id(), request.body)),
  );

  app.get(
    "/products/:id",
    {
      schema: { summary: "Get a product", params: ById, response: { 200: Product } },
      config: { permission: "product:read" },
    },
    async (request, reply) =>
      sendFound(request, reply, await getProduct(db, request.tenant, request.params.id)),
  );

  app.patch(
    "/products/:id",
    {
      schema: {
        summary: "Change a product",
        params: ById,
        body: ProductChanges,
        response: { 200: Product },
      },
      config: { permission: "product:update", ifMatch: true, errors: productErrors },
    },
    (request, reply) =>
      mutate(request, reply, 200, (tx) =>
        changeProduct(tx, request.params.id, expectedVersion(request), request.body),
      ),
  );

  app.delete(
    "/products/:id",
    {
      schema: { summary: "Delete a product", params: ById, response: { 204: NoContent } },
      config: { permission: "product:delete", errors: [ordersErrors.in_use] },
    },
    (request, reply) =>
      mutate(request, reply, 204, (tx) =>
        removeProduct(tx, request.params.id, optionalVersion(request)),
      ),
  );

  app.get(
    "/products/:id/history",
    { schema: historySchema("product"), config: { permission: "product:read" } },
    async ({ tenant, params, query }) => history(db, tenant, "product", params.id, query),
  );
};
