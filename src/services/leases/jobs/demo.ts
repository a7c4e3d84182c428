import { audit, resourceHistory } from "#kernel/audit/audit.ts";
import type { TenantTask } from "#kernel/jobs/types.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { createLease } from "../changes/create.ts";
import { wishLease } from "../changes/leases.ts";
import { readLimits } from "../changes/limits.ts";
import { demoLeases } from "../demo/leases.ts";
import { pastLeases } from "../demo/today.ts";
import { waitFor } from "../engine/wait.ts";
import { systemCaller } from "../rules/callers.ts";
import type { Lease } from "../rules/lease.ts";
import { isEnding } from "../rules/lifecycle.ts";
import { getLease } from "../store/leases.ts";
import { findTemplate } from "../store/templates.ts";
import type { LeasesDeps } from "../types.ts";

/** An image may have to be fetched first. */
const startsWithinSeconds = 60;

/**
 * Fills the demo's tenant: with leases of the last days and, where an engine is at hand, with some
 * that run. They end by themselves. What is there already is not made again.
 */
export const demoTask: TenantTask<LeasesDeps> = {
  title: "Make the demo's leases",
  timeoutMs: 3 * 60_000,
  maxAttempts: 3,
  async run(_payload, { deps, tenant, actor, requestId }) {
    const on = { actor, requestId };
    const isHere = await hasEngine(deps, tenant);
    const last = await deps.db.inTenant(
      tenant,
      async (tx) => {
        const resource = { type: "demo", id: "leases.leases" };
        if ((await resourceHistory(tx, resource, { limit: 1 })).length > 0) return null;
        audit(tx, { action: "demo.fill", resource });
        await pastLeases(tx, deps);
        let made: Lease | null = null;
        for (const wanted of isHere ? demoLeases : []) {
          if (!(await findTemplate(tx, wanted.template))) continue;
          made = (await createLease(tx, deps, wanted)).lease;
        }
        return made;
      },
      on,
    );
    if (last) await pauseWhenUp(deps, tenant, last, on);
  },
};

async function hasEngine(deps: LeasesDeps, tenant: TenantRef): Promise<boolean> {
  const limits = await deps.db.inTenant(tenant, (tx) => readLimits(tx, deps));
  return (await deps.fleet.look(limits)).chosen !== null;
}

type On = NonNullable<Parameters<LeasesDeps["db"]["inTenant"]>[2]>;

async function pauseWhenUp(
  deps: LeasesDeps,
  tenant: TenantRef,
  { id }: Lease,
  on: On,
): Promise<void> {
  const { db, clock, fleet } = deps;
  const found = await waitFor(deps, {
    id,
    seconds: startsWithinSeconds,
    read: () => getLease(db, tenant, { id, ownerId: null, clock }),
    isDone: (read) => read === null || read.lease.state === "running" || isEnding(read.lease),
  });
  if (found?.lease.state !== "running" || !(await fleet.at(found.lease).info()).canPause) return;
  await db.inTenant(tenant, (tx) => wishLease(tx, deps, "pause", { id, caller: systemCaller }), on);
}
