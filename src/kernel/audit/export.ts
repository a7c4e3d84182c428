import type { Db } from "../db/types.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { selectRecords } from "./store.ts";
import type { AuditFilter, AuditRecord } from "./types.ts";

export type AuditFormat = "csv" | "ndjson";

const pageRecords = 500;
const headings =
  "seq,id,at,actorKind,actorId,actorUserId,actorName,action," +
  "resourceType,resourceId,requestId,before,after,hash";

/**
 * One CSV cell (RFC 4180). A leading = + - @ tab or return gets an apostrophe before it, or a
 * spreadsheet would run the text as a formula (OWASP, CSV injection).
 */
export function csvCell(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const safe = /^[=+\-@\t\r]/.test(text) && typeof value !== "number" ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csvLine({ actor, resource, ...record }: AuditRecord): string {
  const cells = [record.seq, record.id, record.at, actor.kind, actor.id, actor.userId, actor.name];
  const rest = [record.action, resource.type, resource.id, record.requestId];
  return [...cells, ...rest, record.before, record.after, record.hash].map(csvCell).join(",");
}

/**
 * The matching records, oldest first, as chunks of text. Each page is a transaction of its own, so
 * a slow reader holds no connection, and no more than one page is in memory.
 */
export async function* exportAudit(
  db: Db,
  tenant: TenantRef,
  filter: AuditFilter,
  format: AuditFormat,
): AsyncGenerator<string> {
  if (format === "csv") yield `${headings}\r\n`;
  let afterSeq = 0;
  for (;;) {
    const page = { tenantId: tenant.id, filter, afterSeq, limit: pageRecords };
    const { text, values } = selectRecords(page);
    const { rows } = await db.query<AuditRecord>(tenant, text, values);
    const lines = rows.map((row) => (format === "csv" ? csvLine(row) : JSON.stringify(row)));
    if (lines.length > 0) yield lines.map((l) => l + (format === "csv" ? "\r\n" : "\n")).join("");
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageRecords) return;
    afterSeq = last.seq;
  }
}
