import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { eraseRows } from "./db/erase.ts";
import { dropDedicated, provisionDedicated } from "./db/migrate.ts";
import type { MigrationSource } from "./db/migration-files.ts";
import { withClient } from "./db/roles.ts";
import type { Database } from "./db/types.ts";
import { createAuthenticator } from "./identity/authenticate.ts";
import { createPasswords } from "./identity/passwords.ts";
import { createRevocations } from "./identity/revocations.ts";
import { startKeyRing } from "./identity/signing-keys.ts";
import { createThrottle } from "./identity/throttle.ts";
import { createTickets } from "./identity/tickets.ts";
import { createTokens } from "./identity/tokens.ts";
import type { Roles } from "./identity/types.ts";
import { removeTenantJobs } from "./jobs/store.ts";
import type { IdentityParts } from "./platform-parts.ts";
import type { Random } from "./random.ts";
import type { Sealer } from "./secrets/seal.ts";
import type { Logger } from "./telemetry/logger.ts";
import { createTenants } from "./tenancy/tenants.ts";

export type Identity = IdentityParts;

export interface IdentityOptions {
  config: Config;
  database: Database;
  ownerUrl: string;
  services: readonly MigrationSource[];
  roles: Roles;
  sealer: Sealer;
  clock: Clock;
  random: Random;
  log: Logger;
}

/** Everything that signing in and being recognised needs; makes the first signing key. */
export async function createIdentity(options: IdentityOptions): Promise<Identity> {
  const { config, database, roles, sealer, clock, random, log } = options;
  const db = database.forService("platform");
  const keys = await startKeyRing({ db, clock, sealer, log });
  const tokens = createTokens({ keys, clock, random, issuer: config.tokenIssuer });
  const revocations = createRevocations();
  return {
    db,
    clock,
    random,
    roles,
    sealer,
    keys,
    tokens,
    revocations,
    passwords: createPasswords({ random }),
    throttle: createThrottle({ db, clock }),
    authenticator: createAuthenticator({ db, clock, tokens, roles, revocations }),
    tenants: createTenants({ db, clock }),
    tickets: createTickets({ db, clock, random, sealer }),
    provision: async ({ id }) => {
      await provisionDedicated(options.ownerUrl, id, options.services);
    },
    erase: async (id, signal) => {
      const schemas = await dropDedicated(options.ownerUrl, id);
      const jobs = await withClient(options.ownerUrl, (client) => removeTenantJobs(client, id));
      const rows = await eraseRows(options.ownerUrl, id, signal);
      return { schemas, rows: jobs + rows };
    },
  };
}
