import type { Routes } from "#kernel/service.ts";
import { checkRoutes } from "./routes/checks.ts";
import { keyRoutes } from "./routes/keys.ts";
import { runRoutes } from "./routes/runs.ts";
import { statusRoutes } from "./routes/status.ts";
import { storeRoutes } from "./routes/stores.ts";
import type { ConsistencyDeps } from "./types.ts";

/** Every area of consistency. */
export const consistencyRoutes: Routes<ConsistencyDeps> = (app, deps) => {
  storeRoutes(app, deps);
  keyRoutes(app, deps);
  statusRoutes(app, deps);
  runRoutes(app, deps);
  checkRoutes(app, deps);
};
