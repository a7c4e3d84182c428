import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, NoContent } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import {
  changeProduct,
  changeShop,
  createProduct,
  createShop,
  removeProduct,
  removeShop,
} from "./changes.ts";
import { ordersErrors } from "./errors.ts";
import {
  ListFilter,
  NewProduct,
  NewShop,
  Product,
  ProductChanges,
  ProductPage,
  Shop,
  ShopChanges,
  ShopPage,
} from "./schemas.ts";
import { getProduct, getShop, listProducts, listShops } from "./store.ts";

/** Every endpoint of the order desk. */
export const ordersRoutes: Routes = (app, deps) => {
  shopRoutes(app, deps);
  productRoutes(app, deps);
};

const shopErrors = [ordersErrors.shop_name_taken, ordersErrors.unknown_currency];
const productErrors = [ordersErrors.sku_taken, ordersErrors.unknown_allergen];

const shopRoutes: Routes = (app, { db, mutate, random }) => {
  app.get(
    "/shops",
    {
      schema: { summary: "List shops", querystring: ListFilter, response: { 200: ShopPage } },
      config: { permission: "shop:read" },
    },
    async ({ tenant, query }) => listShops(db, tenant, query),
  );

  app.post(
    "/shops",
    {
      schema: { summary: "Open a shop", body: NewShop, response: { 201: Shop } },
      config: { permission: "shop:create", idempotent: true, errors: shopErrors },
    },
    (request, reply) =>
      mutate(request, reply, 201, (tx) => createShop(tx, random.id(), request.body)),
  );

  app.get(
    "/shops/:id",
    {
      schema: { summary: "Get a shop", params: ById, response: { 200: Shop } },
      config: { permission: "shop:read" },
    },
    async (request, reply) =>
      sendFound(request, reply, await getShop(db, request.tenant, request.params.id)),
  );

  app.patch(
    "/shops/:id",
    {
      schema: {
        summary: "Change a shop",
        params: ById,
        body: ShopChanges,
        response: { 200: Shop },
      },
      config: { permission: "shop:update", ifMatch: true, errors: shopErrors },
    },
    (request, reply) =>
      mutate(request, reply, 200, (tx) =>
        changeShop(tx, request.params.id, expectedVersion(request), request.body),
      ),
  );

  app.delete(
    "/shops/:id",
    {
      schema: { summary: "Delete a shop", params: ById, response: { 204: NoContent } },
      config: { permission: "shop:delete" },
    },
    (request, reply) =>
      mutate(request, reply, 204, (tx) =>
        removeShop(tx, request.params.id, optionalVersion(request)),
      ),
  );

  app.get(
    "/shops/:id/history",
    { schema: historySchema("shop"), config: { permission: "shop:read" } },
    async ({ tenant, params, query }) => history(db, tenant, "shop", params.id, query),
  );
};

const productRoutes: Routes = (app, { db, mutate, random }) => {
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
      config: { permission: "product:delete" },
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
