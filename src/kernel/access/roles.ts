import type { FieldError } from "../errors.ts";
import { accessErrors } from "./errors.ts";
import { isOwnable, type PermissionCatalogue, type Scope } from "./permissions.ts";

/** What somebody may do: permission → everything in the tenant, or only what they own. */
export type PermissionSet = ReadonlyMap<string, Scope>;
export type { Scope };

/** Roles that every tenant has; `admin` is the platform's and is held by a flag on the user. */
export const builtInRoles = ["admin", "tenant_admin", "user"] as const;

/** Roles that a membership or an invitation may name without the tenant defining them. */
export const assignableRoles = ["tenant_admin", "user"] as const;

export function isBuiltInRole(name: string): boolean {
  return (builtInRoles as readonly string[]).includes(name);
}

/** What roles mean under one catalogue of permissions. */
export interface Roles {
  readonly catalogue: PermissionCatalogue;
  /**
   * The permissions of a role. `grants` are the stored ones of a custom role, null when the tenant
   * has no such role. A stored permission that no service declares any more grants nothing.
   */
  resolve(role: string, grants: readonly string[] | null): PermissionSet;
  /**
   * Reads grants that somebody typed, such as `["order:read", "order:confirm:own"]`. Throws
   * ERR_ACCESS_UNKNOWN_PERMISSION naming each that is unknown, the platform's, or can't be `own`.
   */
  parse(grants: readonly string[], path?: string): PermissionSet;
}

export function createRoles(catalogue: PermissionCatalogue): Roles {
  const admin = new Map<string, Scope>();
  const tenantAdmin = new Map<string, Scope>();
  const user = new Map<string, Scope>();
  for (const [name, permission] of Object.entries(catalogue)) {
    admin.set(name, "all");
    if (!permission.platform) tenantAdmin.set(name, "all");
    if (permission.user) user.set(name, permission.user);
  }
  const builtIn: Record<string, PermissionSet> = { admin, tenant_admin: tenantAdmin, user };
  return {
    catalogue,
    resolve(role, grants) {
      if (isBuiltInRole(role)) return builtIn[role] as PermissionSet;
      return readGrants(catalogue, grants ?? []).set;
    },
    parse(grants, path = "/permissions") {
      const { set, unknown } = readGrants(catalogue, grants, path);
      if (unknown.length > 0) throw accessErrors.unknown_permission({ errors: unknown });
      return set;
    },
  };
}

function readGrants(catalogue: PermissionCatalogue, grants: readonly string[], path = "") {
  const set = new Map<string, Scope>();
  const unknown: FieldError[] = [];
  grants.forEach((grant, index) => {
    const own = grant.endsWith(":own");
    const name = own ? grant.slice(0, -":own".length) : grant;
    const permission = Object.hasOwn(catalogue, name) ? catalogue[name] : undefined;
    if (!permission || permission.platform || (own && !isOwnable(permission))) {
      unknown.push({ path: `${path}/${index}`, message: `"${grant}" can't be granted` });
    } else if (set.get(name) !== "all") {
      set.set(name, own ? "own" : "all");
    }
  });
  return { set, unknown };
}

/** Grants as they are stored and shown, sorted: `["order:confirm:own", "order:read"]`. */
export function formatGrants(set: PermissionSet): string[] {
  return [...set].map(([name, scope]) => (scope === "own" ? `${name}:own` : name)).sort();
}

/** What both sets allow, with the narrower scope of the two. */
export function intersect(left: PermissionSet, right: PermissionSet): PermissionSet {
  const both = new Map<string, Scope>();
  for (const [name, scope] of left) {
    const other = right.get(name);
    if (other) both.set(name, scope === "own" || other === "own" ? "own" : "all");
  }
  return both;
}

/** The grants in `wanted` that `holder` does not have itself, in the scope that is wanted. */
export function beyond(holder: PermissionSet, wanted: PermissionSet): string[] {
  const missing: [string, Scope][] = [];
  for (const [name, scope] of wanted) {
    const held = holder.get(name);
    if (!held || (held === "own" && scope === "all")) missing.push([name, scope]);
  }
  return formatGrants(new Map(missing));
}

/**
 * Throws ERR_ACCESS_BEYOND_OWN unless `holder` has all of `wanted`. Every place where somebody hands
 * out permissions (keys, roles, members, invitations) goes through here, so none can be a ladder.
 */
export function assertWithin(holder: PermissionSet, wanted: PermissionSet): void {
  const missing = beyond(holder, wanted);
  if (missing.length > 0) {
    throw accessErrors.beyond_own({ detail: `You do not have ${missing.slice(0, 20).join(", ")}` });
  }
}
