import type { Scope } from "../identity/types.ts";

export interface Permission {
  /** What its holder may do, as one short sentence for people who make roles. */
  readonly title: string;
  /** The built-in role `user` has it, with this scope. Absent: it does not. */
  readonly user?: Scope;
  /** Its operation looks at the scope, so a role or a key may hold it as `name:own`. */
  readonly ownable?: true;
  /** Every member has it, whatever their role: it reaches nothing but their own account. */
  readonly everyone?: true;
  /** Only a platform admin has it; no custom role and no API key ever does. */
  readonly platform?: true;
}

/** Permissions by name, such as `order:confirm`. */
export type PermissionCatalogue = Readonly<Record<string, Permission>>;

const permissionName = /^[a-z][a-z0-9-]{0,39}:[a-z][a-z0-9-]{0,39}$/;

/**
 * Declares a service's permissions. Throws at boot on a name that is not `thing:verb`, on the verb
 * `own` (it would read like a scope) and on a platform permission that a user would hold.
 */
export function definePermissions<const Catalogue extends PermissionCatalogue>(
  catalogue: Catalogue,
): Catalogue {
  for (const [name, permission] of Object.entries<Permission>(catalogue)) {
    if (!permissionName.test(name) || name.endsWith(":own")) {
      throw new Error(`Permission "${name}" must be named thing:verb in lower case`);
    }
    const { platform, user, ownable, everyone } = permission;
    if (platform && (user || ownable || everyone)) {
      throw new Error(`Permission "${name}" is the platform's: no user may hold it`);
    }
  }
  return catalogue;
}

/** One catalogue of every service's permissions; a name that two of them declare stops the boot. */
export function mergePermissions(catalogues: readonly PermissionCatalogue[]): PermissionCatalogue {
  const merged: Record<string, Permission> = Object.create(null);
  for (const catalogue of catalogues) {
    for (const [name, permission] of Object.entries(catalogue)) {
      if (name in merged) throw new Error(`Permission "${name}" is declared twice`);
      merged[name] = permission;
    }
  }
  return merged;
}

/** Whether a role or key may hold the permission as `name:own`. */
export function isOwnable(permission: Permission): boolean {
  return permission.ownable === true || permission.user === "own";
}
