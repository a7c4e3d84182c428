import { isoNow } from "../clock.ts";
import { audit } from "../audit/audit.ts";
import type { Tx } from "../db/types.ts";
import { requestErrors } from "../errors.ts";
import type { TenantRow } from "../tenancy/store.ts";
import * as tenants from "../tenancy/store.ts";
import { type Actor, systemActor } from "../tenancy/types.ts";
import { type AccountDeps, assertPerson } from "./accounts.ts";
import { normalEmail } from "./emails.ts";
import { useInvitation } from "./invitations.ts";
import { type Answered, answerOnce, type KeptAnswerDeps, type Repeat } from "./kept-answers.ts";
import { insertMembership, listOwnMemberships } from "./member-store.ts";
import { auditNewMember } from "./members.ts";
import { assertPassword } from "./passwords.ts";
import { revokeSessions } from "./session-store.ts";
import type { Standing } from "./sessions.ts";
import { createTenant } from "./tenants.ts";
import type { Client, Principal } from "./types.ts";
import * as users from "./user-store.ts";
import type { UserRow } from "./user-store.ts";

/**
 * Activates or deactivates an account in every tenant. Deactivating ends its sessions, and takes
 * its API keys along, within 5 s on every server.
 */
export async function setUserActive(
  tx: Tx,
  deps: Pick<AccountDeps, "clock" | "revocations">,
  { id, active }: { id: string; active: boolean },
): Promise<void> {
  const before = await users.lockUser(tx, id);
  if (!before) throw requestErrors.not_found();
  const now = isoNow(deps.clock);
  await users.setUserFlags(tx, { id, active, now });
  if (!active) await revokeSessions(tx, { userId: id, because: "account deactivated", now });
  audit(tx, {
    action: active ? "user.activate" : "user.deactivate",
    resource: { type: "user", id },
    before: { active: before.active },
    after: { active },
  });
  tx.afterCommit(() => deps.revocations.announce({ userId: id }));
}

export interface PlatformAdminInput {
  email: string;
  password: string;
  name: string;
  /** The tenant that the admin starts in, made when the person has none. */
  tenant: { name: string; slug?: string };
  /** For a person who exists: set this password too, which ends their sessions. */
  resetPassword?: boolean;
}

export interface PlatformAdmin {
  user: UserRow;
  tenant: TenantRow;
  /** False when the person existed and was promoted. */
  created: boolean;
}

/** Whether anybody can administer the platform; the first boot makes one if not. */
export async function hasPlatformAdmin(deps: Pick<AccountDeps, "db">): Promise<boolean> {
  return deps.db.inPlatform(async (tx) => (await users.countPlatformAdmins(tx)) > 0);
}

/**
 * Makes a platform admin, or promotes the person who has the e-mail address. For the first boot and
 * the command line, never for a route.
 */
export async function createPlatformAdmin(
  deps: AccountDeps,
  input: PlatformAdminInput,
): Promise<PlatformAdmin> {
  const email = normalEmail(input.email);
  assertPassword(input.password);
  const passwordHash = await deps.passwords.hash(input.password);
  return deps.db.inPlatform(async (tx) => {
    const now = isoNow(deps.clock);
    const row = { id: deps.random.id(), email, name: input.name, passwordHash };
    const inserted = await users.insertUser(tx, { ...row, platformAdmin: true, now });
    const user = inserted ?? (await users.findUserByEmail(tx, email));
    if (!user) throw requestErrors.conflict();
    if (!inserted) {
      await users.setUserFlags(tx, { id: user.id, active: true, platformAdmin: true, now });
      if (input.resetPassword) {
        const change = { id: user.id, from: user.passwordHash, to: passwordHash, now };
        await users.replacePasswordHash(tx, change);
        await revokeSessions(tx, { userId: user.id, because: "password reset", now });
      }
    }
    const [own] = await listOwnMemberships(tx, user.id);
    const id = own?.tenant.id ?? deps.random.id();
    const actor: Actor = systemActor("admin.create");
    const inTenant = await tx.enterTenant({ id, isolation: "shared" }, { actor });
    const tenant =
      own?.tenant ??
      (await createTenant(inTenant, deps, { id, ...input.tenant, isolation: "shared" }));
    if (!own) {
      const role = "tenant_admin";
      await insertMembership(inTenant, { userId: user.id, role, now });
      auditNewMember(inTenant, user, { role, by: "operator" });
    }
    audit(inTenant, {
      action: "user.make_platform_admin",
      resource: { type: "user", id: user.id },
      after: { email, created: inserted !== null, passwordReset: input.resetPassword === true },
    });
    tx.afterCommit(() => deps.revocations.announce({ userId: user.id }));
    return { user: { ...user, platformAdmin: true, active: true }, tenant, created: !!inserted };
  });
}

/**
 * Accepts an invitation as somebody who has an account already. They then switch to the tenant, or
 * name it at their next sign-in. With `repeat` it may be sent again.
 */
export async function joinTenant(
  deps: KeptAnswerDeps,
  input: { principal: Principal; invitation: string; client: Client; repeat?: Repeat | null },
): Promise<Answered<Standing>> {
  const { userId } = assertPerson(input.principal);
  const { invitation: token, client, repeat = null } = input;
  return answerOnce(deps, { caller: `join:${userId}`, repeat }, async (tx) => {
    const user = await users.findUser(tx, userId);
    if (!user) throw requestErrors.not_found();
    return useInvitation(tx, deps, { user, token, client });
  });
}

/** The person behind a request, for `/auth/me`, with the tenant they act in. */
export async function readMe(
  tx: Tx,
  userId: string,
): Promise<{ user: UserRow; tenant: TenantRow } | null> {
  const [user, tenant] = [
    await users.findUser(tx, userId),
    await tenants.findTenant(tx, tx.tenant.id),
  ];
  return user && tenant ? { user, tenant } : null;
}
