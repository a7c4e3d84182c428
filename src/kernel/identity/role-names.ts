/** Roles that every tenant has; `admin` is the platform's and is held by a flag on the user. */
export const builtInRoles = ["admin", "tenant_admin", "user"] as const;

/** Roles that a membership or an invitation may name without the tenant defining them. */
export const assignableRoles = ["tenant_admin", "user"] as const;

/** Whether a tenant can't define a role of this name because every tenant has it. */
export function isBuiltInRole(name: string): boolean {
  return (builtInRoles as readonly string[]).includes(name);
}
