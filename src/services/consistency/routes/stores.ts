import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, NoContent } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { changeStore, createStore, removeStore } from "../changes/stores.ts";
import { consistencyErrors } from "../errors.ts";
import { NewStore, Store, StoreChanges, StoreFilter, StorePage } from "../schemas/stores.ts";
import { getStore, listStores } from "../store/stores.ts";
import type { ConsistencyDeps } from "../types.ts";

/** Replicated stores, as they are set up. */
export const storeRoutes: Routes<ConsistencyDeps> = (app, deps) => {
  readRoutes(app, deps);
  changeRoutes(app, deps);
};

const readRoutes: Routes<ConsistencyDeps> = (app, { db }) => {
  app.get(
    "/stores",
    {
      schema: {
        summary: "List stores",
        description: "Newest first.",
        querystring: StoreFilter,
        response: { 200: StorePage },
      },
      config: { permission: "store:read" },
    },
    async ({ tenant, query }) => listStores(db, tenant, query),
  );

  app.get(
    "/stores/:id",
    {
      schema: { summary: "Get a store", params: ById, response: { 200: Store } },
      config: { permission: "store:read" },
    },
    async (request, reply) =>
      sendFound(request, reply, await getStore(db, request.tenant, request.params.id)),
  );

  app.get(
    "/stores/:id/changes",
    {
      schema: {
        ...historySchema("store"),
        description: "How it was set up, not what stood in it.",
      },
      config: { permission: "store:read" },
    },
    async ({ tenant, params, query }) => history(db, tenant, "store", params.id, query),
  );
};

const changeRoutes: Routes<ConsistencyDeps> = (app, deps) => {
  const { mutate } = deps;

  app.post(
    "/stores",
    {
      schema: {
        summary: "Make a store",
        description:
          "An embedded one is for learning and testing: it lives in the memory of one process, " +
          "and begins anew, empty, when that ends, when nobody uses it for half an hour, and " +
          "when its bounds, timeout or breakers are changed. Real data belongs on etcd or Redis.",
        body: NewStore,
        response: { 201: Store },
      },
      config: {
        permission: "store:create",
        idempotent: true,
        errors: [
          consistencyErrors.store_name_taken,
          consistencyErrors.too_many_stores,
          consistencyErrors.bad_topology,
          consistencyErrors.bad_bounds,
          consistencyErrors.node_not_allowed,
        ],
      },
    },
    (request, reply) => mutate(request, reply, 201, (tx) => createStore(tx, deps, request.body)),
  );

  app.patch(
    "/stores/:id",
    {
      schema: {
        summary: "Change a store",
        params: ById,
        body: StoreChanges,
        response: { 200: Store },
      },
      config: {
        permission: "store:update",
        ifMatch: true,
        errors: [consistencyErrors.store_name_taken, consistencyErrors.bad_bounds],
      },
    },
    (request, reply) =>
      mutate(request, reply, 200, (tx) =>
        changeStore(tx, request.params.id, expectedVersion(request), request.body),
      ),
  );

  app.delete(
    "/stores/:id",
    {
      schema: {
        summary: "Delete a store",
        description: "What stands in a Redis or an etcd stays there.",
        params: ById,
        response: { 204: NoContent },
      },
      config: { permission: "store:delete" },
    },
    (request, reply) =>
      mutate(request, reply, 204, (tx) =>
        removeStore(tx, deps, request.params.id, optionalVersion(request)),
      ),
  );
};
