import { accessErrors } from "#kernel/access/errors.ts";
import { page } from "#kernel/http/cursor.ts";
import { optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, ListQuery, NoContent } from "#kernel/http/schemas.ts";
import { identityErrors } from "#kernel/identity/errors.ts";
import {
  createInvitation,
  findInvitation,
  listInvitations,
  revokeInvitation,
} from "#kernel/identity/invitations.ts";
import { assertPerson } from "#kernel/identity/accounts.ts";
import { joinTenant } from "#kernel/identity/people.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import {
  Invitation,
  InvitationAcceptance,
  InvitationPage,
  JoinedTenant,
  MadeInvitation,
  NewInvitation,
} from "../schemas/members.ts";
import { clientOf, repeatOf } from "./auth.ts";
import { afterOf } from "./sessions.ts";

const tags = ["members"];

/** Ways into the tenant for one person each. */
export const invitationRoutes: Routes<PlatformDeps> = (app, deps) => {
  readInvitations(app, deps);
  changeInvitations(app, deps);
  acceptRoute(app, deps);
};

const readInvitations: Routes<PlatformDeps> = (app, deps) => {
  const { db } = deps;

  app.get(
    "/invitations",
    {
      schema: {
        summary: "List open invitations, oldest first",
        tags,
        querystring: ListQuery,
        response: { 200: InvitationPage },
      },
      config: { permission: "invitation:read" },
    },
    async ({ tenant, query: { limit, cursor } }) => {
      const from = { limit: limit + 1, after: afterOf(cursor) };
      const rows = await db.inTenant(tenant, (tx) => listInvitations(tx, deps, from));
      return page(rows, limit, (row) => [row.createdAt, row.id]);
    },
  );

  app.get(
    "/invitations/:id",
    {
      schema: {
        summary: "Get an open invitation",
        tags,
        params: ById,
        response: { 200: Invitation },
      },
      config: { permission: "invitation:read" },
    },
    async (request, reply) => {
      const { tenant, params } = request;
      const found = await db.inTenant(tenant, (tx) => findInvitation(tx, deps, params.id));
      return sendFound(request, reply, found);
    },
  );

  app.get(
    "/invitations/:id/history",
    { schema: { ...historySchema("invitation"), tags }, config: { permission: "invitation:read" } },
    async ({ tenant, params, query }) => history(db, tenant, "invitation", params.id, query),
  );
};

const changeInvitations: Routes<PlatformDeps> = (app, deps) => {
  const { mutate } = deps;

  app.post(
    "/invitations",
    {
      schema: {
        summary: "Invite a person",
        tags,
        body: NewInvitation,
        response: { 201: MadeInvitation },
      },
      config: {
        permission: "invitation:create",
        idempotent: true,
        secretAnswer: true,
        errors: [
          identityErrors.invalid_email,
          identityErrors.already_member,
          identityErrors.unknown_role,
          identityErrors.too_many_invitations,
          identityErrors.users_only,
          accessErrors.beyond_own,
        ],
      },
    },
    (request, reply) => {
      const { body, principal } = request;
      const { userId: invitedBy } = assertPerson(principal);
      const holder = principal.permissions;
      const invite = { email: body.email, role: body.role ?? "user", invitedBy, holder };
      return mutate(request, reply, 201, (tx) => createInvitation(tx, deps, invite));
    },
  );

  app.delete(
    "/invitations/:id",
    {
      schema: {
        summary: "Withdraw an invitation",
        tags,
        params: ById,
        response: { 204: NoContent },
      },
      config: { permission: "invitation:delete" },
    },
    (request, reply) => {
      const which = { id: request.params.id, version: optionalVersion(request) };
      return mutate(request, reply, 204, (tx) => revokeInvitation(tx, deps, which));
    },
  );
};

const acceptRoute: Routes<PlatformDeps> = (app, deps) => {
  app.post(
    "/invitations/accept",
    {
      schema: {
        summary: "Join a tenant as somebody who has an account",
        tags,
        body: InvitationAcceptance,
        response: { 200: JoinedTenant },
      },
      config: {
        permission: "account:use",
        idempotent: true,
        rateLimit: "auth",
        errors: [
          identityErrors.invalid_invitation,
          identityErrors.already_member,
          identityErrors.users_only,
        ],
      },
    },
    async (request, reply) => {
      const { principal, body } = request;
      const repeat = repeatOf(request, body);
      const input = { principal, ...body, client: clientOf(request), repeat };
      const { answer, replayed } = await joinTenant(deps, input);
      if (replayed) reply.header("idempotent-replayed", "true");
      return answer;
    },
  );
};
