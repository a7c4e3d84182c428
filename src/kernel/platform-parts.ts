import type { BreakerBoard } from "./breaker-board.ts";
import type { ProcessRole } from "./config.ts";
import type { FaultBoard } from "./fault-board.ts";
import type { AccountDeps } from "./identity/accounts.ts";
import type { Authenticator } from "./identity/authenticate.ts";
import type { Erase } from "./identity/erasure.ts";
import type { Passwords } from "./identity/passwords.ts";
import type { Revocations } from "./identity/revocations.ts";
import type { KeyRing } from "./identity/signing-keys.ts";
import type { Provision } from "./identity/tenants.ts";
import type { Throttle } from "./identity/throttle.ts";
import type { Tickets } from "./identity/tickets.ts";
import type { Tokens } from "./identity/tokens.ts";
import type { Roles } from "./identity/types.ts";
import type { JobAdmin } from "./jobs/admin.ts";
import type { EventCatalogue } from "./events/catalogue.ts";
import type { EventFeed } from "./events/stream.ts";
import type { Sealer } from "./secrets/seal.ts";
import type { KernelDeps } from "./service.ts";
import type { Tenants } from "./tenancy/tenants.ts";

/** What signing in and being recognised needs. */
export interface IdentityParts extends AccountDeps {
  readonly roles: Roles;
  readonly keys: KeyRing;
  readonly tokens: Tokens;
  readonly passwords: Passwords;
  readonly throttle: Throttle;
  readonly revocations: Revocations;
  readonly authenticator: Authenticator;
  readonly tenants: Tenants;
  readonly tickets: Tickets;
  readonly sealer: Sealer;
  readonly provision: Provision;
  readonly erase: Erase;
}

/** Which of the processes over one database this is. */
export interface Instance {
  /** Made at each start. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly role: ProcessRole;
  /** ISO-8601. */
  readonly startedAt: string;
}

/** The kernel's own parts, which only the service that is the kernel's API is given. */
export interface PlatformParts extends IdentityParts {
  readonly jobs: JobAdmin;
  /** Every service's, also of those that other processes run. */
  readonly events: EventCatalogue;
  readonly faultBoard: FaultBoard;
  readonly breakerBoard: BreakerBoard;
  readonly instance: Instance;
  readonly feed: EventFeed;
}

export type PlatformDeps = KernelDeps & PlatformParts;
