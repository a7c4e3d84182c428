import { audit } from "../audit/audit.ts";
import { type Clock, isoNow } from "../clock.ts";
import type { Tx } from "../db/types.ts";
import type { Random } from "../random.ts";
import { current, type Expected } from "../versions.ts";
import { currentRole, readRole } from "./custom-roles.ts";
import { emailTaken, normalEmail } from "./emails.ts";
import { identityErrors } from "./errors.ts";
import * as store from "./member-store.ts";
import type { MemberFilter, MemberRow } from "./member-store.ts";
import type { Revocations } from "./revocations.ts";
import { revokeSessions } from "./session-store.ts";
import type { PermissionSet, Roles } from "./types.ts";
import { insertUser } from "./user-store.ts";

export interface MemberDeps {
  clock: Clock;
  roles: Roles;
  revocations: Revocations;
}

/** Members of the transaction's tenant, oldest first. A member's id is the user's. */
export function listMembers(
  tx: Tx,
  page: { filter: MemberFilter; limit: number; after: [createdAt: string, id: string] | null },
): Promise<MemberRow[]> {
  return store.listMembers(tx, page);
}

/** Null when the user is no member of the tenant. */
export function findMember(tx: Tx, id: string): Promise<MemberRow | null> {
  return store.findMember(tx, id);
}

export interface NewMember {
  email: string;
  name: string;
  /** Of a first password, which the person should change. Hash before the transaction: it waits. */
  passwordHash: string;
  role: string;
}

/**
 * Makes an account and its membership at once, for tenants whose admins hand out passwords. Throws
 * ERR_IDENTITY_EMAIL_TAKEN for somebody who has an account: nobody is put into a tenant unasked,
 * they are invited.
 */
export async function createMember(
  tx: Tx,
  deps: MemberDeps & { random: Random },
  { member, holder }: { member: NewMember; holder: PermissionSet },
): Promise<MemberRow> {
  const email = normalEmail(member.email);
  deps.roles.assertWithin(holder, await readRole(tx, deps.roles, member.role));
  const id = deps.random.id();
  const now = isoNow(deps.clock);
  const { name, passwordHash } = member;
  const user = { id, email, name, passwordHash, platformAdmin: false, now };
  if (!(await insertUser(tx, user))) throw emailTaken();
  await store.insertMembership(tx, { userId: id, role: member.role, now });
  const after = current(await store.findMember(tx, id), null);
  audit(tx, { action: "member.create", resource: { type: "member", id }, after });
  return after;
}

/** The first record of a member's past, however they came. */
export function auditNewMember(
  tx: Tx,
  user: { id: string; email: string },
  { role, by }: { role: string; by: "registration" | "invitation" | "single sign-on" | "operator" },
): void {
  audit(tx, {
    action: "member.create",
    resource: { type: "member", id: user.id },
    after: { email: user.email, role, active: true, by },
  });
}

/**
 * Changes a member's role or activity, in this tenant only. Whoever does (`holder`) must have what
 * the member may do before and after. Throws ERR_IDENTITY_LAST_TENANT_ADMIN rather than leave the
 * tenant without an active tenant admin.
 */
export async function updateMember(
  tx: Tx,
  deps: MemberDeps,
  input: {
    id: string;
    version: Expected;
    change: { role?: string | undefined; active?: boolean | undefined };
    holder: PermissionSet;
  },
): Promise<MemberRow> {
  const { id, version, change, holder } = input;
  const admins = await store.lockTenantAdmins(tx);
  const before = current(await store.lockMember(tx, id), version);
  deps.roles.assertWithin(holder, await currentRole(tx, deps.roles, before.role));
  if (change.role !== undefined && change.role !== before.role) {
    deps.roles.assertWithin(holder, await readRole(tx, deps.roles, change.role));
  }
  const role = change.role ?? before.role;
  const active = change.active ?? before.active;
  if (role !== "tenant_admin" || !active) assertAnotherAdmin(admins, id);
  await store.updateMembership(tx, { userId: id, ...change, now: isoNow(deps.clock) });
  const after = current(await store.findMember(tx, id), null);
  audit(tx, { action: "member.update", resource: { type: "member", id }, before, after });
  if (!active) await endMembersSessions(tx, deps, id, "membership deactivated");
  tx.afterCommit(() => deps.revocations.announce({ userId: id, tenantId: tx.tenant.id }));
  return after;
}

/** Takes a person out of the tenant; their account and their other tenants stay. */
export async function removeMember(
  tx: Tx,
  deps: MemberDeps,
  { id, version, holder }: { id: string; version: Expected; holder: PermissionSet },
): Promise<void> {
  const admins = await store.lockTenantAdmins(tx);
  const before = current(await store.lockMember(tx, id), version);
  deps.roles.assertWithin(holder, await currentRole(tx, deps.roles, before.role));
  assertAnotherAdmin(admins, id);
  await store.deleteMembership(tx, id);
  audit(tx, { action: "member.delete", resource: { type: "member", id }, before });
  await endMembersSessions(tx, deps, id, "membership removed");
  tx.afterCommit(() => deps.revocations.announce({ userId: id, tenantId: tx.tenant.id }));
}

function assertAnotherAdmin(admins: readonly string[], leaving: string): void {
  if (admins.length === 1 && admins[0] === leaving) throw identityErrors.last_tenant_admin();
}

async function endMembersSessions(tx: Tx, deps: MemberDeps, userId: string, because: string) {
  await revokeSessions(tx, { userId, tenantId: tx.tenant.id, because, now: isoNow(deps.clock) });
}
