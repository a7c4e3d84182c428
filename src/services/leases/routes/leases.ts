import { requestErrors } from "#kernel/errors.ts";
import { etag, isKnown, optionalVersion } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, NoContent } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { createLease } from "../changes/create.ts";
import { found, releaseLease } from "../changes/leases.ts";
import { leasesErrors } from "../errors.ts";
import { ownerLimit } from "../rules/callers.ts";
import { explainExpiry, shownLease } from "../rules/views.ts";
import { Expiry, Lease, LeaseFilter, LeasePage, NewLease, Wait } from "../schemas/leases.ts";
import { getLease, hasLease, listLeases } from "../store/leases.ts";
import type { LeasesDeps } from "../types.ts";
import { callerOf } from "./caller.ts";
import { settledLease } from "./settled.ts";

export const creationErrors = [
  leasesErrors.quota_exceeded,
  leasesErrors.beyond_limit,
  leasesErrors.template_decides,
  leasesErrors.bad_environment,
  leasesErrors.read_only,
  leasesErrors.not_supported,
  leasesErrors.no_runtime,
];

/** Asking for leases, seeing and ending them. */
export const leaseRoutes: Routes<LeasesDeps> = (app, deps) => {
  createRoutes(app, deps);
  readRoutes(app, deps);
};

const createRoutes: Routes<LeasesDeps> = (app, deps) => {
  const { mutate, config } = deps;
  const { publicUrl } = config;

  app.post(
    "/leases",
    {
      schema: {
        summary: "Lease a container",
        description:
          "Answers at once, with the lease pending; with `wait`, when its container runs or its " +
          "end is decided. Under an Idempotency-Key the lease is made once, however often it is " +
          "asked for.",
        querystring: Wait,
        body: NewLease,
        response: { 202: Lease },
      },
      config: {
        permission: "lease:create",
        idempotent: true,
        errors: [
          ...creationErrors,
          leasesErrors.no_image,
          leasesErrors.image_not_allowed,
          leasesErrors.unknown_template,
          leasesErrors.template_retired,
        ],
      },
    },
    async (request, reply) => {
      const made = await mutate(request, reply, 202, async (tx) => {
        const { lease, nowMs } = await createLease(tx, deps, request.body);
        return shownLease(lease, nowMs, { tenantId: tx.tenant.id, publicUrl });
      });
      reply.header("location", `/api/v1/leases/${made.id}`);
      return settledLease(deps, request, reply, { lease: made, seconds: request.query.wait });
    },
  );

  app.delete(
    "/leases/:id",
    {
      schema: {
        summary: "End a lease",
        description: "In any state, and as often as one likes: what has ended stays ended.",
        params: ById,
        response: { 204: NoContent },
      },
      config: { permission: "lease:delete" },
    },
    (request, reply) =>
      mutate(request, reply, 204, async (tx) => {
        const caller = callerOf(request.principal);
        const version = optionalVersion(request);
        await releaseLease(tx, deps, { id: request.params.id, caller, version });
      }),
  );
};

const readRoutes: Routes<LeasesDeps> = (app, deps) => {
  const { db, clock, config } = deps;
  const { publicUrl } = config;

  app.get(
    "/leases",
    {
      schema: { summary: "List leases", querystring: LeaseFilter, response: { 200: LeasePage } },
      config: { permission: "lease:read" },
    },
    async ({ tenant, principal, query }) => {
      const ownerId = ownerLimit(callerOf(principal), "lease:read");
      const { items, nextCursor } = await listLeases(db, tenant, { filter: query, ownerId, clock });
      const around = { tenantId: tenant.id, publicUrl };
      return {
        items: items.map(({ lease, nowMs }) => shownLease(lease, nowMs, around)),
        nextCursor,
      };
    },
  );

  app.get(
    "/leases/:id",
    {
      schema: { summary: "Get a lease", params: ById, response: { 200: Lease } },
      config: { permission: "lease:read" },
    },
    async (request, reply) => {
      const { tenant, params } = request;
      const ownerId = ownerLimit(callerOf(request.principal), "lease:read");
      const { lease, nowMs } = found(await getLease(db, tenant, { id: params.id, ownerId, clock }));
      // Never 304: countdown and cost change without the lease.
      isKnown(request, reply, etag(lease.version));
      return shownLease(lease, nowMs, { tenantId: tenant.id, publicUrl });
    },
  );

  app.get(
    "/leases/:id/expiry",
    {
      schema: {
        summary: "Explain when and why a lease will end",
        params: ById,
        response: { 200: Expiry },
      },
      config: { permission: "lease:read" },
    },
    async ({ tenant, principal, params }) => {
      const ownerId = ownerLimit(callerOf(principal), "lease:read");
      const { lease, nowMs } = found(await getLease(db, tenant, { id: params.id, ownerId, clock }));
      return explainExpiry(lease, nowMs);
    },
  );

  app.get(
    "/leases/:id/history",
    { schema: historySchema("lease"), config: { permission: "lease:read" } },
    async ({ tenant, principal, params, query }) => {
      const owner = ownerLimit(callerOf(principal), "lease:read");
      const isHidden = owner !== null && !(await hasLease(db, tenant, params.id, owner));
      if (isHidden) throw requestErrors.not_found();
      return history(db, tenant, "lease", params.id, query);
    },
  );
};
