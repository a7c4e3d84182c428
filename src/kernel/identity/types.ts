import type { PermissionSet } from "../access/roles.ts";
import type { Actor, Isolation, TenantRef } from "../tenancy/types.ts";

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
