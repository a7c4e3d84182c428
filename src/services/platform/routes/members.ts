import { accessErrors } from "#kernel/access/errors.ts";
import { page } from "#kernel/http/cursor.ts";
import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, NoContent } from "#kernel/http/schemas.ts";
import { identityErrors } from "#kernel/identity/errors.ts";
import {
  createMember,
  findMember,
  listMembers,
  removeMember,
  updateMember,
} from "#kernel/identity/members.ts";
import { assertPassword } from "#kernel/identity/passwords.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { Member, MemberChanges, MemberPage, MemberQuery, NewMember } from "../schemas/members.ts";
import { afterOf } from "./sessions.ts";

const tags = ["members"];

const handingOut = [accessErrors.beyond_own, identityErrors.unknown_role];

/** The people of the tenant. */
export const memberRoutes: Routes<PlatformDeps> = (app, deps) => {
  readMembers(app, deps);
  addMembers(app, deps);
  changeMembers(app, deps);
};

const readMembers: Routes<PlatformDeps> = (app, { db }) => {
  app.get(
    "/members",
    {
      schema: {
        summary: "List members, oldest first",
        tags,
        querystring: MemberQuery,
        response: { 200: MemberPage },
      },
      config: { permission: "member:read" },
    },
    async ({ tenant, query: { limit, cursor, ...filter } }) => {
      const from = { filter, limit: limit + 1, after: afterOf(cursor) };
      const rows = await db.inTenant(tenant, (tx) => listMembers(tx, from));
      return page(rows, limit, (row) => [row.createdAt, row.id]);
    },
  );

  app.get(
    "/members/:id",
    {
      schema: { summary: "Get a member", tags, params: ById, response: { 200: Member } },
      config: { permission: "member:read" },
    },
    async (request, reply) => {
      const { tenant, params } = request;
      const member = await db.inTenant(tenant, (tx) => findMember(tx, params.id));
      return sendFound(request, reply, member);
    },
  );

  app.get(
    "/members/:id/history",
    { schema: { ...historySchema("member"), tags }, config: { permission: "member:read" } },
    async ({ tenant, params, query }) => history(db, tenant, "member", params.id, query),
  );
};

const addMembers: Routes<PlatformDeps> = (app, deps) => {
  const { mutate, passwords } = deps;

  app.post(
    "/members",
    {
      schema: {
        summary: "Make an account for a person who has none",
        tags,
        body: NewMember,
        response: { 201: Member },
      },
      config: {
        permission: "invitation:create",
        idempotent: true,
        errors: [
          identityErrors.email_taken,
          identityErrors.invalid_email,
          identityErrors.weak_password,
          identityErrors.busy,
          ...handingOut,
        ],
      },
    },
    async (request, reply) => {
      const { email, name, password, role = "user" } = request.body;
      assertPassword(password);
      // Before the transaction: no connection is held while a hash waits for its turn.
      const passwordHash = await passwords.hash(password);
      const holder = request.principal.permissions;
      const member = { email, name, passwordHash, role };
      return mutate(request, reply, 201, (tx) => createMember(tx, deps, { member, holder }));
    },
  );
};

const changeMembers: Routes<PlatformDeps> = (app, deps) => {
  const { mutate } = deps;

  app.patch(
    "/members/:id",
    {
      schema: {
        summary: "Change a member's role, or lock them out",
        tags,
        params: ById,
        body: MemberChanges,
        response: { 200: Member },
      },
      config: {
        permission: "member:update",
        ifMatch: true,
        errors: [identityErrors.last_tenant_admin, ...handingOut],
      },
    },
    (request, reply) => {
      const { params, body: change, principal } = request;
      const id = params.id;
      const version = expectedVersion(request);
      const holder = principal.permissions;
      return mutate(request, reply, 200, (tx) =>
        updateMember(tx, deps, { id, version, change, holder }),
      );
    },
  );

  app.delete(
    "/members/:id",
    {
      schema: { summary: "Remove a member", tags, params: ById, response: { 204: NoContent } },
      config: {
        permission: "member:delete",
        errors: [identityErrors.last_tenant_admin, accessErrors.beyond_own],
      },
    },
    (request, reply) => {
      const { params, principal } = request;
      const id = params.id;
      const version = optionalVersion(request);
      const holder = principal.permissions;
      return mutate(request, reply, 204, (tx) => removeMember(tx, deps, { id, version, holder }));
    },
  );
};
