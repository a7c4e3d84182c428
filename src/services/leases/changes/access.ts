import type { TenantRef } from "#kernel/tenancy/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import { type Caller, ownerLimit } from "../rules/callers.ts";
import type { Lease } from "../rules/lease.ts";
import type { Ask } from "../rules/lifecycle.ts";
import type { Runtime } from "../runtimes/types.ts";
import { getLease, touchLease } from "../store/leases.ts";
import type { LeasesDeps } from "../types.ts";
import { assertAsk } from "./asked.ts";

/** Who wants to reach into a lease, and under which permission: `lease:exec`, `lease:logs`. */
export interface AccessRequest {
  readonly tenant: TenantRef;
  readonly id: string;
  readonly caller: Caller;
  readonly permission: string;
  /**
   * `use` for whatever changes or reaches the container, `logs` for reading what it wrote, `stats`
   * for what it uses.
   */
  readonly ask: Extract<Ask, "use" | "logs" | "stats">;
}

/** A lease's container, for who may reach it. */
export interface Access {
  readonly lease: Lease;
  readonly runtime: Runtime;
  readonly containerId: string;
}

/**
 * Finds the container of a lease for a caller: the one way to it for logs, exec, files, terminals,
 * statistics and ports. It counts as no use yet: see `whileInUse`. Throws the kernel's `not_found`,
 * `over` and `wrong_state`.
 */
export async function openLease(
  { db, clock, fleet }: Pick<LeasesDeps, "db" | "clock" | "fleet">,
  { tenant, id, caller, permission, ask }: AccessRequest,
): Promise<Access> {
  const ownerId = ownerLimit(caller, permission);
  const read = await getLease(db, tenant, { id, ownerId, clock });
  if (!read) throw requestErrors.not_found();
  const { lease, nowMs } = read;
  // What an ending lease wrote can be read as long as its container is there.
  if (ask !== "logs" || lease.state !== "stopping") assertAsk(lease, ask, nowMs);
  if (lease.containerId === null) {
    throw requestErrors.unavailable({ detail: "The lease has no container yet." });
  }
  return { lease, runtime: fleet.at(lease), containerId: lease.containerId };
}

const touchEveryMs = 10_000;

/**
 * Does something that counts as use of a lease: while `work` runs, the lease is not idle. Passive
 * reading (logs, statistics, the lease itself) is no use, and does without.
 */
export async function whileInUse<T>(
  deps: Pick<LeasesDeps, "db" | "clock" | "log">,
  tenant: TenantRef,
  leaseId: string,
  work: () => Promise<T>,
): Promise<T> {
  const { db, clock, log } = deps;
  const touch = () => touchLease(db, tenant, { id: leaseId, clock });
  const over = new AbortController();
  const going = async () => {
    for (;;) {
      await clock.sleep(touchEveryMs, over.signal);
      await touch().catch((error) => log.warn({ err: error, lease: leaseId }, "use not noted"));
    }
  };
  await touch();
  // Ends by the signal, when the work is done.
  going().catch(() => {});
  try {
    return await work();
  } finally {
    over.abort();
    await touch().catch((error) => log.warn({ err: error, lease: leaseId }, "use not noted"));
  }
}
