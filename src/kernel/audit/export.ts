import { streamRows } from "../db/stream.ts";
import type { Db } from "../db/types.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { selectRecords } from "./store.ts";
import type { AuditFilter, AuditRecord } from "./types.ts";

/** Of at most 128 KiB each. */
const batchRecords = 100;
const firstId = "00000000-0000-0000-0000-000000000000";

/** What a line of the CSV holds, by its heading. */
export const auditColumns = {
  chain: ({ chain }) => chain,
  seq: ({ seq }) => seq,
  id: ({ id }) => id,
  at: ({ at }) => at,
  actorKind: ({ actor }) => actor.kind,
  actorId: ({ actor }) => actor.id,
  actorUserId: ({ actor }) => actor.userId,
  actorName: ({ actor }) => actor.name,
  action: ({ action }) => action,
  resourceType: ({ resource }) => resource.type,
  resourceId: ({ resource }) => resource.id,
  requestId: ({ requestId }) => requestId,
  before: ({ before }) => before,
  after: ({ after }) => after,
  hash: ({ hash }) => hash,
} satisfies Record<string, (record: AuditRecord) => unknown>;

/** The matching records, oldest first, in batches, as of one moment. */
export function exportAudit(db: Db, tenant: TenantRef, filter: AuditFilter) {
  const all = { tenantId: tenant.id, filter, afterId: firstId, limit: null };
  return streamRows<AuditRecord>(db, tenant, selectRecords(all), { batchRows: batchRecords });
}
