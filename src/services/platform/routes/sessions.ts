import { decodeCursor, page } from "#kernel/http/cursor.ts";
import { optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { ById, ListQuery, NoContent } from "#kernel/http/schemas.ts";
import { assertPerson } from "#kernel/identity/accounts.ts";
import { identityErrors } from "#kernel/identity/errors.ts";
import { findOwnSession, listSessions, revokeOwnSession } from "#kernel/identity/sessions.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { Session, SessionPage } from "../schemas/sessions.ts";

const tags = ["authentication"];

/** The time and id that a list was last at; null at its start. */
export function afterOf(cursor: string | undefined): [string, string] | null {
  if (cursor === undefined) return null;
  const [at, id] = decodeCursor(cursor, 2);
  return [String(at), String(id)];
}

/** One's own sessions. */
export const sessionRoutes: Routes<PlatformDeps> = (app, deps) => {
  app.get(
    "/auth/sessions",
    {
      schema: {
        summary: "List one's live sessions, newest first",
        tags,
        querystring: ListQuery,
        response: { 200: SessionPage },
      },
      config: { permission: "account:use", errors: [identityErrors.users_only] },
    },
    async ({ principal, query: { limit, cursor } }) => {
      const { userId, sessionId } = assertPerson(principal);
      const from = { userId, limit: limit + 1, after: afterOf(cursor) };
      const rows = await deps.db.inTenant(principal.tenant, (tx) => listSessions(tx, deps, from));
      const { items, nextCursor } = page(rows, limit, (row) => [row.createdAt, row.id]);
      return { items: items.map((row) => ({ ...row, current: row.id === sessionId })), nextCursor };
    },
  );

  app.get(
    "/auth/sessions/:id",
    {
      schema: {
        summary: "Get one of one's live sessions",
        tags,
        params: ById,
        response: { 200: Session },
      },
      config: { permission: "account:use", errors: [identityErrors.users_only] },
    },
    async (request, reply) => {
      const { userId, sessionId } = assertPerson(request.principal);
      const which = { userId, id: request.params.id };
      const row = await deps.db.inTenant(request.tenant, (tx) => findOwnSession(tx, deps, which));
      return sendFound(request, reply, row && { ...row, current: row.id === sessionId });
    },
  );

  app.delete(
    "/auth/sessions/:id",
    {
      schema: {
        summary: "End one of one's sessions",
        tags,
        params: ById,
        response: { 204: NoContent },
      },
      config: { permission: "account:use", errors: [identityErrors.users_only] },
    },
    (request, reply) => {
      const { userId } = assertPerson(request.principal);
      const which = { userId, id: request.params.id, version: optionalVersion(request) };
      return deps.mutate(request, reply, 204, (tx) => revokeOwnSession(tx, deps, which));
    },
  );
};
