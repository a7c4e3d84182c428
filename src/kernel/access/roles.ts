import type { FieldError } from "../errors.ts";
import { isBuiltInRole } from "../identity/role-names.ts";
import type { PermissionSet, Roles, Scope } from "../identity/types.ts";
import { accessErrors } from "./errors.ts";
import { isOwnable, type PermissionCatalogue } from "./permissions.ts";

const namedAtMost = 20;

/** What roles mean under one catalogue of permissions. */
export function createRoles(catalogue: PermissionCatalogue): Roles {
  const admin = new Map<string, Scope>();
  const tenantAdmin = new Map<string, Scope>();
  const user = new Map<string, Scope>();
  const everyone = new Map<string, Scope>();
  for (const [name, permission] of Object.entries(catalogue)) {
    admin.set(name, "all");
    if (!permission.platform) tenantAdmin.set(name, "all");
    if (permission.user) user.set(name, permission.user);
    if (permission.everyone) everyone.set(name, "all");
  }
  for (const [name, scope] of everyone) user.set(name, scope);
  const grantable = Object.entries(catalogue)
    .filter(([, { platform, everyone: isEverybodys }]) => !platform && !isEverybodys)
    .map(([name, permission]) => ({
      name,
      title: permission.title,
      ownable: isOwnable(permission),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const builtIn: Record<string, PermissionSet> = { admin, tenant_admin: tenantAdmin, user };
  return {
    resolve(role, grants) {
      if (isBuiltInRole(role)) return builtIn[role] as PermissionSet;
      return new Map([...readGrants(catalogue, grants ?? []).set, ...everyone]);
    },
    grantable,
    read: (grants) => readGrants(catalogue, grants).set,
    parse(grants, path = "/permissions") {
      const { set, unknown } = readGrants(catalogue, grants, path);
      if (unknown.length > 0) throw accessErrors.unknown_permission({ errors: unknown });
      return set;
    },
    format,
    intersect,
    assertWithin(holder, wanted) {
      const missing = beyond(holder, wanted);
      if (missing.length === 0) return;
      const named = missing.slice(0, namedAtMost).join(", ");
      throw accessErrors.beyond_own({ detail: `You do not have ${named}` });
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

function format(set: PermissionSet): string[] {
  return [...set].map(([name, scope]) => (scope === "own" ? `${name}:own` : name)).sort();
}

function intersect(left: PermissionSet, right: PermissionSet): PermissionSet {
  const both = new Map<string, Scope>();
  for (const [name, scope] of left) {
    const other = right.get(name);
    if (other) both.set(name, scope === "own" || other === "own" ? "own" : "all");
  }
  return both;
}

/** The grants in `wanted` that `holder` does not have itself, in the scope that is wanted. */
function beyond(holder: PermissionSet, wanted: PermissionSet): string[] {
  const missing = [...wanted].filter(([name, scope]) => {
    const held = holder.get(name);
    return !held || (held === "own" && scope === "all");
  });
  return format(new Map(missing));
}
