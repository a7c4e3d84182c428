import type { Routes } from "#kernel/service.ts";
import { auditPlatform } from "#kernel/audit/platform.ts";
import { Problem } from "#kernel/errors.ts";
import { shownDrift as shown } from "../engine/drift.ts";
import { Drift, Repaired, RepairRequest } from "../schemas/admin.ts";
import type { FoundDrift, LeasesDeps } from "../types.ts";

const minutesMost = 2;

/** What platform admins see of how containers and leases agree. */
export const adminRoutes: Routes<LeasesDeps> = (app, { engine, db, log }) => {
  app.get(
    "/admin/leases/drift",
    {
      schema: {
        summary: "See where containers and leases differ",
        description:
          "Of every tenant, as of now. What is shown is repaired by itself within a minute; a " +
          "container without a lease is left alone for the first minute of its life.",
        response: { 200: Drift },
      },
      config: { permission: "drift:read" },
    },
    async () => {
      const report = await engine.drift(AbortSignal.timeout(minutesMost * 60_000));
      return {
        ...report,
        items: report.items.map(shown),
        unreachable: [...report.unreachable],
      };
    },
  );

  app.post(
    "/admin/leases/drift/repair",
    {
      schema: {
        summary: "Repair where containers and leases differ",
        description: "All of it, or what is of a tenant, a kind or a container.",
        body: RepairRequest,
        response: { 200: Repaired },
      },
      config: { permission: "drift:repair" },
    },
    async (request) => {
      const { body } = request;
      const report = await engine.drift(AbortSignal.timeout(minutesMost * 60_000));
      const repaired: ReturnType<typeof shown>[] = [];
      const failed: { item: ReturnType<typeof shown>; problem: string }[] = [];
      for (const drift of report.items.filter((one) => isMeant(one, body))) {
        try {
          await engine.repair(drift);
          repaired.push(shown(drift));
        } catch (error) {
          log.warn({ err: error, drift: shown(drift) }, "a difference could not be repaired");
          const problem = error instanceof Problem ? error.message : "Something stood in the way.";
          failed.push({ item: shown(drift), problem });
        }
      }
      const { tenant, actor, id } = request;
      await db.inTenant(
        tenant,
        async (tx) => {
          const resource = { type: "lease_drift", id: tenant.id };
          const after = { asked: body, repaired: repaired.length, failed: failed.length };
          auditPlatform(tx, { action: "drift.repair", resource, after });
        },
        { actor, requestId: id },
      );
      return { repaired, failed };
    },
  );
};

function isMeant(
  drift: FoundDrift,
  { tenantId, kind, containerId }: { tenantId?: string; kind?: string; containerId?: string },
): boolean {
  return (
    (tenantId === undefined || drift.tenantId === tenantId) &&
    (kind === undefined || drift.kind === kind) &&
    (containerId === undefined || drift.containerId === containerId)
  );
}
