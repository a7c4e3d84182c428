import { pageOfAll } from "#kernel/http/cursor.ts";
import { ShortListQuery } from "#kernel/http/schemas.ts";
import { identityErrors } from "#kernel/identity/errors.ts";
import {
  jwksMaxAgeSeconds,
  rotateSigningKey,
  signingKeyStatus,
} from "#kernel/identity/signing-keys.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { JsonWebKeySet, Rotation, SigningKey, SigningKeys } from "../schemas/signing-keys.ts";

const tags = ["administration"];

/** The keys that sign access tokens, for platform admins. */
export const signingKeyRoutes: Routes<PlatformDeps> = (app, deps) => {
  app.get(
    "/admin/signing-keys",
    {
      schema: {
        summary: "List signing keys, newest first",
        tags,
        querystring: ShortListQuery,
        response: { 200: SigningKeys },
      },
      config: { permission: "signing-key:read" },
    },
    async ({ tenant, query }) => {
      const all = await deps.db.inTenant(tenant, (tx) => signingKeyStatus(tx, deps));
      const key = ({ activatesAt, kid }: (typeof all)[number]) => `${activatesAt} ${kid}`;
      return pageOfAll(all, query, { key, descending: true });
    },
  );

  app.post(
    "/admin/signing-keys/rotate",
    {
      schema: {
        summary: "Make a new signing key, which signs once everybody can know it",
        tags,
        body: Rotation,
        response: { 201: SigningKey },
      },
      config: {
        permission: "signing-key:rotate",
        idempotent: true,
        errors: [identityErrors.rotation_conflict],
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, 201, (tx) => rotateSigningKey(tx, deps, request.body)),
  );
};

/** The public keys, at the address where everybody looks for them. */
export const jwksRoutes: Routes<PlatformDeps> = (app, { keys }) => {
  app.get(
    "/.well-known/jwks.json",
    {
      schema: {
        summary: "Get the keys that verify access tokens",
        tags: ["authentication"],
        response: { 200: JsonWebKeySet },
      },
      config: { public: true, rateLimit: "none" },
    },
    async (_request, reply) => {
      reply.header("cache-control", `public, max-age=${jwksMaxAgeSeconds}`);
      return keys.jwks();
    },
  );
};
