import { readLimits } from "../changes/limits.ts";
import type { Limits } from "../rules/config.ts";
import type { RuntimeName } from "../runtimes/types.ts";
import type { Works } from "./works.ts";

/** Where a tenant has engines of its own. */
function placesOf({ runtime, dockerHost, kubeconfig }: Limits) {
  const found: { runtime: RuntimeName; runtimePlace: string | null }[] = [
    { runtime: "docker", runtimePlace: dockerHost },
    { runtime: "kubernetes", runtimePlace: kubeconfig },
  ];
  const isMeant = (name: RuntimeName) => runtime === "auto" || runtime === name;
  return found.flatMap(({ runtime: name, runtimePlace }) =>
    runtimePlace !== null && isMeant(name) ? [{ runtime: name, runtimePlace }] : [],
  );
}

/**
 * Opens tenants' own engines, so that what was left there is found though nobody leases from them
 * any more: a process knows only those that it has had to do with.
 */
export async function openPlaces(works: Works, signal: AbortSignal): Promise<void> {
  const { db, fleet, log, tenants } = works;
  for await (const tenant of tenants.each()) {
    signal.throwIfAborted();
    const limits = await db.inTenant(tenant, (tx) => readLimits(tx, works));
    for (const place of placesOf(limits)) {
      try {
        fleet.at(place);
      } catch (error) {
        log.warn({ err: error, tenant: tenant.id }, "a tenant's own engine can't be opened");
      }
    }
  }
}
