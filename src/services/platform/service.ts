import type { PlatformDeps } from "#kernel/platform-parts.ts";
import { defineService } from "#kernel/service.ts";
import { platformErrors } from "./errors.ts";
import { platformJobs } from "./jobs.ts";
import { platformPermissions } from "./permissions.ts";
import { platformAreas, platformRoutes } from "./routes.ts";
import { jwksRoutes } from "./routes/signing-keys.ts";
import { platformSettings } from "./schemas/settings.ts";

/** The kernel's own API: accounts, members, keys, tenants, audit, events, administration. */
export const platform = defineService<PlatformDeps>({
  name: "platform",
  permissions: platformPermissions,
  errors: platformErrors,
  routes: platformRoutes,
  areas: platformAreas,
  rootRoutes: jwksRoutes,
  settings: platformSettings,
  jobs: platformJobs,
});
