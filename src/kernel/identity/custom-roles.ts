import { audit } from "../audit/audit.ts";
import { type Clock, isoNow } from "../clock.ts";
import type { Tx } from "../db/types.ts";
import { requestErrors } from "../errors.ts";
import { current, type Expected } from "../versions.ts";
import { identityErrors } from "./errors.ts";
import * as store from "./member-store.ts";
import type { RoleRow } from "./member-store.ts";
import type { Revocations } from "./revocations.ts";
import { assignableRoles, isBuiltInRole } from "./role-names.ts";
import type { PermissionSet, Roles } from "./types.ts";

const rolesAtMost = 100;
const namePattern = /^[a-z][a-z0-9_]{1,39}$/;
const reservedNames = ["system", "api_key"];

export interface RoleDeps {
  clock: Clock;
  roles: Roles;
  revocations: Revocations;
}

/**
 * What a role that somebody is about to be given allows. A custom one can't be deleted until the
 * transaction ends. Throws ERR_ACCESS_UNKNOWN_ROLE, also for `admin`, which no membership holds.
 */
export async function readRole(tx: Tx, roles: Roles, name: string): Promise<PermissionSet> {
  if ((assignableRoles as readonly string[]).includes(name)) return roles.resolve(name, null);
  const role = isBuiltInRole(name) ? null : await store.shareRole(tx, name);
  if (!role) {
    const errors = [{ path: "/role", message: "is no role of this tenant" }];
    throw identityErrors.unknown_role({ errors });
  }
  return roles.resolve(name, role.permissions);
}

/** What a role allows that somebody has already; one that is gone allows nothing. */
export async function currentRole(tx: Tx, roles: Roles, name: string): Promise<PermissionSet> {
  if (isBuiltInRole(name)) return roles.resolve(name, null);
  return roles.resolve(name, (await store.findRole(tx, name))?.permissions ?? null);
}

export interface RoleInput {
  name: string;
  title: string;
  /** Such as `order:read` or `order:confirm:own`. */
  permissions: readonly string[];
}

/** Makes a role of the tenant's own, out of permissions that its maker (`holder`) has. */
export async function createRole(
  tx: Tx,
  deps: RoleDeps,
  { role, holder }: { role: RoleInput; holder: PermissionSet },
): Promise<RoleRow> {
  if (!namePattern.test(role.name) || isReserved(role.name)) {
    const message = "must be 2 to 40 of a-z, 0-9 and _, and not a built-in role";
    throw identityErrors.reserved_role({ errors: [{ path: "/name", message }] });
  }
  const granted = deps.roles.parse(role.permissions);
  deps.roles.assertWithin(holder, granted);
  if ((await store.countRoles(tx)) >= rolesAtMost) throw identityErrors.too_many_roles();
  const row = { ...role, permissions: deps.roles.format(granted), now: isoNow(deps.clock) };
  const after = await store.insertRole(tx, row);
  if (!after) {
    const detail = `The tenant has a role "${role.name}" already; change that one, or its name.`;
    const errors = [{ path: "/name", message: "is taken" }];
    throw identityErrors.role_taken({ detail, errors });
  }
  audit(tx, { action: "role.create", resource: { type: "role", id: role.name }, after });
  return after;
}

function isReserved(name: string): boolean {
  return isBuiltInRole(name) || reservedNames.includes(name);
}

/** The tenant's own roles by name; `after` is the last one of the page before. */
export function listRoles(
  tx: Tx,
  page: { limit: number; after: string | null },
): Promise<RoleRow[]> {
  return store.listRoles(tx, page);
}

/** Null for a built-in role too: those are no rows. */
export function findRole(tx: Tx, name: string): Promise<RoleRow | null> {
  return store.findRole(tx, name);
}

/**
 * Changes a role for everybody who has it. Whoever does must have what the role allows before and
 * after: nobody takes from those who may do more.
 */
export async function updateRole(
  tx: Tx,
  deps: RoleDeps,
  input: {
    name: string;
    version: Expected;
    change: { title?: string | undefined; permissions?: readonly string[] | undefined };
    holder: PermissionSet;
  },
): Promise<RoleRow> {
  const { name, version, change, holder } = input;
  const before = current(await store.lockRole(tx, name), version);
  deps.roles.assertWithin(holder, deps.roles.resolve(name, before.permissions));
  const granted = change.permissions && deps.roles.parse(change.permissions);
  if (granted) deps.roles.assertWithin(holder, granted);
  const permissions = granted && deps.roles.format(granted);
  const row = { name, title: change.title, permissions, now: isoNow(deps.clock) };
  const after = await store.updateRole(tx, row);
  audit(tx, { action: "role.update", resource: { type: "role", id: name }, before, after });
  tx.afterCommit(() => deps.revocations.announce({ tenantId: tx.tenant.id }));
  return after;
}

/** Throws ERR_ACCESS_ROLE_IN_USE while members or open invitations have it. */
export async function deleteRole(
  tx: Tx,
  deps: RoleDeps,
  { name, version }: { name: string; version: Expected },
): Promise<void> {
  if (isBuiltInRole(name)) throw requestErrors.not_found();
  const before = current(await store.lockRole(tx, name), version);
  if (await store.isRoleInUse(tx, name, isoNow(deps.clock))) throw identityErrors.role_in_use();
  await store.deleteRole(tx, name);
  audit(tx, { action: "role.delete", resource: { type: "role", id: name }, before });
}
