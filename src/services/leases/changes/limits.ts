import type { Tx } from "#kernel/db/types.ts";
import type { Settings } from "#kernel/settings.ts";
import type { LeasesConfig, Limits } from "../rules/config.ts";
import { limitsOf } from "../rules/settings.ts";

/** What holds for the transaction's tenant. */
export async function readLimits(
  tx: Tx,
  { settings, leases }: { settings: Settings; leases: LeasesConfig },
): Promise<Limits> {
  return limitsOf(leases, await settings.ofService(tx, "leases"));
}
