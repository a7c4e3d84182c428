import { optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { requestErrors } from "#kernel/errors.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, NoContent } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { restoreLease } from "../changes/create.ts";
import { createSnapshot, removeSnapshot } from "../changes/snapshots.ts";
import { waitFor } from "../engine/wait.ts";
import { leasesErrors } from "../errors.ts";
import { ownerLimit } from "../rules/callers.ts";
import { shownLease, shownSnapshot } from "../rules/views.ts";
import { Lease, RestoredLease, Wait } from "../schemas/leases.ts";
import { NewSnapshot, Snapshot, SnapshotFilter, SnapshotPage } from "../schemas/snapshots.ts";
import { getSnapshot, listSnapshots } from "../store/snapshots.ts";
import type { LeasesDeps } from "../types.ts";
import { callerOf } from "./caller.ts";
import { creationErrors } from "./leases.ts";
import { settledLease, writeAnew } from "./settled.ts";

/** What is kept of containers. */
export const snapshotRoutes: Routes<LeasesDeps> = (app, deps) => {
  takeRoute(app, deps);
  readRoutes(app, deps);
  endRoutes(app, deps);
};

const takeRoute: Routes<LeasesDeps> = (app, deps) => {
  const { mutate, db } = deps;
  app.post(
    "/leases/:id/snapshots",
    {
      schema: {
        summary: "Take a snapshot of a lease",
        description:
          "Of what a writable container has written. Answers at once, with the snapshot pending; " +
          "with `wait`, when it is taken or can't be. No values of environment variables are kept.",
        params: ById,
        querystring: Wait,
        body: NewSnapshot,
        response: { 202: Snapshot },
      },
      config: {
        permission: "snapshot:create",
        idempotent: true,
        errors: [
          leasesErrors.over,
          leasesErrors.wrong_state,
          leasesErrors.read_only,
          leasesErrors.not_supported,
          leasesErrors.quota_exceeded,
        ],
      },
    },
    async (request, reply) => {
      const { tenant, query } = request;
      const made = await mutate(request, reply, 202, async (tx) => {
        const asked = { id: request.params.id, caller: callerOf(request.principal) };
        return shownSnapshot(await createSnapshot(tx, deps, asked, request.body), tenant.id);
      });
      reply.header("location", `/api/v1/snapshots/${made.id}`);
      if (query.wait === 0) return made;
      const found = await waitFor(deps, {
        id: made.id,
        seconds: query.wait,
        read: () => getSnapshot(db, tenant, made.id, null),
        isDone: (snapshot) => snapshot?.state !== "pending",
      });
      if (found === null) return made;
      writeAnew(reply, found.version);
      return shownSnapshot(found, tenant.id);
    },
  );
};

const readRoutes: Routes<LeasesDeps> = (app, { db }) => {
  app.get(
    "/snapshots",
    {
      schema: {
        summary: "List snapshots",
        querystring: SnapshotFilter,
        response: { 200: SnapshotPage },
      },
      config: { permission: "snapshot:read" },
    },
    async ({ tenant, principal, query }) => {
      const owner = ownerLimit(callerOf(principal), "snapshot:read");
      const { items, nextCursor } = await listSnapshots(db, tenant, query, owner);
      return { items: items.map((one) => shownSnapshot(one, tenant.id)), nextCursor };
    },
  );

  app.get(
    "/snapshots/:id",
    {
      schema: { summary: "Get a snapshot", params: ById, response: { 200: Snapshot } },
      config: { permission: "snapshot:read" },
    },
    async (request, reply) => {
      const { tenant, params } = request;
      const owner = ownerLimit(callerOf(request.principal), "snapshot:read");
      const snapshot = await getSnapshot(db, tenant, params.id, owner);
      return sendFound(request, reply, snapshot && shownSnapshot(snapshot, tenant.id));
    },
  );

  app.get(
    "/snapshots/:id/history",
    { schema: historySchema("snapshot"), config: { permission: "snapshot:read" } },
    async ({ tenant, principal, params, query }) => {
      const owner = ownerLimit(callerOf(principal), "snapshot:read");
      const isHidden = owner !== null && !(await getSnapshot(db, tenant, params.id, owner));
      if (isHidden) throw requestErrors.not_found();
      return history(db, tenant, "snapshot", params.id, query);
    },
  );
};

const endRoutes: Routes<LeasesDeps> = (app, deps) => {
  const { mutate, config } = deps;

  app.delete(
    "/snapshots/:id",
    {
      schema: { summary: "Delete a snapshot", params: ById, response: { 204: NoContent } },
      config: {
        permission: "snapshot:delete",
        errors: [leasesErrors.snapshot_not_ready, leasesErrors.snapshot_in_use],
      },
    },
    (request, reply) =>
      mutate(request, reply, 204, (tx) => {
        const caller = callerOf(request.principal);
        const version = optionalVersion(request);
        return removeSnapshot(tx, deps, { id: request.params.id, caller, version });
      }),
  );

  app.post(
    "/snapshots/:id/restore",
    {
      schema: {
        summary: "Lease a container made of a snapshot",
        description:
          "A new lease of whoever asks, of the size and with the command of the first one unless " +
          "the body says otherwise. Environment variables have to be given again.",
        params: ById,
        querystring: Wait,
        body: RestoredLease,
        response: { 202: Lease },
      },
      config: {
        permission: "snapshot:restore",
        idempotent: true,
        errors: [
          ...creationErrors,
          leasesErrors.snapshot_not_ready,
          leasesErrors.snapshot_elsewhere,
        ],
      },
    },
    async (request, reply) => {
      const { principal, params, body, query } = request;
      const lease = await mutate(request, reply, 202, async (tx) => {
        const made = await restoreLease(tx, deps, params.id, body, callerOf(principal));
        const around = { tenantId: tx.tenant.id, publicUrl: config.publicUrl };
        return made && shownLease(made.lease, made.nowMs, around);
      });
      reply.header("location", `/api/v1/leases/${lease.id}`);
      return settledLease(deps, request, reply, { lease, seconds: query.wait });
    },
  );
};
