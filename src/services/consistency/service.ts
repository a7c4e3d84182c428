import type { Clock } from "#kernel/clock.ts";
import { defineService, type KernelDeps, type Service } from "#kernel/service.ts";
import { consistencyDemo } from "./demo/stores.ts";
import { openEngine } from "./engines/open.ts";
import {
  createEngines,
  type Engines,
  type OpenEngine,
  type RegistryLimits,
} from "./engines/registry.ts";
import { createGauges } from "./engines/registry-metrics.ts";
import { consistencyErrors } from "./errors.ts";
import { consistencyEvents } from "./events.ts";
import { createChecker } from "./jobs/checker.ts";
import { createRuns } from "./jobs/runs.ts";
import { consistencyPermissions } from "./permissions.ts";
import { consistencyRoutes } from "./routes.ts";
import { allowedNodesOf, hostsVariable } from "./rules/hosts.ts";
import type { ConsistencyDeps } from "./types.ts";

/** Given in place of the real ones, for tests of what stands on them. */
export interface Overrides {
  readonly openEngine?: OpenEngine;
  /** By which engines and runs live; the process's own unless given. */
  readonly engineClock?: Clock;
  readonly limits?: RegistryLimits;
}

/** What replicated stores promise, and whether they keep it. */
export const consistencyService = (overrides: Overrides = {}): Service<ConsistencyDeps> =>
  defineService<ConsistencyDeps>({
    name: "consistency",
    permissions: consistencyPermissions,
    errors: consistencyErrors,
    events: consistencyEvents,
    routes: consistencyRoutes,
    areas: {
      consistency:
        "Replicated stores in which every request picks its guarantee, and checks of it.",
    },
    demo: consistencyDemo,
    variables: [hostsVariable],
    migrations: new URL("./migrations/", import.meta.url),
    start: (deps) => start(deps, overrides),
  });

/** What replicated stores promise, over embedded replica sets, Redis and etcd. */
export const consistency = consistencyService();

async function start(deps: KernelDeps, overrides: Overrides) {
  const clock = overrides.engineClock ?? deps.clock;
  // Whoever scrapes asks for the engines later than this.
  const made: { engines?: Engines } = {};
  const gauges = createGauges(deps.metrics, () => made.engines!);
  const engines = createEngines({
    ...deps,
    clock,
    openEngine: overrides.openEngine ?? openEngine,
    ...(overrides.limits && { limits: overrides.limits }),
  });
  made.engines = engines;
  const checker = createChecker({ clock });
  const runs = createRuns({ ...deps, clock, checker, gauges });
  engines.start();
  return {
    deps: {
      ...deps,
      clock,
      allowedNodes: allowedNodesOf(deps.config.service),
      engines,
      checker,
      runs,
      gauges,
    },
    async stop() {
      await runs.stop();
      await checker.stop();
      await engines.stop();
    },
  };
}
