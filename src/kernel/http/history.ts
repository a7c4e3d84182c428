import { Type } from "typebox";
import { resourceHistory } from "../audit/audit.ts";
import type { AuditRecord } from "../audit/types.ts";
import type { Db } from "../db/types.ts";
import { requestErrors } from "../errors.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { beforeId, type Page, page } from "./cursor.ts";
import { ById, Id, ListQuery, pageOf, strict, Timestamp } from "./schemas.ts";

const state = (when: string, example: object | null) =>
  Type.Unknown({
    description: `The resource ${when} the change; null where there was none.`,
    examples: [example],
  });

const userId = Type.String({ examples: ["019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5a"] });

/** One change in a resource's past, as its audit record tells it. */
export const HistoryEntry = strict(
  {
    id: Id,
    at: Timestamp,
    actor: strict({
      kind: Type.Enum(["user", "api_key", "system"]),
      id: userId,
      userId: Type.Union([userId, Type.Null()]),
      name: Type.String({ examples: ["ada@example.com"] }),
    }),
    action: Type.String({ examples: ["shop.update"] }),
    requestId: Type.String({ examples: ["019a9f6e-2b5c-7c31-9d0a-6f1d2e3c4b5b"] }),
    before: state("before", { name: "Deli", version: 1 }),
    after: state("after", { name: "Corner Deli", version: 2 }),
  },
  { title: "HistoryEntry" },
);

export const HistoryPage = pageOf(HistoryEntry, { title: "HistoryPage" });

/** The schema of `GET /<resources>/:id/history`. */
export const historySchema = (type: string) => ({
  summary: `See the past of one ${type}`,
  params: ById,
  querystring: ListQuery,
  response: { 200: HistoryPage },
});

/**
 * A resource's past, newest first. What is deleted keeps its past; what has none was never there,
 * or is another tenant's: `not_found` (404). A route limited to `own` looks at the owner before.
 */
export async function history(
  db: Db,
  tenant: TenantRef,
  type: string,
  id: string,
  query: ListQuery,
): Promise<Page<AuditRecord>> {
  const past = await pastOf(db, tenant, type, id, query);
  if (past.items.length === 0) throw requestErrors.not_found();
  return past;
}

/** The same of what is known to be there, though perhaps nobody has ever changed it. */
export async function pastOf(
  db: Db,
  tenant: TenantRef,
  type: string,
  id: string,
  { cursor, limit }: ListQuery,
): Promise<Page<AuditRecord>> {
  const records = await db.inTenant(tenant, (tx) =>
    resourceHistory(tx, { type, id }, { limit: limit + 1, beforeId: beforeId(cursor) }),
  );
  return page(records, limit, (record) => [record.id]);
}
