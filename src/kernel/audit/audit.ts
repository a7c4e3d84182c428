import { createHash } from "node:crypto";
import type { Tx } from "../db/types.ts";
import { redact } from "./redact.ts";
import * as store from "./store.ts";
import type { AuditFault, AuditFilter, AuditInput, AuditRecord, AuditVerdict } from "./types.ts";

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
  const record = {
    tenantId: tx.tenant.id,
    actor: tx.actor,
    action,
    resource,
    requestId: tx.requestId,
    before: stateText(before),
    after: stateText(after),
  };
  const statesChars = (record.before?.length ?? 0) + (record.after?.length ?? 0);
  tx.gather(store.newRecords, record, statesChars);
}

/** Records that match, newest first; `beforeId` is the last one's of the page before. */
export function listAudit(
  tx: Tx,
  filter: AuditFilter,
  page: { limit: number; beforeId?: string },
): Promise<AuditRecord[]> {
  return store.listRecords(tx, { tenantId: tx.tenant.id, filter, ...page });
}

/** A resource's past, newest first. */
export function resourceHistory(
  tx: Tx,
  resource: { type: string; id: string },
  page: { limit: number; beforeId?: string },
): Promise<AuditRecord[]> {
  return listAudit(tx, { resourceType: resource.type, resourceId: resource.id }, page);
}

/**
 * Recomputes the tenant's chains, each up to its head as it stood at the start, in pages. It finds
 * the first record that was changed, moved or removed; a chain rewritten from end to end with its
 * head shows only against a `headHash` noted earlier.
 */
export async function verifyAudit(tx: Tx): Promise<AuditVerdict> {
  const heads = await store.readHeads(tx, tx.tenant.id);
  const code = createHash("sha256");
  let records = 0;
  let firstBad: AuditVerdict["firstBad"];
  for (const head of heads) {
    code.update(`${head.chain} ${head.seq} ${head.hash}\n`);
    if (firstBad) continue;
    const chain = await verifyChain(tx, head);
    records += chain.records;
    firstBad = chain.firstBad;
  }
  const headHash = code.digest("hex");
  return { ok: firstBad === undefined, records, headHash, ...(firstBad && { firstBad }) };
}

type ChainVerdict = Pick<AuditVerdict, "records" | "firstBad">;

async function verifyChain(tx: Tx, head: store.Head): Promise<ChainVerdict> {
  const { chain } = head;
  let [afterSeq, previousHash, records] = [head.baseSeq, head.baseHash, 0];
  const bad = (seq: number, reason: AuditFault, id: string | null = null): ChainVerdict => ({
    records,
    firstBad: { chain, seq, id, reason },
  });
  for (;;) {
    const checked = await store.checkPage(tx, {
      tenantId: tx.tenant.id,
      chain,
      afterSeq,
      previousHash,
      toSeq: head.seq,
      limit: verifyPageRecords,
    });
    records += checked.records;
    if (checked.badSeq !== null && checked.badSeq !== checked.expectedSeq) {
      return bad(checked.expectedSeq as number, "missing");
    }
    if (checked.badSeq !== null) return bad(checked.badSeq, "altered", checked.badId);
    afterSeq = checked.lastSeq ?? afterSeq;
    previousHash = checked.lastHash ?? previousHash;
    if (checked.records < verifyPageRecords) break;
  }
  const unknownToHead = head.lastSeq > head.seq;
  const lost = afterSeq < head.seq;
  if (lost || unknownToHead) return bad(afterSeq + 1, "truncated");
  if (previousHash === head.hash) return { records };
  return bad(afterSeq, "truncated");
}
