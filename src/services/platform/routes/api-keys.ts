import { accessErrors } from "#kernel/access/errors.ts";
import { requestErrors } from "#kernel/errors.ts";
import { page } from "#kernel/http/cursor.ts";
import { optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, ListQuery, NoContent } from "#kernel/http/schemas.ts";
import {
  createApiKey,
  findApiKey,
  listApiKeys,
  maySeeApiKeyPast,
  revokeApiKey,
} from "#kernel/identity/api-keys.ts";
import { identityErrors } from "#kernel/identity/errors.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { ApiKey, ApiKeyPage, MadeApiKey, NewApiKey } from "../schemas/api-keys.ts";
import { afterOf } from "./sessions.ts";

const tags = ["API keys"];

/** Keys for programs. */
export const apiKeyRoutes: Routes<PlatformDeps> = (app, deps) => {
  readApiKeys(app, deps);
  changeApiKeys(app, deps);
};

const readApiKeys: Routes<PlatformDeps> = (app, { db }) => {
  app.get(
    "/api-keys",
    {
      schema: {
        summary: "List API keys, newest first",
        tags,
        querystring: ListQuery,
        response: { 200: ApiKeyPage },
      },
      config: { permission: "api-key:read" },
    },
    async ({ principal, scope, query: { limit, cursor } }) => {
      const from = { principal, scope, limit: limit + 1, after: afterOf(cursor) };
      const rows = await db.inTenant(principal.tenant, (tx) => listApiKeys(tx, from));
      return page(rows, limit, (row) => [row.createdAt, row.id]);
    },
  );

  app.get(
    "/api-keys/:id",
    {
      schema: { summary: "Get an API key", tags, params: ById, response: { 200: ApiKey } },
      config: { permission: "api-key:read" },
    },
    async (request, reply) => {
      const { tenant, principal, scope, params } = request;
      const which = { principal, scope, id: params.id };
      return sendFound(request, reply, await db.inTenant(tenant, (tx) => findApiKey(tx, which)));
    },
  );

  app.get(
    "/api-keys/:id/history",
    { schema: { ...historySchema("API key"), tags }, config: { permission: "api-key:read" } },
    async ({ tenant, principal, scope, params: { id }, query }) => {
      const maySee = await db.inTenant(tenant, (tx) =>
        maySeeApiKeyPast(tx, { principal, scope, id }),
      );
      if (!maySee) throw requestErrors.not_found();
      return history(db, tenant, "api_key", id, query);
    },
  );
};

const changeApiKeys: Routes<PlatformDeps> = (app, deps) => {
  const { mutate } = deps;

  app.post(
    "/api-keys",
    {
      schema: { summary: "Make an API key", tags, body: NewApiKey, response: { 201: MadeApiKey } },
      config: {
        permission: "api-key:create",
        idempotent: true,
        secretAnswer: true,
        errors: [
          accessErrors.unknown_permission,
          accessErrors.beyond_own,
          identityErrors.invalid_expiry,
          identityErrors.too_many_keys,
          identityErrors.users_only,
        ],
      },
    },
    (request, reply) => {
      const { principal, body: input } = request;
      return mutate(request, reply, 201, (tx) => createApiKey(tx, deps, { principal, input }));
    },
  );

  app.delete(
    "/api-keys/:id",
    {
      schema: { summary: "Revoke an API key", tags, params: ById, response: { 204: NoContent } },
      config: { permission: "api-key:delete" },
    },
    (request, reply) => {
      const { principal, scope, params } = request;
      const which = { principal, scope, id: params.id, version: optionalVersion(request) };
      return mutate(request, reply, 204, (tx) => revokeApiKey(tx, deps, which));
    },
  );
};
