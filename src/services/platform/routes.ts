import type { PlatformDeps } from "#kernel/platform-parts.ts";
import type { Routes } from "#kernel/service.ts";
import { breakerRoutes } from "./routes/breakers.ts";
import { faultRoutes } from "./routes/faults.ts";
import { flagRoutes } from "./routes/flags.ts";
import { settingsRoutes } from "./routes/settings.ts";

/** Every area of the kernel's API. */
export const platformRoutes: Routes<PlatformDeps> = (app, deps) => {
  breakerRoutes(app, deps);
  faultRoutes(app, deps);
  flagRoutes(app, deps);
  settingsRoutes(app, deps);
};
