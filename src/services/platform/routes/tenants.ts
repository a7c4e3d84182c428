import { page } from "#kernel/http/cursor.ts";
import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, ListQuery, NoContent } from "#kernel/http/schemas.ts";
import {
  createTenant,
  deleteTenant,
  findTenant,
  listTenants,
  updateTenant,
} from "#kernel/identity/tenants.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { tenancyErrors } from "#kernel/tenancy/errors.ts";
import { thePlatform } from "#kernel/tenancy/types.ts";
import { NewTenant, Tenant, TenantChanges, TenantPage } from "../schemas/tenants.ts";
import { afterOf } from "./sessions.ts";

const tags = ["administration"];

const slugErrors = [
  tenancyErrors.slug_taken,
  tenancyErrors.reserved_slug,
  tenancyErrors.invalid_slug,
];

/** Else whoever closes the last one could not sign in any more to open it again. */
const ownTenant = (path: string) =>
  tenancyErrors.own_tenant({
    detail: "You act in this tenant; switch to another one first.",
    errors: [{ path, message: "is of the tenant that you act in" }],
  });

/** All tenants, for platform admins. */
export const tenantRoutes: Routes<PlatformDeps> = (app, deps) => {
  readTenants(app, deps);
  changeTenants(app, deps);
};

const readTenants: Routes<PlatformDeps> = (app, { db }) => {
  app.get(
    "/tenants",
    {
      schema: {
        summary: "List tenants, oldest first",
        tags,
        querystring: ListQuery,
        response: { 200: TenantPage },
      },
      config: { permission: "tenant:read" },
    },
    async ({ query: { limit, cursor } }) => {
      const from = { limit: limit + 1, after: afterOf(cursor) };
      const rows = await db.inPlatform((tx) => listTenants(tx, from));
      return page(rows, limit, (row) => [row.createdAt, row.id]);
    },
  );

  app.get(
    "/tenants/:id",
    {
      schema: { summary: "Get a tenant", tags, params: ById, response: { 200: Tenant } },
      config: { permission: "tenant:read" },
    },
    async (request, reply) => {
      const tenant = await db.inPlatform((tx) => findTenant(tx, request.params.id));
      return sendFound(request, reply, tenant);
    },
  );

  app.get(
    "/tenants/:id/history",
    {
      schema: {
        ...historySchema("tenant"),
        description: "From the platform's own audit, which outlives the tenant's.",
        tags,
      },
      config: { permission: "tenant:read" },
    },
    async ({ params, query }) => history(db, thePlatform, "tenant", params.id, query),
  );
};

const changeTenants: Routes<PlatformDeps> = (app, deps) => {
  const { mutate } = deps;

  app.post(
    "/tenants",
    {
      schema: { summary: "Make a tenant", tags, body: NewTenant, response: { 201: Tenant } },
      config: {
        permission: "tenant:create",
        idempotent: true,
        errors: [...slugErrors, tenancyErrors.dedicated_unavailable],
      },
    },
    (request, reply) => {
      const { isolation = "shared", active = true, ...rest } = request.body;
      return mutate(request, reply, 201, async (tx) => {
        const made = await createTenant(tx, deps, { ...rest, isolation });
        if (active) return made;
        return updateTenant(tx, deps, { id: made.id, version: null, change: { active } });
      });
    },
  );

  app.patch(
    "/tenants/:id",
    {
      schema: {
        summary: "Change a tenant",
        tags,
        params: ById,
        body: TenantChanges,
        response: { 200: Tenant },
      },
      config: {
        permission: "tenant:update",
        ifMatch: true,
        errors: [...slugErrors, tenancyErrors.own_tenant],
      },
    },
    (request, reply) => {
      const { tenant, body: change } = request;
      const { id } = request.params;
      if (change.active === false && tenant.id === id) throw ownTenant("/active");
      const version = expectedVersion(request);
      return mutate(request, reply, 200, (tx) => updateTenant(tx, deps, { id, version, change }));
    },
  );

  app.delete(
    "/tenants/:id",
    {
      schema: {
        summary: "Delete a tenant for good",
        description:
          "Nobody acts in it from now on. A minute later all that it had is erased, also its " +
          "audit: export before what has to be kept. Who may come back is made inactive.",
        tags,
        params: ById,
        response: { 204: NoContent },
      },
      config: { permission: "tenant:delete", errors: [tenancyErrors.own_tenant] },
    },
    (request, reply) => {
      const { id } = request.params;
      if (request.tenant.id === id) throw ownTenant("path/id");
      const version = optionalVersion(request);
      return mutate(request, reply, 204, (tx) => deleteTenant(tx, deps, { id, version }));
    },
  );
};
