import { audit } from "#kernel/audit/audit.ts";
import type { PlatformTask } from "#kernel/jobs/types.ts";
import { createTenants } from "#kernel/tenancy/tenants.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { leaseResource, tellLease } from "../changes/apply.ts";
import type { Lease } from "../rules/lease.ts";
import { leaseOf } from "../store/lease-row.ts";
import { listRunning, lockLease } from "../store/leases.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";
import type { LeasesDeps } from "../types.ts";

const flag = "chaos_monkey";
/** Those that one is chosen from. */
const lookedAtMost = 1_000;

/**
 * Ends the program of one running lease of each tenant that has opted in: one for which the flag is
 * on by an override of its own. What the flag is for all opts nobody in.
 */
export const chaosTask: PlatformTask<LeasesDeps> = {
  title: "End a lease's program, of tenants that want to see what happens then",
  scope: "platform",
  timeoutMs: 50_000,
  maxAttempts: 1,
  async run(_payload, { deps, signal, log, actor, requestId }) {
    const { db, clock, flags } = deps;
    const tenants = createTenants({ db, clock });
    const optedIn = flags.get(flag)?.tenants.filter(({ on }) => on) ?? [];
    for (const { tenantId } of optedIn) {
      signal.throwIfAborted();
      const tenant = await tenants.ref(tenantId);
      if (!tenant) continue;
      try {
        await killOne(deps, tenant, { actor, requestId });
      } catch (error) {
        log.warn({ err: error, tenant: tenantId }, "the chaos monkey could not end a lease");
      }
    }
  },
};

type On = NonNullable<Parameters<LeasesDeps["db"]["inTenant"]>[2]>;

async function killOne(deps: LeasesDeps, tenant: TenantRef, on: On): Promise<void> {
  const { db, random, fleet, engine } = deps;
  const ids = await listRunning(db, tenant, null, lookedAtMost);
  const id = ids[Math.floor(random.float() * ids.length)];
  if (id === undefined) return;
  const lease = await announce(deps, tenant, id, on);
  if (lease === null) return;
  // Without a grace, as when the program crashes.
  await fleet.at(lease).stop(lease.containerId as string, 0);
  await engine.observe(tenant, id);
}

/** Told before it is done, so that nobody looks for the cause of what has none on record. */
async function announce(
  { db, clock, config }: LeasesDeps,
  tenant: TenantRef,
  id: string,
  on: On,
): Promise<Lease | null> {
  return db.inTenant(
    tenant,
    async (tx) => {
      const [locked, moment] = await tx.batch([lockLease(id), selectNow(clock)]);
      const row = locked?.rows[0];
      const lease = row ? leaseOf(row) : null;
      if (lease?.state !== "running" || lease.containerId === null) return null;
      const { containerId, generation } = lease;
      const resource = leaseResource(lease);
      audit(tx, { action: "lease.chaos_killed", resource, after: { containerId, generation } });
      tellLease(tx, config.publicUrl, "lease.chaos_killed", lease, nowMsIn(moment));
      return lease;
    },
    on,
  );
}
