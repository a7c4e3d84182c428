import { type Loop, startLoop } from "#kernel/jobs/loop.ts";
import type { Runtime, RuntimeEvent } from "../runtimes/types.ts";
import { observeLease } from "./observe.ts";
import { observeWarm } from "./warm-work.ts";
import type { Works } from "./works.ts";

const lookEveryMs = 5_000;

/**
 * Listens to what happens to containers without our asking, on every runtime that this process has
 * opened: a crash is seen at once. What is missed, reconciling finds.
 */
export function startWatch(works: Works): Loop {
  const { fleet, clock, log, stopping } = works;
  const watched = new Set<Runtime>();
  const watch = async (runtime: Runtime): Promise<void> => {
    try {
      for await (const event of runtime.events(stopping)) await heed(works, event);
    } catch (error) {
      if (!stopping.aborted) log.info({ err: error, runtime: runtime.name }, "events have ended");
    } finally {
      watched.delete(runtime);
    }
  };
  const loop = startLoop({
    name: "leases watch",
    everyMs: lookEveryMs,
    clock,
    log,
    async run() {
      for (const { runtime } of fleet.opened()) {
        if (watched.has(runtime)) continue;
        watched.add(runtime);
        // Ends by itself; what goes wrong is logged there.
        void watch(runtime);
      }
      return false;
    },
  });
  fleet.onOpen(() => loop.wake());
  return loop;
}

/** An event is a hint: what is true, the container itself is asked. */
async function heed(works: Works, { identity, type }: RuntimeEvent): Promise<void> {
  const { tenantId, leaseId } = identity;
  try {
    const tenant = await works.tenants.known(tenantId);
    if (tenant === null) return;
    const seen = await observeLease(works, tenant, leaseId);
    if (seen === "none") await observeWarm(works, tenant, leaseId);
  } catch (error) {
    works.log.warn({ err: error, lease: leaseId, type }, "an event could not be heeded");
  }
}
