import { audit } from "#kernel/audit/audit.ts";
import { requestErrors } from "#kernel/errors.ts";
import { NoContent } from "#kernel/http/schemas.ts";
import { faultErrors } from "#kernel/resilience/faults.ts";
import type { Routes } from "#kernel/service.ts";
import { ByPoint, Fault, FaultChange, Faults } from "../schemas/faults.ts";

const tags = ["administration"];
const perProcess = "Faults are those of the process that answers; each replica has its own.";

/** Faults that were told to happen, to see what happens then. */
export const faultRoutes: Routes = (app, { faults, mutate }) => {
  app.get(
    "/admin/faults",
    {
      schema: {
        summary: "List injected faults",
        description: perProcess,
        tags,
        response: { 200: Faults },
      },
      config: { permission: "fault:read" },
    },
    async () => ({ items: faults.list() }),
  );

  app.put(
    "/admin/faults/:point",
    {
      schema: {
        summary: "Inject a fault",
        description: `${perProcess} Refused in production unless FLAG_FAULTS=1.`,
        tags,
        params: ByPoint,
        body: FaultChange,
        response: { 200: Fault },
      },
      config: {
        permission: "fault:update",
        errors: [faultErrors.not_allowed, faultErrors.bad_setting, faultErrors.too_many],
      },
    },
    (request, reply) =>
      mutate(request, reply, 200, async (tx) => {
        const { point } = request.params;
        const after = faults.set(point, request.body);
        audit(tx, { action: "fault.set", resource: { type: "fault", id: point }, after });
        return after;
      }),
  );

  app.delete(
    "/admin/faults/:point",
    {
      schema: {
        summary: "Clear a fault",
        description: perProcess,
        tags,
        params: ByPoint,
        response: { 204: NoContent },
      },
      config: { permission: "fault:update" },
    },
    (request, reply) =>
      mutate(request, reply, 204, async (tx) => {
        const { point } = request.params;
        if (!faults.clear(point)) throw requestErrors.not_found();
        audit(tx, { action: "fault.clear", resource: { type: "fault", id: point } });
      }),
  );
};
