import type { AccountDeps } from "./identity/accounts.ts";
import type { Authenticator } from "./identity/authenticate.ts";
import type { Passwords } from "./identity/passwords.ts";
import type { Revocations } from "./identity/revocations.ts";
import type { KeyRing } from "./identity/signing-keys.ts";
import type { Provision } from "./identity/tenants.ts";
import type { Throttle } from "./identity/throttle.ts";
import type { Tokens } from "./identity/tokens.ts";
import type { Roles } from "./identity/types.ts";
import type { JobAdmin } from "./jobs/admin.ts";
import type { EventFeed } from "./events/stream.ts";
import type { EventStreams } from "./http/sse.ts";
import type { Sealer } from "./secrets/seal.ts";
import type { KernelDeps } from "./service.ts";
import type { Tenants } from "./tenancy/tenants.ts";

/** The kernel's own parts, which only the service that is the kernel's API is given. */
export interface PlatformParts extends AccountDeps {
  readonly roles: Roles;
  readonly keys: KeyRing;
  readonly tokens: Tokens;
  readonly passwords: Passwords;
  readonly throttle: Throttle;
  readonly revocations: Revocations;
  readonly authenticator: Authenticator;
  readonly tenants: Tenants;
  readonly sealer: Sealer;
  readonly provision: Provision;
  readonly jobs: JobAdmin;
  readonly feed: EventFeed;
  readonly streams: EventStreams;
}

export type PlatformDeps = KernelDeps & PlatformParts;
