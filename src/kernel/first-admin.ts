import type { RunningApp } from "./app.ts";
import type { PlatformTx } from "./db/types.ts";
import { comparableEmail } from "./identity/emails.ts";
import { insertMembership } from "./identity/member-store.ts";
import { assertPassword } from "./identity/passwords.ts";
import { createTenant } from "./identity/tenants.ts";
import { countPlatformAdmins, insertUser, type UserRow } from "./identity/user-store.ts";
import { findTenantBySlug, type TenantRow } from "./tenancy/store.ts";
import { systemActor } from "./tenancy/types.ts";

export interface FirstAdmin {
  email: string;
  password: string;
  name: string;
  /** The tenant that the admin belongs to; made when there is none of this slug. */
  tenant: { name: string; slug: string };
}

const on = { actor: systemActor("first admin"), requestId: "boot" };

/**
 * Makes a platform admin and the tenant that they belong to, in one transaction. Null when somebody
 * has the e-mail address already.
 */
export async function createAdmin(
  { identity }: Pick<RunningApp, "identity">,
  admin: FirstAdmin,
): Promise<{ user: UserRow; tenant: TenantRow } | null> {
  assertPassword(admin.password);
  const passwordHash = await identity.passwords.hash(admin.password);
  return identity.db.inPlatform(async (tx) => {
    const now = new Date(identity.clock.nowMs()).toISOString();
    const user = await insertUser(tx, {
      id: identity.random.id(),
      email: comparableEmail(admin.email),
      name: admin.name,
      passwordHash,
      platformAdmin: true,
      now,
    });
    if (!user) return null;
    const tenant = await findOrMakeTenant(tx, identity, admin.tenant);
    const inTenant = await tx.enterTenant(tenant, on);
    await insertMembership(inTenant, { userId: user.id, role: "tenant_admin", now });
    return { user, tenant };
  });
}

async function findOrMakeTenant(
  tx: PlatformTx,
  identity: RunningApp["identity"],
  { name, slug }: FirstAdmin["tenant"],
): Promise<TenantRow> {
  const existing = await findTenantBySlug(tx, slug);
  if (existing) return existing;
  const id = identity.random.id();
  const inTenant = await tx.enterTenant({ id, isolation: "shared" }, on);
  return createTenant(inTenant, identity, { id, name, slug, isolation: "shared" });
}

/** The admin that the environment names, at the first boot of a database that has none. */
export async function ensureFirstAdmin(app: RunningApp): Promise<void> {
  const { admin } = app.config;
  if (!admin) return;
  const admins = await app.identity.db.inPlatform((tx) => countPlatformAdmins(tx));
  if (admins > 0) return;
  const made = await createAdmin(app, {
    ...admin,
    name: "Administrator",
    tenant: { name: "Operations", slug: "operations" },
  });
  if (made) app.log.info({ user: made.user.id }, "made the first platform admin");
}
