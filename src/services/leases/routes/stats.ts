import { isoNow } from "#kernel/clock.ts";
import { ById } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { Stats } from "../schemas/stats.ts";
import type { LeasesDeps } from "../types.ts";
import { reachErrors } from "./exec.ts";
import { accessOf } from "./reach.ts";

/** What containers use. */
export const statsRoutes: Routes<LeasesDeps> = (app, deps) => {
  app.get(
    "/leases/:id/stats",
    {
      schema: {
        summary: "See what a lease uses",
        description: "As its engine says at this moment. Looking is no use of the lease.",
        params: ById,
        response: { 200: Stats },
      },
      config: { permission: "lease:read", errors: reachErrors },
    },
    async (request) => {
      const { runtime, containerId } = await accessOf(deps, request, "stats", "lease:read");
      const stats = await runtime.stats(containerId);
      return { at: isoNow(deps.clock), ...stats };
    },
  );
};
