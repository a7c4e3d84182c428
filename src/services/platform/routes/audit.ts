import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { listAudit, verifyAudit } from "#kernel/audit/audit.ts";
import { type AuditFormat, exportAudit } from "#kernel/audit/export.ts";
import type { AuditFilter } from "#kernel/audit/types.ts";
import { decodeCursor, page } from "#kernel/http/cursor.ts";
import type { Routes } from "#kernel/service.ts";
import { AuditExportQuery, AuditPage, AuditQuery, AuditVerdict } from "../schemas/audit.ts";

const tags = ["audit"];

const mediaTypes: Record<AuditFormat, string> = {
  csv: "text/csv; charset=utf-8",
  ndjson: "application/x-ndjson; charset=utf-8",
};

/** "shop" or "shop/<id>" as the two members that it stands for. */
function filterOf({ resource, ...rest }: AuditFilter & { resource?: string }): AuditFilter {
  if (resource === undefined) return rest;
  const [type, ...id] = resource.split("/");
  return { ...rest, resourceType: type ?? "", ...(id.length > 0 && { resourceId: id.join("/") }) };
}

/** Who has done what in the caller's tenant. */
export const auditRoutes: Routes = (app, { db }) => {
  app.get(
    "/audit",
    {
      schema: {
        summary: "List audit records",
        tags,
        querystring: AuditQuery,
        response: { 200: AuditPage },
      },
      config: { permission: "audit:read" },
    },
    async ({ tenant, query: { cursor, limit, ...filter } }) => {
      const beforeSeq = cursor === undefined ? undefined : Number(decodeCursor(cursor, 1)[0]);
      const wanted = { limit: limit + 1, ...(beforeSeq !== undefined && { beforeSeq }) };
      const records = await db.inTenant(tenant, (tx) => listAudit(tx, filterOf(filter), wanted));
      return page(records, limit, ({ seq }) => [seq]);
    },
  );

  app.get(
    "/audit/verify",
    {
      schema: {
        summary: "Verify the audit log",
        description:
          "Recomputes the hash of every record. `firstBad` names the first that is wrong.",
        tags,
        response: { 200: AuditVerdict },
      },
      config: { permission: "audit:read" },
    },
    async ({ tenant }) => db.inTenant(tenant, (tx) => verifyAudit(tx)),
  );

  app.get(
    "/audit/export",
    {
      schema: {
        summary: "Export audit records",
        description: "Oldest first, as CSV or as one JSON document per line.",
        tags,
        querystring: AuditExportQuery,
        response: {
          200: {
            description: "The records, streamed.",
            content: {
              "text/csv": { schema: { type: "string" } },
              "application/x-ndjson": { schema: { type: "string" } },
            },
          },
        },
      },
      config: { permission: "audit:read" },
    },
    async (request, reply) => {
      const { format, ...filter } = request.query;
      const chunks = exportAudit(db, request.tenant, filterOf(filter), format);
      reply
        .header("content-type", mediaTypes[format])
        .header("content-disposition", `attachment; filename="audit.${format}"`);
      // Its schema says text, and what is sent is a stream of it.
      await (reply as FastifyReply).send(Readable.from(chunks));
    },
  );
};
