import type { TestContext } from "node:test";
import pg from "pg";
import { definePermissions } from "../access/permissions.ts";
import { createRoles } from "../access/roles.ts";
import { type ManualClock, manualClock } from "../clock.ts";
import { createDatabase } from "../db/pool.ts";
import type { Db, Tx } from "../db/types.ts";
import type { AccountDeps } from "../identity/accounts.ts";
import { type Authenticator, createAuthenticator } from "../identity/authenticate.ts";
import { createPasswords } from "../identity/passwords.ts";
import { register } from "../identity/registration.ts";
import { createRevocations } from "../identity/revocations.ts";
import { type KeyRing, startKeyRing } from "../identity/signing-keys.ts";
import type { SigningAlgorithm } from "../identity/signing-key-store.ts";
import { createThrottle } from "../identity/throttle.ts";
import { createTokens, type Tokens } from "../identity/tokens.ts";
import type { Client, Principal, SignedIn } from "../identity/types.ts";
import { type Random, systemRandom } from "../random.ts";
import { createSealer, type Sealer } from "../secrets/seal.ts";
import { createTenants, type Tenants } from "../tenancy/tenants.ts";
import { testDatabase } from "./database.ts";

export const testPermissions = definePermissions({
  "order:read": { title: "See orders", user: "own" },
  "order:confirm": { title: "Confirm orders" },
  "member:update": { title: "Change members" },
  "api-key:create": { title: "Make API keys", user: "own" },
  "tenant:create": { title: "Make tenants", platform: true },
});

/** One server's identity parts over a test database; several may share one. */
export interface TestIdentity extends AccountDeps {
  clock: ManualClock;
  random: Random;
  db: Db;
  keys: KeyRing;
  tokens: Tokens;
  tenants: Tenants;
  sealer: Sealer;
  roles: ReturnType<typeof createRoles>;
  authenticator: Authenticator;
  ownerUrl: string;
  appUrl: string;
  /** Network flights to the database until now. */
  flights(): number;
}

export const testClient: Client = {
  address: "192.0.2.10",
  userAgent: "tests/1",
  requestId: "request-1",
};

export const testIssuer = "https://plimsoll.example";
const masterKey = Buffer.alloc(32, 7);

/** Starts one server's identity parts; `beside` another's for a second server on its database. */
export async function startIdentity(
  t: TestContext,
  { beside, algorithm }: { beside?: TestIdentity; algorithm?: SigningAlgorithm } = {},
): Promise<TestIdentity> {
  const closing: (() => unknown)[] = [];
  t.after(async () => {
    for (const close of closing.reverse()) await close();
  });
  const { appUrl, ownerUrl } = beside ?? (await testDatabase(t));
  const log = { warn() {}, error() {} };
  let flights = 0;
  const onFlight = () => {
    flights += 1;
  };
  const database = createDatabase({ appUrl, log, poolMax: 6, onFlight });
  closing.push(() => database.close());
  const db = database.forService("platform");
  const clock = beside?.clock ?? manualClock();
  const random = systemRandom(clock);
  const sealer = createSealer(masterKey, [], random);
  const keys = await startKeyRing({ db, clock, sealer, log, ...(algorithm && { algorithm }) });
  closing.push(() => keys.stop());
  const tokens = createTokens({ keys, clock, random, issuer: testIssuer });
  const roles = createRoles(testPermissions);
  const revocations = createRevocations();
  const authenticator = createAuthenticator({ db, clock, tokens, roles, revocations });
  closing.push(() => authenticator.stop());
  return {
    clock,
    random,
    db,
    sealer,
    keys,
    tokens,
    roles,
    revocations,
    authenticator,
    ownerUrl,
    appUrl,
    flights: () => flights,
    passwords: createPasswords({ random }),
    throttle: createThrottle({ db, clock }),
    tenants: createTenants({ db, clock }),
  };
}

export const testPassword = "a good password";

/** A new account in a new tenant of its own. */
export async function registerPerson(id: TestIdentity, name: string): Promise<SignedIn> {
  const registration = {
    email: `${name}@example.com`,
    password: testPassword,
    name,
    tenant: { name: `${name} Ltd` },
  };
  return (await register(id, { registration, client: testClient })).answer;
}

/** Authenticates with an access token as a request would. */
export async function principalOf(
  id: TestIdentity,
  signedIn: Pick<SignedIn, "accessToken">,
): Promise<Principal> {
  const headers = { authorization: `Bearer ${signedIn.accessToken}` };
  return (await id.authenticator.authenticate(headers)) as Principal;
}

/** One transaction in the principal's tenant, on their behalf. */
export function asPrincipal<T>(
  id: TestIdentity,
  principal: Principal,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  const on = { actor: principal.actor, requestId: testClient.requestId };
  return id.db.inTenant(principal.tenant, work, on);
}

/** What a superuser or owner sees, past row-level security where it may. */
export async function asOwner<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** The tenant's audit as `action` texts, oldest first. */
export async function auditActions(id: TestIdentity, tenantId: string): Promise<string[]> {
  const { rows } = await id.db.query<{ action: string }>(
    { id: tenantId, isolation: "shared" },
    "select action from platform.audit order by id",
  );
  return rows.map((row) => row.action);
}
