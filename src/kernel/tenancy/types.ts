/** Where a tenant's rows live: in each service's PostgreSQL schema, or in schemas of its own. */
export type Isolation = "shared" | "dedicated";

/** What every tenant transaction needs to know of a tenant. */
export interface TenantRef {
  readonly id: string;
  readonly isolation: Isolation;
}

/**
 * The platform itself, where a tenant is asked for: the nil UUID (RFC 9562), which no tenant has.
 * Its audit is that of what belongs to no tenant.
 */
export const thePlatform: TenantRef = {
  id: "00000000-0000-0000-0000-000000000000",
  isolation: "shared",
};

/** Who is answerable for a change. */
export interface Actor {
  readonly kind: "user" | "api_key" | "system";
  /** The user's or key's id; for the system, what it was doing: "job:orders.expire". */
  readonly id: string;
  /** The user on whose behalf it is, also behind an API key; null for the system. */
  readonly userId: string | null;
  /** For people who read the audit: an e-mail address, a key's name, a job's. */
  readonly name: string;
}

/** The server itself, doing what `what` names: "job:orders.expire". */
export function systemActor(what: string): Actor {
  return { kind: "system", id: what, userId: null, name: what };
}
