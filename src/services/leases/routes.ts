import type { Routes } from "#kernel/service.ts";
import { adminRoutes } from "./routes/admin.ts";
import { askRoutes } from "./routes/asks.ts";
import { infoRoutes } from "./routes/info.ts";
import { leaseRoutes } from "./routes/leases.ts";
import { snapshotRoutes } from "./routes/snapshots.ts";
import { templateRoutes } from "./routes/templates.ts";
import { usageRoutes } from "./routes/usage.ts";
import type { LeasesDeps } from "./types.ts";

/** Every area of leases. */
export const leasesRoutes: Routes<LeasesDeps> = (app, deps) => {
  infoRoutes(app, deps);
  templateRoutes(app, deps);
  usageRoutes(app, deps);
  leaseRoutes(app, deps);
  askRoutes(app, deps);
  snapshotRoutes(app, deps);
  adminRoutes(app, deps);
};
