import { accessErrors } from "#kernel/access/errors.ts";
import { decodeCursor, page, pageOfAll } from "#kernel/http/cursor.ts";
import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ListQuery, NoContent, ShortListQuery } from "#kernel/http/schemas.ts";
import {
  createRole,
  deleteRole,
  findRole,
  listRoles,
  updateRole,
} from "#kernel/identity/custom-roles.ts";
import { identityErrors } from "#kernel/identity/errors.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { ByRole, NewRole, PermissionPage, Role, RoleChanges, RolePage } from "../schemas/roles.ts";

const tags = ["members"];

const granting = [accessErrors.unknown_permission, accessErrors.beyond_own];

/** The tenant's own roles. */
export const roleRoutes: Routes<PlatformDeps> = (app, deps) => {
  readRoles(app, deps);
  changeRoles(app, deps);
};

const readRoles: Routes<PlatformDeps> = (app, { db, roles }) => {
  app.get(
    "/permissions",
    {
      schema: {
        summary: "List what roles and API keys can be made of",
        tags,
        querystring: ShortListQuery,
        response: { 200: PermissionPage },
      },
      config: { permission: "account:use" },
    },
    async ({ principal: { permissions }, query }) => {
      const all = roles.grantable.map((one) => ({
        ...one,
        held: permissions.get(one.name) ?? null,
      }));
      return pageOfAll(all, query, { key: ({ name }) => name });
    },
  );

  app.get(
    "/roles",
    {
      schema: {
        summary: "List the tenant's own roles by name",
        tags,
        querystring: ListQuery,
        response: { 200: RolePage },
      },
      config: { permission: "role:read" },
    },
    async ({ tenant, query: { limit, cursor } }) => {
      const after = cursor === undefined ? null : String(decodeCursor(cursor, 1)[0]);
      const rows = await db.inTenant(tenant, (tx) => listRoles(tx, { limit: limit + 1, after }));
      return page(rows, limit, (row) => [row.name]);
    },
  );

  app.get(
    "/roles/:name",
    {
      schema: { summary: "Get a role", tags, params: ByRole, response: { 200: Role } },
      config: { permission: "role:read" },
    },
    async (request, reply) => {
      const { tenant, params } = request;
      const role = await db.inTenant(tenant, (tx) => findRole(tx, params.name));
      return sendFound(request, reply, role);
    },
  );

  app.get(
    "/roles/:name/history",
    {
      schema: { ...historySchema("role"), tags, params: ByRole },
      config: { permission: "role:read" },
    },
    async ({ tenant, params, query }) => history(db, tenant, "role", params.name, query),
  );
};

const changeRoles: Routes<PlatformDeps> = (app, deps) => {
  const { mutate } = deps;

  app.post(
    "/roles",
    {
      schema: { summary: "Make a role", tags, body: NewRole, response: { 201: Role } },
      config: {
        permission: "role:create",
        idempotent: true,
        errors: [
          identityErrors.role_taken,
          identityErrors.reserved_role,
          identityErrors.too_many_roles,
          ...granting,
        ],
      },
    },
    (request, reply) => {
      const { body: role, principal } = request;
      const holder = principal.permissions;
      return mutate(request, reply, 201, (tx) => createRole(tx, deps, { role, holder }));
    },
  );

  app.patch(
    "/roles/:name",
    {
      schema: {
        summary: "Change a role, for everybody who has it",
        tags,
        params: ByRole,
        body: RoleChanges,
        response: { 200: Role },
      },
      config: { permission: "role:update", ifMatch: true, errors: granting },
    },
    (request, reply) => {
      const { params, body: change, principal } = request;
      const version = expectedVersion(request);
      const holder = principal.permissions;
      return mutate(request, reply, 200, (tx) =>
        updateRole(tx, deps, { name: params.name, version, change, holder }),
      );
    },
  );

  app.delete(
    "/roles/:name",
    {
      schema: { summary: "Delete a role", tags, params: ByRole, response: { 204: NoContent } },
      config: { permission: "role:delete", errors: [identityErrors.role_in_use] },
    },
    (request, reply) => {
      const version = optionalVersion(request);
      const { name } = request.params;
      return mutate(request, reply, 204, (tx) => deleteRole(tx, deps, { name, version }));
    },
  );
};
