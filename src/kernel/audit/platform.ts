import { alsoIn } from "../db/tx.ts";
import type { Tx } from "../db/types.ts";
import { thePlatform } from "../tenancy/types.ts";
import { audit } from "./audit.ts";
import type { AuditInput } from "./types.ts";

/**
 * Records a change to what belongs to no tenant (a flag, an injected fault) in the platform's own
 * audit, where its past is read from, and in that of the tenant where whoever made it acted. The
 * platform's comes first for all, as the least of ids, so that nobody waits in a circle.
 */
export function auditPlatform(tx: Tx, change: AuditInput): void {
  audit(alsoIn(tx, thePlatform), change);
  audit(tx, change);
}
