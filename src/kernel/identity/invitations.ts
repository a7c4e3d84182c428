import { audit } from "../audit/audit.ts";
import { type Clock, isoNow, isoOf } from "../clock.ts";
import type { PlatformTx, Tx } from "../db/types.ts";
import type { Random } from "../random.ts";
import * as tenants from "../tenancy/store.ts";
import { current, type Expected } from "../versions.ts";
import { readRole } from "./custom-roles.ts";
import { normalEmail } from "./emails.ts";
import { identityErrors } from "./errors.ts";
import { invitationTtlMs } from "./lifetimes.ts";
import * as store from "./member-store.ts";
import type { InvitationRow } from "./member-store.ts";
import { auditNewMember } from "./members.ts";
import { newTenantToken, readTenantToken } from "./opaque-tokens.ts";
import type { Standing } from "./sessions.ts";
import type { Client, PermissionSet, Roles } from "./types.ts";
import type { UserRow } from "./user-store.ts";

const openAtMost = 1_000;

/**
 * Invites one e-mail address into the transaction's tenant, for 7 days and one use. The token is
 * answered once and kept as a hash. The role may hold nothing that the inviter does not. Throws
 * ERR_IDENTITY_ALREADY_MEMBER, also for a member that is not active.
 */
export async function createInvitation(
  tx: Tx,
  deps: { clock: Clock; random: Random; roles: Roles },
  invite: { email: string; role: string; invitedBy: string; holder: PermissionSet },
): Promise<InvitationRow & { token: string }> {
  const email = normalEmail(invite.email);
  deps.roles.assertWithin(invite.holder, await readRole(tx, deps.roles, invite.role));
  const nowMs = deps.clock.nowMs();
  const { isMember, open } = await store.readInvited(tx, { email, now: isoOf(nowMs) });
  if (isMember) {
    throw identityErrors.already_member({
      detail: `${email} is a member already; change the role there, or activate it again.`,
      errors: [{ path: "/email", message: "is that of a member" }],
    });
  }
  if (open >= openAtMost) throw identityErrors.too_many_invitations();
  const { token, hash } = newTenantToken(deps.random, "pli_", tx.tenant.id);
  const row = await store.insertInvitation(tx, {
    id: deps.random.id(),
    email,
    role: invite.role,
    invitedBy: invite.invitedBy,
    tokenHash: hash,
    createdAt: isoOf(nowMs),
    expiresAt: isoOf(nowMs + invitationTtlMs),
  });
  audit(tx, {
    action: "invitation.create",
    resource: { type: "invitation", id: row.id },
    after: row,
  });
  return { ...row, token };
}

/** Open invitations, oldest first. */
export function listInvitations(
  tx: Tx,
  deps: { clock: Clock },
  page: { limit: number; after: [createdAt: string, id: string] | null },
): Promise<InvitationRow[]> {
  return store.listInvitations(tx, { ...page, now: isoNow(deps.clock) });
}

/** Null when there is none that can still be accepted. */
export function findInvitation(
  tx: Tx,
  deps: { clock: Clock },
  id: string,
): Promise<InvitationRow | null> {
  return store.findInvitation(tx, id, isoNow(deps.clock));
}

/** Takes an open invitation back. Throws ERR_REQUEST_NOT_FOUND when there is none. */
export async function revokeInvitation(
  tx: Tx,
  deps: { clock: Clock },
  which: { id: string; version: Expected },
): Promise<void> {
  const found = await store.lockInvitation(tx, which.id, isoNow(deps.clock));
  const before = current(found, which.version);
  const { id } = before;
  await store.deleteInvitation(tx, id);
  audit(tx, { action: "invitation.revoke", resource: { type: "invitation", id }, before });
}

/**
 * Makes a person a member by an invitation for their e-mail address, and uses it up. Throws
 * ERR_IDENTITY_INVALID_INVITATION, the same for every reason, or ERR_IDENTITY_ALREADY_MEMBER.
 */
export async function useInvitation(
  tx: PlatformTx,
  deps: { clock: Clock },
  { user, token, client }: { user: UserRow; token: string; client: Client },
): Promise<Standing> {
  const read = readTenantToken("pli_", token);
  const tenant = read && (await tenants.findTenant(tx, read.tenantId));
  if (!read || !tenant?.active) throw invalidInvitation();
  const actor = { kind: "user" as const, id: user.id, userId: user.id, name: user.email };
  const ref = { id: tenant.id, isolation: tenant.isolation };
  const inTenant = await tx.enterTenant(ref, { actor, requestId: client.requestId });
  const now = isoNow(deps.clock);
  const use = { tokenHash: read.hash, email: user.email, userId: user.id, now };
  const invitation = await store.acceptInvitation(inTenant, use);
  if (!invitation) throw invalidInvitation();
  const { role } = invitation;
  if (!(await store.insertMembership(inTenant, { userId: user.id, role, now }))) {
    throw identityErrors.already_member();
  }
  audit(inTenant, {
    action: "invitation.accept",
    resource: { type: "invitation", id: invitation.id },
    before: { ...invitation, version: invitation.version - 1, acceptedBy: null },
    after: { ...invitation, acceptedBy: user.id },
  });
  auditNewMember(inTenant, user, { role, by: "invitation" });
  return { tenant, role };
}

function invalidInvitation(): Error {
  const errors = [{ path: "/invitation", message: "is not valid for this account" }];
  return identityErrors.invalid_invitation({ errors });
}
