import { Problem } from "../errors.ts";
import { outgoingErrors } from "./outgoing-errors.ts";
import type { OutgoingResponse } from "./outgoing-response.ts";
import type { Policies } from "./policies.ts";
import type { Policy } from "./policy-types.ts";

const breaker = { consecutiveFailures: 5, halfOpenAfterMs: 30_000 };
const bulkhead = { concurrent: 16, queued: 1_000 };
/** Wrong in themselves, and no sign that the server is not well. */
const harmless = new Set([
  outgoingErrors.too_large.code,
  outgoingErrors.too_many_redirects.code,
  outgoingErrors.bad_response.code,
]);

/** An answer that says that nobody is there, thrown so that a policy takes it for a failure. */
export class HostGone extends Error {
  readonly response: OutgoingResponse;

  constructor(response: OutgoingResponse) {
    super(`the host answered ${response.status}`);
    this.name = "HostGone";
    this.response = response;
  }
}

/**
 * Whether somebody in between answered for a server that is not there. 500 is not among them: it is
 * one request's misfortune, and another one to the same host may go well.
 */
export function isGone({ status }: Pick<OutgoingResponse, "status">): boolean {
  return status === 502 || status === 503 || status === 504;
}

function isFailure(error: unknown): boolean {
  return !(error instanceof Problem) || (error.status >= 500 && !harmless.has(error.code));
}

/** The policy of a host and, where the request is a tenant's, of that tenant there. */
export function hostPolicy(
  policies: Pick<Policies, "for">,
  { origin }: URL,
  tenantId: string | undefined,
): Policy {
  const name = `outgoing ${origin}${tenantId === undefined ? "" : ` ${tenantId}`}`;
  const group = "outgoing";
  return policies.for(name, { timeoutMs: null, group, breaker, bulkhead, isFailure });
}
