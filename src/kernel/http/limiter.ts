import type { FastifyReply, FastifyRequest } from "fastify";
import { requestErrors } from "../errors.ts";
import type { Principal } from "../identity/types.ts";
import type { TenantRef } from "../tenancy/types.ts";
import {
  addressKey,
  type Buckets,
  type Limit,
  limitHeader,
  policyHeader,
  type Verdict,
} from "./ratelimit.ts";

export interface LimiterOptions {
  buckets: Buckets;
  anonymousPerMinute: number;
  anonymousBurst: number;
  tenantPerMinute: number;
  /** An API key's own limit within its tenant's; without one the tenant's is the only one. */
  keyPerMinute?: number;
  /** A tenant's own limit per minute, from memory; null for the default. */
  tenantLimit?: (tenant: TenantRef) => number | null;
}

/** Called with null when the request may pass, else with the problem. */
export type Decide = (refusal: Error | null) => void;

export interface Limiter {
  /** Takes from the bucket of the client's address. */
  anonymous(request: FastifyRequest, reply: FastifyReply, decide: Decide): void;
  /** Takes from the tenant's bucket, and from the key's where there is one. */
  caller(caller: Pick<Principal, "actor" | "tenant">, reply: FastifyReply, decide: Decide): void;
}

interface Policy {
  limit: Limit;
  header: string;
}

/** Distinct limits that tenants have been given; their policies are few and made once. */
const POLICIES_MAX = 1_000;

/**
 * Decides whether requests may pass, and says so in `RateLimit` and `RateLimit-Policy` of every
 * answer. Callbacks, not promises: with buckets in memory everything happens at once.
 */
export function createLimiter(options: LimiterOptions): Limiter {
  const { buckets, tenantPerMinute, keyPerMinute } = options;
  const address = policyOf({
    name: "address",
    perMinute: options.anonymousPerMinute,
    burst: options.anonymousBurst,
  });
  const key = keyPerMinute === undefined ? null : minutely("key", keyPerMinute);
  const tenants = new Map<number, Policy>();

  function tenantPolicy(tenant: TenantRef): Policy {
    const perMinute = options.tenantLimit?.(tenant) ?? tenantPerMinute;
    let policy = tenants.get(perMinute);
    if (!policy) {
      if (tenants.size === POLICIES_MAX) tenants.clear();
      policy = minutely("tenant", perMinute);
      tenants.set(perMinute, policy);
    }
    return policy;
  }

  function take(bucket: string, policy: Policy, reply: FastifyReply, decide: Decide): void {
    const verdict = buckets.take(bucket, policy.limit);
    if (verdict instanceof Promise) {
      verdict.then((answer) => settle(policy, answer, reply, decide), decide);
    } else settle(policy, verdict, reply, decide);
  }

  return {
    anonymous: (request, reply, decide) => take(addressKey(request.ip), address, reply, decide),
    caller({ tenant, actor }, reply, decide) {
      const policy = tenantPolicy(tenant);
      if (!key || actor.kind !== "api_key") return take(tenant.id, policy, reply, decide);
      take(actor.id, key, reply, (refusal) => {
        if (refusal) decide(refusal);
        else take(tenant.id, policy, reply, decide);
      });
    },
  };
}

/** A minute's worth may come at once: what the policy promises is what a client can use. */
function minutely(name: string, perMinute: number): Policy {
  return policyOf({ name, perMinute, burst: perMinute });
}

function policyOf(limit: Limit): Policy {
  return { limit, header: policyHeader(limit) };
}

function settle(policy: Policy, verdict: Verdict, reply: FastifyReply, decide: Decide): void {
  const { limit } = policy;
  reply.header("ratelimit-policy", policy.header);
  reply.header("ratelimit", limitHeader(limit, verdict));
  if (verdict.allowed) return decide(null);
  const waitSeconds = Math.max(1, Math.ceil(verdict.retryInMs / 1_000));
  decide(
    requestErrors.rate_limited({
      detail: `${limit.perMinute} requests a minute per ${limit.name}; wait ${waitSeconds} s.`,
      headers: { "retry-after": String(waitSeconds) },
    }),
  );
}
