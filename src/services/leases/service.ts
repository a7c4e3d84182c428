import { createTenants } from "#kernel/tenancy/tenants.ts";
import { defineService, type KernelDeps, type Service } from "#kernel/service.ts";
import type { SettingCatalogue } from "#kernel/settings.ts";
import { lookAtPools } from "./changes/warm.ts";
import { leasesDemo } from "./demo/today.ts";
import { createEngine } from "./engine/engine.ts";
import { leasesFaultPoints } from "./engine/fault-points.ts";
import { createFleet, type OpenRuntime } from "./engine/fleet.ts";
import { createHub } from "./engine/hub.ts";
import { createGauges } from "./engine/metrics.ts";
import { openerOf, runtimeVariables } from "./engine/open.ts";
import { createTerminals } from "./engine/terminals.ts";
import { leasesErrors } from "./errors.ts";
import { leasesEvents } from "./events.ts";
import { leasesJobs } from "./jobs.ts";
import { leasesPermissions } from "./permissions.ts";
import { leasesRoutes } from "./routes.ts";
import { leasesConfigOf } from "./rules/config.ts";
import { leasesSettings } from "./rules/settings.ts";
import { runtimeErrors } from "./runtimes/errors.ts";
import { installationId } from "./store/due.ts";
import type { LeasesDeps } from "./types.ts";

const installIdBytes = 5;

const settings: SettingCatalogue = {
  ...leasesSettings,
  // What is so chosen is seen at once, not only within a minute.
  warm_platform_templates: { ...leasesSettings.warm_platform_templates, changed: lookAtPools },
};

/** Given in place of the real runtimes, for tests of what stands on them. */
export interface Overrides {
  readonly open?: OpenRuntime;
}

/** Containers for a limited time; with the runtimes that `overrides` opens. */
export const leasesService = (overrides: Overrides = {}): Service<LeasesDeps> =>
  defineService<LeasesDeps>({
    name: "leases",
    permissions: leasesPermissions,
    errors: { ...leasesErrors, ...runtimeErrors },
    events: leasesEvents,
    routes: leasesRoutes,
    areas: {
      leases: "Containers for a limited time.",
      snapshots: "What is kept of them.",
    },
    jobs: leasesJobs,
    faultPoints: leasesFaultPoints,
    variables: ["LEASES_", "DOCKER_HOST", "KUBECONFIG"],
    settings,
    migrations: new URL("./migrations/", import.meta.url),
    demo: leasesDemo,
    start: (deps) => start(deps, overrides),
  });

/** Containers for a limited time, from Docker, Kubernetes or plain processes. */
export const leases = leasesService();

async function start(deps: KernelDeps, overrides: Overrides) {
  const { config, db, clock, random, log, metrics } = deps;
  const told = leasesConfigOf(config.service, runtimeVariables);
  const installId = await installationId(db, random.bytes(installIdBytes).toString("hex"));
  const open = overrides.open ?? openerOf({ ...deps, leases: told, installId });
  const fleet = createFleet({ open, leases: told, env: config.env, clock });
  const hub = createHub();
  const terminals = createTerminals(deps);
  const gauges = createGauges(metrics, db, clock);
  const engine = createEngine({
    ...deps,
    leases: told,
    tenants: createTenants({ db, clock }),
    publicUrl: config.publicUrl,
    installId,
    fleet,
    gauges,
    onChange: (id) => hub.tell(id),
  });
  return {
    deps: { ...deps, leases: told, installId, fleet, engine, hub, terminals, gauges },
    begin() {
      engine.start();
      const { stopped } = engine;
      engine.reconcile(stopped).catch((error) => {
        if (stopped.aborted) return;
        log.warn({ err: error }, "leases could not be reconciled at the start");
      });
    },
    async stop() {
      await terminals.stop();
      await engine.stop();
      await fleet.close();
    },
  };
}
