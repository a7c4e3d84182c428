import type { Routes } from "#kernel/service.ts";
import { adminRoutes } from "./routes/admin.ts";
import { askRoutes } from "./routes/asks.ts";
import { execRoutes } from "./routes/exec.ts";
import { fileRoutes } from "./routes/files.ts";
import { infoRoutes } from "./routes/info.ts";
import { leaseRoutes } from "./routes/leases.ts";
import { logRoutes } from "./routes/logs.ts";
import { portRoutes } from "./routes/ports.ts";
import { snapshotRoutes } from "./routes/snapshots.ts";
import { statsRoutes } from "./routes/stats.ts";
import { terminalRoutes } from "./routes/terminal.ts";
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
  execRoutes(app, deps);
  logRoutes(app, deps);
  fileRoutes(app, deps);
  statsRoutes(app, deps);
  terminalRoutes(app, deps);
  portRoutes(app, deps);
  snapshotRoutes(app, deps);
  adminRoutes(app, deps);
};
