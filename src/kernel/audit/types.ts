import type { Actor } from "../tenancy/types.ts";

export interface AuditInput {
  /** `<resource>.<verb>`: "shop.create". */
  action: string;
  resource: { type: string; id: string };
  /** What the resource was; absent when it is new. Secrets in it are redacted. */
  before?: unknown;
  /** What the resource has become; absent when it is gone. */
  after?: unknown;
}

export interface AuditRecord {
  /** Which of the tenant's chains it belongs to, from 0. */
  chain: number;
  /** 1, 2, 3 … in its chain, without gaps. */
  seq: number;
  /** Sorts by the time of writing, over all chains. */
  id: string;
  at: string;
  actor: Actor;
  action: string;
  resource: { type: string; id: string };
  requestId: string;
  before: unknown;
  after: unknown;
  /** Hex of the SHA-256 over the hash before and this record. */
  hash: string;
}

/** All members narrow the list together. */
export interface AuditFilter {
  /** An actor's id, or the user's behind an API key. */
  actor?: string;
  /** What an actor was called at the time; beside `actor`, either will do. */
  actorName?: string;
  /** An action, or all of a resource's: "shop.*". */
  action?: string;
  resourceType?: string;
  resourceId?: string;
  /** Inclusive, ISO-8601. */
  from?: string;
  /** Exclusive, ISO-8601. */
  to?: string;
}

/**
 * How a chain can be broken. `altered`: the row's hash is not that of what it says (changed, moved
 * or put in another's place). `missing`: the numbers have a gap. `truncated`: records at the end
 * are gone, or the head was changed.
 */
export type AuditFault = "altered" | "missing" | "truncated";

export interface AuditVerdict {
  ok: boolean;
  /** How many records were checked. */
  records: number;
  /** Hex over all chains' heads; note it, and a chain rewritten from end to end shows too. */
  headHash: string;
  firstBad?: { chain: number; seq: number; id: string | null; reason: AuditFault };
}
