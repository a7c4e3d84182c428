import type { RunningApp } from "../app.ts";
import { insertMembership } from "../identity/member-store.ts";
import { openSession } from "../identity/sessions.ts";
import { createTenant } from "../identity/tenants.ts";
import type { SignedIn } from "../identity/types.ts";
import { insertUser } from "../identity/user-store.ts";
import type { TenantRow } from "../tenancy/store.ts";
import { systemActor } from "../tenancy/types.ts";

/** Somebody with a live session. No password: hashing one for each would slow every test. */
export interface Person {
  readonly userId: string;
  readonly email: string;
  readonly tenant: TenantRow;
  readonly signedIn: SignedIn;
}

const client = { address: "127.0.0.1", userAgent: "test", requestId: "seed" };
const on = { actor: systemActor("test"), requestId: "seed" };

/** Makes a tenant; one with "dedicated" in its slug gets schemas of its own. */
export async function seedTenant(app: RunningApp, slug: string): Promise<TenantRow> {
  const { identity } = app;
  const isolation = slug.includes("dedicated") ? "dedicated" : "shared";
  const id = identity.random.id();
  return identity.db.inPlatform(async (tx) => {
    const inTenant = await tx.enterTenant({ id, isolation }, on);
    return createTenant(inTenant, identity, { id, name: slug, slug, isolation });
  });
}

/** Makes a user with a role in a tenant, signed in; role "admin" makes a platform admin. */
export async function seedPerson(
  app: RunningApp,
  tenant: TenantRow,
  role: string,
): Promise<Person> {
  const { identity } = app;
  const id = identity.random.id();
  const email = `${role}.${id.slice(-8)}@${tenant.slug}.test`;
  const now = new Date(identity.clock.nowMs()).toISOString();
  return identity.db.inPlatform(async (tx) => {
    const platformAdmin = role === "admin";
    const user = await insertUser(tx, {
      id,
      email,
      name: role,
      passwordHash: null,
      platformAdmin,
      now,
    });
    if (!user) throw new Error(`${email} exists already`);
    const inTenant = await tx.enterTenant(tenant, on);
    await insertMembership(inTenant, {
      userId: id,
      role: platformAdmin ? "tenant_admin" : role,
      now,
    });
    const signedIn = await openSession(tx, identity, {
      user,
      standing: { tenant, role: platformAdmin ? "admin" : role },
      method: "password",
      client,
    });
    return { userId: id, email, tenant, signedIn };
  });
}
