import { auditPlatform } from "#kernel/audit/platform.ts";
import { requestErrors } from "#kernel/errors.ts";
import { pageOfAll } from "#kernel/http/cursor.ts";
import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { historySchema, pastOf } from "#kernel/http/history.ts";
import { NoContent, ShortListQuery } from "#kernel/http/schemas.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";
import { faultErrors } from "#kernel/resilience/faults.ts";
import type { Routes } from "#kernel/service.ts";
import { current } from "#kernel/versions.ts";
import { thePlatform } from "#kernel/tenancy/types.ts";
import { ByPoint, Fault, FaultChange, Faults } from "../schemas/faults.ts";

const tags = ["administration"];
const everywhere =
  "Holds in every process: in the one that answers at once, in the others within 5 s.";
const unknown = [faultErrors.unknown_point];

/** Points in the code that can be told to go wrong, to see what happens then. */
export const faultRoutes: Routes<PlatformDeps> = (app, deps) => {
  readFaults(app, deps);
  changeFaults(app, deps);
};

const readFaults: Routes<PlatformDeps> = (app, { db, faultBoard }) => {
  app.get(
    "/admin/faults",
    {
      schema: {
        summary: "List fault points and what is armed there",
        tags,
        querystring: ShortListQuery,
        response: { 200: Faults },
      },
      config: { permission: "fault:read" },
    },
    async ({ query }) => {
      const points = await db.inPlatform((tx) => faultBoard.list(tx));
      const listed = pageOfAll(points, query, { key: ({ point }) => point });
      return { allowed: faultBoard.allowed, ...listed };
    },
  );

  app.get(
    "/admin/faults/:point",
    {
      schema: { summary: "Get a fault point", tags, params: ByPoint, response: { 200: Fault } },
      config: { permission: "fault:read", errors: unknown },
    },
    async (request, reply) =>
      sendFound(
        request,
        reply,
        await db.inPlatform((tx) => faultBoard.lock(tx, request.params.point)),
      ),
  );

  app.get(
    "/admin/faults/:point/history",
    {
      schema: { ...historySchema("fault point"), tags, params: ByPoint },
      config: { permission: "fault:read", errors: unknown },
    },
    async ({ params: { point }, query }) => {
      await db.inPlatform((tx) => faultBoard.lock(tx, point));
      return pastOf(db, thePlatform, "fault", point, query);
    },
  );
};

const changeFaults: Routes<PlatformDeps> = (app, { faultBoard, mutate }) => {
  app.put(
    "/admin/faults/:point",
    {
      schema: {
        summary: "Arm a fault point",
        description: `${everywhere} Refused in production unless FLAG_FAULTS=1.`,
        tags,
        params: ByPoint,
        body: FaultChange,
        response: { 200: Fault },
      },
      config: {
        permission: "fault:update",
        ifMatch: true,
        spared: true,
        errors: [faultErrors.not_allowed, faultErrors.bad_setting, ...unknown],
      },
    },
    (request, reply) => {
      const version = expectedVersion(request);
      return mutate(request, reply, 200, async (tx) => {
        const { point } = request.params;
        const before = current(await faultBoard.lock(tx, point), version);
        const after = await faultBoard.arm(tx, point, request.body);
        const resource = { type: "fault", id: point };
        auditPlatform(tx, { action: "fault.set", resource, before, after });
        return after;
      });
    },
  );

  app.delete(
    "/admin/faults/:point",
    {
      schema: {
        summary: "Clear a fault point",
        description: everywhere,
        tags,
        params: ByPoint,
        response: { 204: NoContent },
      },
      config: { permission: "fault:update", spared: true, errors: unknown },
    },
    (request, reply) => {
      const version = optionalVersion(request);
      return mutate(request, reply, 204, async (tx) => {
        const { point } = request.params;
        const before = current(await faultBoard.lock(tx, point), version);
        if (!before.armed) {
          throw requestErrors.not_found({ detail: `Nothing is armed at "${point}".` });
        }
        await faultBoard.clear(tx, point);
        const resource = { type: "fault", id: point };
        auditPlatform(tx, { action: "fault.clear", resource, before });
      });
    },
  );
};
