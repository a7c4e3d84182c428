import { createSeats } from "#kernel/http/seats.ts";
import type { MutatingReply, MutatingRequest } from "#kernel/http/types.ts";
import { type Access, type AccessRequest, openLease } from "../changes/access.ts";
import { leasesErrors } from "../errors.ts";
import type { LeasesDeps } from "../types.ts";
import { callerOf } from "./caller.ts";

/** The container of the lease that a request names, for its caller; see `openLease`. */
export function accessOf(
  deps: LeasesDeps,
  { tenant, params, principal }: MutatingRequest,
  ask: AccessRequest["ask"],
  permission: string,
): Promise<Access> {
  const { id } = params as { id: string };
  return openLease(deps, { tenant, id, caller: callerOf(principal), permission, ask });
}

/**
 * A signal that is aborted when whoever asked goes away before it has its answer. To be made before
 * anything is waited for.
 */
export function whenGone(reply: MutatingReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once("close", () => {
    if (reply.raw.writableFinished) return;
    gone.abort(Object.assign(new Error("The client has gone"), { code: "ECONNRESET" }));
  });
  return gone.signal;
}

export interface LeaseSeats {
  /** Answers how to give the seat back. Throws `busy` where none is left. */
  enter(tenantId: string, leaseId: string): () => void;
}

/** How many of something this process does at once: for all, a tenant, and in one lease. */
export function leaseSeats(
  what: string,
  limits: { max: number; perTenantMax: number; perLeaseMax: number },
): LeaseSeats {
  const { perTenantMax, perLeaseMax } = limits;
  const seats = createSeats(limits);
  const leases = createSeats({ max: limits.max, perTenantMax: perLeaseMax });
  const busy = () =>
    leasesErrors.busy({
      detail:
        `There may be ${perLeaseMax} ${what} at once in a lease and ${perTenantMax} in all of a ` +
        "tenant's; try again when one is over.",
      headers: { "retry-after": "2" },
    });
  return {
    enter(tenantId, leaseId) {
      const leaveLease = leases.take(leaseId);
      if (!leaveLease) throw busy();
      const leave = seats.take(tenantId);
      if (!leave) leaveLease();
      if (!leave) throw busy();
      return () => {
        leave();
        leaveLease();
      };
    },
  };
}
