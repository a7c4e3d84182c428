import { listAudit, verifyAudit } from "#kernel/audit/audit.ts";
import { auditColumns, exportAudit } from "#kernel/audit/export.ts";
import type { AuditFilter } from "#kernel/audit/types.ts";
import type { Db } from "#kernel/db/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import { beforeId, page } from "#kernel/http/cursor.ts";
import { rowsAnswer, sendRows } from "#kernel/http/download.ts";
import { comparableEmail } from "#kernel/identity/emails.ts";
import { findUserByEmail } from "#kernel/identity/user-store.ts";
import type { Routes } from "#kernel/service.ts";
import { type TenantRef, thePlatform } from "#kernel/tenancy/types.ts";
import {
  AuditExportQuery,
  AuditPage,
  AuditQuery,
  AuditRecord,
  AuditVerdict,
} from "../schemas/audit.ts";

const tags = ["audit"];

interface Wanted extends AuditFilter {
  /** "shop" or "shop/<id>". */
  resource?: string;
}

/** What was asked for as the store wants it; whoever has an e-mail address is looked up by it. */
async function filterOf(db: Db, { resource, actor, ...rest }: Wanted): Promise<AuditFilter> {
  const { from, to } = rest;
  if (from !== undefined && to !== undefined && Date.parse(from) > Date.parse(to)) {
    throw requestErrors.invalid({
      detail: "`to` is before `from`: nothing can be between them.",
      errors: [{ path: "query/to", message: "must not be before `from`" }],
    });
  }
  const [type, ...id] = resource?.split("/") ?? [];
  return {
    ...rest,
    ...(await actorOf(db, actor)),
    ...(type !== undefined && { resourceType: type }),
    ...(id.length > 0 && { resourceId: id.join("/") }),
  };
}

async function actorOf(db: Db, actor: string | undefined): Promise<AuditFilter> {
  if (actor === undefined) return {};
  if (!actor.includes("@")) return { actor };
  const email = comparableEmail(actor);
  const user = await db.inPlatform((tx) => findUserByEmail(tx, email));
  // Whoever has another address by now, or is gone, has the old one in the records.
  return { actorName: email, ...(user && { actor: user.id }) };
}

/** Whose audit a set of routes answers from. */
interface Trail {
  path: string;
  permission: string;
  /** What the summaries call it. */
  whose: string;
  tenantOf(request: { tenant: TenantRef }): TenantRef;
}

const trails: readonly Trail[] = [
  {
    path: "/audit",
    permission: "audit:read",
    whose: "the tenant's",
    tenantOf: ({ tenant }) => tenant,
  },
  {
    path: "/admin/audit",
    permission: "platform-audit:read",
    whose: "the platform's own",
    tenantOf: () => thePlatform,
  },
];

/** Who has done what: in the caller's tenant, and to what belongs to no tenant. */
export const auditRoutes: Routes = (app, deps) => {
  for (const trail of trails) {
    listRoutes(trail)(app, deps);
    exportRoutes(trail)(app, deps);
  }
};

const listRoutes =
  ({ path, permission, whose, tenantOf }: Trail): Routes =>
  (app, { db }) => {
    app.get(
      path,
      {
        schema: {
          summary: `List ${whose} audit records`,
          tags,
          querystring: AuditQuery,
          response: { 200: AuditPage },
        },
        config: { permission },
      },
      async (request) => {
        const { cursor, limit, ...asked } = request.query;
        const filter = await filterOf(db, asked);
        const wanted = { limit: limit + 1, beforeId: beforeId(cursor) };
        const records = await db.inTenant(tenantOf(request), (tx) => listAudit(tx, filter, wanted));
        return page(records, limit, ({ id }) => [id]);
      },
    );

    app.get(
      `${path}/verify`,
      {
        schema: {
          summary: `Verify ${whose} audit log`,
          description:
            "Recomputes the hash of every record. `firstBad` names the first that is wrong.",
          tags,
          response: { 200: AuditVerdict },
        },
        config: { permission },
      },
      async (request) => db.inTenant(tenantOf(request), (tx) => verifyAudit(tx)),
    );
  };

const exportRoutes =
  ({ path, permission, whose, tenantOf }: Trail): Routes =>
  (app, { db }) => {
    app.get(
      `${path}/export`,
      {
        schema: {
          summary: `Export ${whose} audit records`,
          description: "Oldest first, as CSV or as one JSON document per line.",
          tags,
          querystring: AuditExportQuery,
          response: { 200: rowsAnswer("The records.", AuditRecord, auditColumns) },
        },
        config: { permission },
      },
      async (request, reply) => {
        const { format, ...asked } = request.query;
        const rows = exportAudit(db, tenantOf(request), await filterOf(db, asked));
        return sendRows(request, reply, { name: "audit", format, columns: auditColumns, rows });
      },
    );
  };
