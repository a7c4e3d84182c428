import { isoNow } from "../clock.ts";
import type { PlatformTx } from "../db/types.ts";
import * as tenants from "../tenancy/store.ts";
import type { TenantRow } from "../tenancy/store.ts";
import { normalEmail } from "./emails.ts";
import { identityErrors } from "./errors.ts";
import { insertMembership } from "./member-store.ts";
import { auditNewMember } from "./members.ts";
import type { SsoClaims } from "./oidc.ts";
import { enterAs, findStanding, openSession, type SessionDeps, type Standing } from "./sessions.ts";
import type { Client, SignedIn } from "./types.ts";
import * as users from "./user-store.ts";
import type { UserRow } from "./user-store.ts";

/**
 * Signs in somebody whom the issuer vouches for, known by issuer and subject and by nothing else:
 * an account with the same e-mail address is never taken over (ERR_IDENTITY_SSO_EMAIL_TAKEN). On
 * first sight they get an account and, in the tenant that claim or mapping names, the role `user`.
 * Without such a tenant and without a membership: ERR_IDENTITY_NO_TENANT.
 */
export async function signInWithSso(
  deps: SessionDeps,
  { claims, client }: { claims: SsoClaims; client: Client },
): Promise<SignedIn> {
  return deps.db.inPlatform(async (tx) => {
    const tenant = await firstTenant(tx, claims.tenantSlugs);
    const user = await knownUser(tx, deps, claims, tenant);
    if (!user.active) throw identityErrors.sso_failed();
    const standing = tenant
      ? await joinMapped(tx, deps, { user, tenant, client })
      : await findStanding(tx, user);
    if (!standing) throw identityErrors.no_tenant();
    return openSession(tx, deps, { user, standing, method: "sso", client });
  });
}

async function firstTenant(tx: PlatformTx, slugs: readonly string[]): Promise<TenantRow | null> {
  for (const slug of slugs) {
    const tenant = await tenants.findTenantBySlug(tx, slug);
    if (tenant?.active) return tenant;
  }
  return null;
}

async function knownUser(
  tx: PlatformTx,
  deps: SessionDeps,
  claims: SsoClaims,
  tenant: TenantRow | null,
): Promise<UserRow> {
  const { issuer, subject } = claims;
  const now = isoNow(deps.clock);
  const known = await findKnown(tx, claims, now);
  if (known) return known;
  if (!tenant) throw identityErrors.no_tenant();
  if (claims.email === null) {
    throw identityErrors.sso_failed({ detail: "The provider gives no verified e-mail address" });
  }
  const email = normalEmail(claims.email);
  const user = await users.insertUser(tx, {
    id: deps.random.id(),
    email,
    name: (claims.name ?? email).slice(0, 200),
    passwordHash: null,
    platformAdmin: false,
    now,
  });
  if (user) {
    await users.insertIdentity(tx, { issuer, subject, userId: user.id, now });
    return user;
  }
  // Taken by somebody else, or by the same person's other first sign-in at this moment.
  const other = await findKnown(tx, claims, now);
  if (other) return other;
  throw identityErrors.sso_email_taken();
}

async function findKnown(
  tx: PlatformTx,
  { issuer, subject }: SsoClaims,
  now: string,
): Promise<UserRow | null> {
  const userId = await users.findIdentity(tx, issuer, subject);
  if (userId === null) return null;
  await users.touchIdentity(tx, { issuer, subject, now });
  return users.findUser(tx, userId);
}

async function joinMapped(
  tx: PlatformTx,
  deps: SessionDeps,
  { user, tenant, client }: { user: UserRow; tenant: TenantRow; client: Client },
): Promise<Standing | null> {
  const inTenant = await enterAs(tx, user, tenant, client);
  const row = { userId: user.id, role: "user", now: isoNow(deps.clock) };
  if (await insertMembership(inTenant, row)) {
    auditNewMember(inTenant, user, { role: "user", by: "single sign-on" });
  }
  // A membership that was there keeps its role; one that was deactivated lets nobody in.
  return findStanding(tx, user, tenant.id);
}
