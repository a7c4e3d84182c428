import type { Principal } from "#kernel/identity/types.ts";
import type { Caller } from "../rules/callers.ts";

/** Who makes a request, as leases see it: behind an API key stands its user. */
export function callerOf({ actor, permissions }: Principal): Caller {
  return { id: actor.userId ?? actor.id, scopeOf: (permission) => permissions.get(permission) };
}
