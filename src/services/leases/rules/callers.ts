/** How far a permission reaches: everything in the tenant, or what the caller owns. */
type Scope = "all" | "own";

/** Who asks: what the caller made is its own, and `scopeOf` says how far a permission reaches. */
export interface Caller {
  readonly id: string;
  readonly scopeOf: (permission: string) => Scope | undefined;
}

/** The server itself, for jobs, demos and the engine: it may do everything. */
export const systemCaller: Caller = { id: "", scopeOf: () => "all" };

/** The owner whose leases a permission is limited to; null: it reaches all of them. */
export function ownerLimit(caller: Caller, permission: string): string | null {
  return caller.scopeOf(permission) === "all" ? null : caller.id;
}
