import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, NoContent } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { changeShop, createShop, removeShop } from "../changes/shops.ts";
import { ordersErrors } from "../errors.ts";
import { ListFilter } from "../schemas/common.ts";
import { NewShop, Shop, ShopChanges, ShopPage } from "../schemas/shops.ts";
import { getShop, listShops } from "../store/shops.ts";

const shopErrors = [ordersErrors.shop_name_taken, ordersErrors.unknown_currency];

/** Where a tenant sells. */
export const shopRoutes: Routes = (app, { db, mutate, random }) => {
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
      config: { permission: "shop:delete", errors: [ordersErrors.in_use] },
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
