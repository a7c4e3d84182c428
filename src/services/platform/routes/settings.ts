import { expectedVersion, sendFound } from "#kernel/http/etag.ts";
import { HistoryPage, pastOf } from "#kernel/http/history.ts";
import { ListQuery } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { settingErrors } from "#kernel/settings.ts";
import { settingsAnswer, settingsChange } from "../schemas/settings.ts";

/** The caller's own tenant's settings. */
export const settingsRoutes: Routes = (app, { db, mutate, settings }) => {
  const TenantSettings = settingsAnswer(settings.catalogue);
  const TenantSettingsChange = settingsChange(settings.catalogue);

  app.get(
    "/tenant/settings",
    {
      schema: {
        summary: "Get the tenant's settings",
        tags: ["tenants"],
        response: { 200: TenantSettings },
      },
      config: { permission: "settings:read" },
    },
    async (request, reply) =>
      sendFound(request, reply, await db.inTenant(request.tenant, (tx) => settings.read(tx))),
  );

  app.get(
    "/tenant/settings/history",
    {
      schema: {
        summary: "See the past of the tenant's settings",
        description: "What was secret is left out.",
        tags: ["tenants"],
        querystring: ListQuery,
        response: { 200: HistoryPage },
      },
      config: { permission: "settings:read" },
    },
    async ({ tenant, query }) => pastOf(db, tenant, "settings", tenant.id, query),
  );

  app.put(
    "/tenant/settings",
    {
      schema: {
        summary: "Replace the tenant's settings",
        tags: ["tenants"],
        body: TenantSettingsChange,
        response: { 200: TenantSettings },
      },
      config: {
        permission: "settings:update",
        ifMatch: true,
        errors: [settingErrors.platform_only],
      },
    },
    (request, reply) =>
      mutate(request, reply, 200, (tx) =>
        settings.replace(tx, {
          settings: request.body.settings,
          version: expectedVersion(request),
          platformAdmin: request.principal.platformAdmin,
        }),
      ),
  );
};
