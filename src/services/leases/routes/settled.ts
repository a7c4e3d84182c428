import { etag } from "#kernel/http/etag.ts";
import type { MutatingReply, MutatingRequest } from "#kernel/http/types.ts";
import { waitFor } from "../engine/wait.ts";
import type { Lease } from "../rules/lease.ts";
import { isEnding } from "../rules/lifecycle.ts";
import { shownLease } from "../rules/views.ts";
import type { Lease as ShownLease } from "../schemas/leases.ts";
import { getLease } from "../store/leases.ts";
import type { LeasesDeps } from "../types.ts";

/** Whether nothing is being done about a lease: it is as it is to be, or it ends. */
export const isSettled = (lease: Lease): boolean =>
  isEnding(lease) || lease.state === lease.desired;

/**
 * Answers with what a change has answered, or, where the caller waits, with the lease as it is once
 * nothing is being done about it any more, at the latest after so many seconds. For a handler to
 * return, after `mutate`.
 */
export async function settledLease(
  deps: LeasesDeps,
  request: MutatingRequest,
  reply: MutatingReply,
  { lease, seconds }: { lease: ShownLease; seconds: number },
): Promise<ShownLease> {
  if (seconds === 0) return lease;
  const { db, clock, config } = deps;
  const { tenant } = request;
  const read = () => getLease(db, tenant, { id: lease.id, ownerId: null, clock });
  const found = await waitFor(deps, {
    id: lease.id,
    seconds,
    read,
    isDone: (one) => one === null || isSettled(one.lease),
  });
  if (found === null) return lease;
  const { publicUrl } = config;
  const shown = shownLease(found.lease, found.nowMs, { tenantId: tenant.id, publicUrl });
  writeAnew(reply, shown.version);
  return shown;
}

/** The change's own bytes are kept for its idempotency key; what is sent is of a later moment. */
export function writeAnew(reply: MutatingReply, version: number): void {
  reply.header("etag", etag(version));
  const serialize = reply.getSerializationFunction(String(reply.statusCode));
  if (serialize) reply.serializer((body) => serialize(body as Record<string, unknown>));
}
