import type { Statement, Tx } from "#kernel/db/types.ts";
import type { Reference, SyncType } from "../rules/sync.ts";

/** One resource as a till calls it. */
export interface SyncKey {
  clientId: string;
  type: SyncType;
  key: string;
}

export interface Receipt {
  resourceId: string;
  /** Whether this very change was applied before. */
  isKnown: boolean;
}

/** How many of a resource's changes are known again; older ones are told by their version alone. */
const changesKeptMost = 100;

/**
 * Takes the key until the transaction ends, as its guard: of two requests with the same item, the
 * second waits in its first flight and then finds what the first one did.
 */
export function lockSyncKey(tenantId: string, { clientId, type, key }: SyncKey): Statement {
  const name = JSON.stringify(["orders.sync", tenantId, clientId, type, key]);
  return { text: "select pg_advisory_xact_lock(hashtextextended($1, 0))", values: [name] };
}

/** What is known of the key, and the ids of what the item refers to, in one flight. */
export async function readReceipts(
  tx: Tx,
  { clientId, type, key }: SyncKey,
  change: Buffer,
  references: readonly Reference[],
): Promise<{ receipt: Receipt | null; ids: Map<string, string> }> {
  const [own, others] = await tx.batch([
    {
      text: `select resource_id as "resourceId", $4 = any(changes) as "isKnown" from sync_receipt
              where client_id = $1 and type = $2 and key = $3`,
      values: [clientId, type, key, change],
    },
    {
      text: `select r.type, r.key, r.resource_id as id
               from unnest($2::text[], $3::text[]) as asked (type, key)
               join sync_receipt r using (type, key)
              where r.client_id = $1`,
      values: [clientId, references.map((one) => one.type), references.map((one) => one.key)],
    },
  ]);
  const known = (others?.rows ?? []) as { type: SyncType; key: string; id: string }[];
  return {
    receipt: (own?.rows[0] as Receipt | undefined) ?? null,
    ids: new Map(known.map((one) => [nameOf(one.type, one.key), one.id])),
  };
}

/** Under what `readReceipts` answers an id. */
export const nameOf = (type: SyncType, key: string): string => `${type} ${key}`;

/** Travels with COMMIT: the change is known again if and only if it was made. */
export function keepReceipt(
  tenantId: string,
  { clientId, type, key }: SyncKey,
  resourceId: string,
  change: Buffer,
): Statement {
  return {
    text: `insert into sync_receipt (tenant_id, client_id, type, key, resource_id, changes)
           values ($1, $2, $3, $4, $5, array[$6::bytea])
           on conflict (tenant_id, client_id, type, key) do update
              set changes = (sync_receipt.changes || excluded.changes)
                    [greatest(1, cardinality(sync_receipt.changes) + 2 - $7::integer) :],
                  updated_at = now()`,
    values: [tenantId, clientId, type, key, resourceId, change, changesKeptMost],
  };
}
