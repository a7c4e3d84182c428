import { createHash } from "node:crypto";
import type { Tx } from "../db/types.ts";
import { redact } from "./redact.ts";
import * as store from "./store.ts";
import type { AuditFilter, AuditInput, AuditRecord, AuditVerdict } from "./types.ts";

const maxStateBytes = 64 * 1024;
const verifyPageRecords = 1_000;

function stateText(state: unknown): string | null {
  if (state === undefined || state === null) return null;
  const text = JSON.stringify(redact(state));
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes <= maxStateBytes) return text;
  const sha256 = createHash("sha256").update(text).digest("hex");
  return JSON.stringify({ omitted: "too large", sizeBytes, sha256 });
}

/**
 * Writes the record of a change: who (the transaction's actor), what, before and after. It becomes
 * durable with the change or not at all. Members named like secrets are redacted; a state of more
 * than 64 KiB is replaced by its size and SHA-256.
 */
export function audit(tx: Tx, { action, resource, before, after }: AuditInput): void {
  tx.defer(
    store.appendRecord({
      tenantId: tx.tenant.id,
      actor: tx.actor,
      action,
      resource,
      requestId: tx.requestId,
      before: stateText(before),
      after: stateText(after),
    }),
  );
}

/** Records that match, newest first; `beforeSeq` is the last one's of the page before. */
export function listAudit(
  tx: Tx,
  filter: AuditFilter,
  page: { limit: number; beforeSeq?: number },
): Promise<AuditRecord[]> {
  return store.listRecords(tx, { tenantId: tx.tenant.id, filter, ...page });
}

/** A resource's past, newest first. */
export function resourceHistory(
  tx: Tx,
  resource: { type: string; id: string },
  page: { limit: number; beforeSeq?: number },
): Promise<AuditRecord[]> {
  return listAudit(tx, { resourceType: resource.type, resourceId: resource.id }, page);
}

/**
 * Recomputes the tenant's whole chain, up to the head as it stood at the start, in pages. It finds
 * the first record that was changed, moved or removed; a chain rewritten from end to end with its
 * head shows only against a `headHash` noted earlier.
 */
export async function verifyAudit(tx: Tx): Promise<AuditVerdict> {
  const tenantId = tx.tenant.id;
  const head = await store.readHead(tx, tenantId);
  let [afterSeq, previousHash, records] = [head.baseSeq, head.baseHash, 0];
  const verdict = (firstBad?: AuditVerdict["firstBad"]): AuditVerdict => ({
    ok: firstBad === undefined,
    records,
    headHash: head.hash,
    ...(firstBad && { firstBad }),
  });
  for (;;) {
    const page = { tenantId, afterSeq, previousHash, toSeq: head.seq, limit: verifyPageRecords };
    const checked = await store.checkPage(tx, page);
    records += checked.records;
    if (checked.badSeq !== null && checked.badSeq !== checked.expectedSeq) {
      return verdict({ seq: checked.expectedSeq as number, id: null, reason: "missing" });
    }
    if (checked.badSeq !== null) {
      return verdict({ seq: checked.badSeq, id: checked.badId, reason: "altered" });
    }
    afterSeq = checked.lastSeq ?? afterSeq;
    previousHash = checked.lastHash ?? previousHash;
    if (checked.records < verifyPageRecords) break;
  }
  const unknownToHead = head.lastSeq > head.seq;
  const lost = afterSeq < head.seq;
  if (lost || unknownToHead) {
    return verdict({ seq: afterSeq + 1, id: null, reason: "truncated" });
  }
  if (previousHash === head.hash) return verdict();
  return verdict({ seq: afterSeq, id: null, reason: "truncated" });
}
