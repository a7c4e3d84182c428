import { optionalVersion } from "#kernel/http/etag.ts";
import { ById } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { keepLeaseAlive, renewLease, restartLease, wishLease } from "../changes/leases.ts";
import { leasesErrors } from "../errors.ts";
import { shownLease } from "../rules/views.ts";
import { Lease, Renewal, Wait } from "../schemas/leases.ts";
import type { LeasesDeps } from "../types.ts";
import { callerOf } from "./caller.ts";
import { settledLease } from "./settled.ts";

const stateErrors = [leasesErrors.over, leasesErrors.wrong_state];

/** What is asked of a lease that is there. */
export const askRoutes: Routes<LeasesDeps> = (app, deps) => {
  timeRoutes(app, deps);
  for (const wish of ["pause", "resume"] as const) wishRoute(wish)(app, deps);
  restartRoute(app, deps);
};

const timeRoutes: Routes<LeasesDeps> = (app, deps) => {
  const { mutate, config } = deps;
  const { publicUrl } = config;

  app.post(
    "/leases/:id/renew",
    {
      schema: {
        summary: "Renew a lease",
        description:
          "Its end becomes now and `ttlSeconds`, by default those of before, never later than " +
          "its hard cap; so it can also come sooner. A lease that has ended stays so.",
        params: ById,
        body: Renewal,
        response: { 200: Lease },
      },
      config: {
        permission: "lease:renew",
        idempotent: true,
        acceptsIfMatch: true,
        errors: [...stateErrors, leasesErrors.beyond_limit],
      },
    },
    (request, reply) =>
      mutate(request, reply, 200, async (tx) => {
        const caller = callerOf(request.principal);
        const version = optionalVersion(request);
        const asked = { id: request.params.id, caller, version, ...request.body };
        const { lease, nowMs } = await renewLease(tx, deps, asked);
        return shownLease(lease, nowMs, { tenantId: tx.tenant.id, publicUrl });
      }),
  );

  app.post(
    "/leases/:id/keepalive",
    {
      schema: {
        summary: "Say that a lease is in use",
        description: "Its idleness begins anew; its time to live goes on.",
        params: ById,
        response: { 200: Lease },
      },
      config: { permission: "lease:renew", errors: stateErrors },
    },
    (request, reply) =>
      mutate(request, reply, 200, async (tx) => {
        const caller = callerOf(request.principal);
        const asked = { id: request.params.id, caller };
        const { lease, nowMs } = await keepLeaseAlive(tx, deps, asked);
        return shownLease(lease, nowMs, { tenantId: tx.tenant.id, publicUrl });
      }),
  );
};

const wishTexts = {
  pause: {
    summary: "Pause a lease",
    description:
      "Its container stands still, and so do its time to live, its idleness and what it costs. " +
      "It may be paused for a limited time; its hard cap goes on.",
  },
  resume: {
    summary: "Resume a paused lease",
    description: "Its container goes on, and what was left of its time to live with it.",
  },
} as const;

const wishRoute =
  (wish: "pause" | "resume"): Routes<LeasesDeps> =>
  (app, deps) => {
    const { mutate, config } = deps;
    app.post(
      `/leases/:id/${wish}`,
      {
        schema: {
          ...wishTexts[wish],
          params: ById,
          querystring: Wait,
          response: { 202: Lease },
        },
        config: {
          permission: "lease:control",
          idempotent: true,
          acceptsIfMatch: true,
          errors: [...stateErrors, leasesErrors.not_supported],
        },
      },
      async (request, reply) => {
        const lease = await mutate(request, reply, 202, async (tx) => {
          const caller = callerOf(request.principal);
          const version = optionalVersion(request);
          const asked = { id: request.params.id, caller, version };
          const made = await wishLease(tx, deps, wish, asked);
          const around = { tenantId: tx.tenant.id, publicUrl: config.publicUrl };
          return shownLease(made.lease, made.nowMs, around);
        });
        return settledLease(deps, request, reply, { lease, seconds: request.query.wait });
      },
    );
  };

const restartRoute: Routes<LeasesDeps> = (app, deps) => {
  const { mutate, config } = deps;
  app.post(
    "/leases/:id/restart",
    {
      schema: {
        summary: "Give a lease a new container",
        description:
          "It begins as the first one did; what was written in the old one is gone unless a " +
          "snapshot has it. The lease's deadlines stay, and the time without a container is free.",
        params: ById,
        querystring: Wait,
        response: { 202: Lease },
      },
      config: {
        permission: "lease:control",
        idempotent: true,
        acceptsIfMatch: true,
        errors: stateErrors,
      },
    },
    async (request, reply) => {
      const lease = await mutate(request, reply, 202, async (tx) => {
        const caller = callerOf(request.principal);
        const version = optionalVersion(request);
        const asked = { id: request.params.id, caller, version };
        const made = await restartLease(tx, deps, asked);
        const around = { tenantId: tx.tenant.id, publicUrl: config.publicUrl };
        return shownLease(made.lease, made.nowMs, around);
      });
      return settledLease(deps, request, reply, { lease, seconds: request.query.wait });
    },
  );
};
