import type { FlightStatement } from "./flight.ts";
import { settings } from "./settings.ts";

/** One statement for one tenant. */
export interface Query {
  readonly tenantId: string;
  readonly path: string;
  readonly text: string;
  readonly values: readonly unknown[] | undefined;
}

/** Its flight: the tenant and the search path are set first, in a statement of their own. */
export function statementsOf({ path, tenantId, text, values }: Query): FlightStatement[] {
  return [settings(path, tenantId), { path, text, values }];
}
