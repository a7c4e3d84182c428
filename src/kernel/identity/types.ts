import type { Actor, Isolation, TenantRef } from "../tenancy/types.ts";

/** Everything in the tenant, or only what the caller owns. */
export type Scope = "all" | "own";

/** What somebody may do: permission → everything in the tenant, or only what they own. */
export type PermissionSet = ReadonlyMap<string, Scope>;

/** What roles mean. `access/roles.ts` makes it from the permissions that services declare. */
export interface Roles {
  /**
   * The permissions of a role. `grants` are the stored ones of a custom role, null when the tenant
   * has no such role. A stored permission that no service declares any more grants nothing.
   */
  resolve(role: string, grants: readonly string[] | null): PermissionSet;
  /** The stored permissions of an API key, in the same way. */
  read(grants: readonly string[]): PermissionSet;
  /**
   * Reads grants that somebody typed, such as `["order:read", "order:confirm:own"]`. Throws
   * ERR_ACCESS_UNKNOWN_PERMISSION naming each that is unknown, the platform's, or can't be `own`.
   */
  parse(grants: readonly string[], path?: string): PermissionSet;
  /** What roles and keys may be made of, by name: neither the platform's nor what everybody has. */
  readonly grantable: readonly Grantable[];
  /** Grants as they are stored and shown, sorted: `["order:confirm:own", "order:read"]`. */
  format(set: PermissionSet): string[];
  /** What both sets allow, with the narrower scope of the two. */
  intersect(left: PermissionSet, right: PermissionSet): PermissionSet;
  /**
   * Throws ERR_ACCESS_BEYOND_OWN unless `holder` has all of `wanted`. Every place where somebody
   * hands out permissions (keys, roles, members, invitations) asks it, so none can be a ladder.
   */
  assertWithin(holder: PermissionSet, wanted: PermissionSet): void;
}

/** A permission that may be given away. */
export interface Grantable {
  readonly name: string;
  /** What its holder may do. */
  readonly title: string;
  /** Whether it may be given for one's own as well. */
  readonly ownable: boolean;
}

/** Who makes a request, in which tenant, and what they may do there. */
export interface Principal {
  readonly actor: Actor;
  readonly tenant: TenantRef;
  /** The membership's role, `admin` for a platform admin, `api_key` for a key. */
  readonly role: string;
  readonly permissions: PermissionSet;
  /** Only of a signed-in person. */
  readonly sessionId?: string;
  /** When the credentials themselves end; Infinity for a key without expiry. */
  readonly expiresAtMs: number;
  readonly platformAdmin: boolean;
}

/** Where an anonymous request comes from; kept with the session and in the audit. */
export interface Client {
  readonly address: string;
  readonly userAgent: string;
  readonly requestId: string;
}

export interface UserView {
  id: string;
  email: string;
  name: string;
  platformAdmin: boolean;
  /** Whether signing in needs a second factor. */
  totpEnabled: boolean;
}

export interface TenantView {
  id: string;
  slug: string;
  name: string;
  isolation: Isolation;
  active: boolean;
  version: number;
  createdAt: string;
  updatedAt: string;
}

/** What signing in answers, however it was done. */
export interface SignedIn {
  user: UserView;
  tenant: TenantView;
  role: string;
  accessToken: string;
  expiresInSeconds: number;
  refreshToken: string;
  /** How long the refresh token is good, for the cookie that may hold it. */
  refreshExpiresInSeconds: number;
}
