import { expectedVersion, optionalVersion, sendFound } from "#kernel/http/etag.ts";
import { history, historySchema } from "#kernel/http/history.ts";
import { ById, NoContent } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { changeTemplate, createTemplate, removeTemplate } from "../changes/templates.ts";
import { leasesErrors } from "../errors.ts";
import {
  NewTemplate,
  Template,
  TemplateChanges,
  TemplateFilter,
  TemplatePage,
} from "../schemas/templates.ts";
import { getTemplate, listTemplates } from "../store/templates.ts";
import type { LeasesDeps } from "../types.ts";

const errors = [
  leasesErrors.template_name_taken,
  leasesErrors.image_not_allowed,
  leasesErrors.beyond_limit,
  leasesErrors.read_only,
  leasesErrors.platform_template,
];

/** What leases are made of, over and over: the tenant's own templates and the platform's. */
export const templateRoutes: Routes<LeasesDeps> = (app, deps) => {
  readRoutes(app, deps);
  changeRoutes(app, deps);
};

const readRoutes: Routes<LeasesDeps> = (app, { db }) => {
  app.get(
    "/leases/templates",
    {
      schema: {
        summary: "List templates",
        description: "The tenant's own by name, then the platform's.",
        querystring: TemplateFilter,
        response: { 200: TemplatePage },
      },
      config: { permission: "template:read" },
    },
    async ({ tenant, query }) => listTemplates(db, tenant, query),
  );

  app.get(
    "/leases/templates/:id",
    {
      schema: { summary: "Get a template", params: ById, response: { 200: Template } },
      config: { permission: "template:read" },
    },
    async (request, reply) =>
      sendFound(request, reply, await getTemplate(db, request.tenant, request.params.id)),
  );

  app.get(
    "/leases/templates/:id/history",
    { schema: historySchema("template"), config: { permission: "template:read" } },
    async ({ tenant, params, query }) => history(db, tenant, "template", params.id, query),
  );
};

const changeRoutes: Routes<LeasesDeps> = (app, deps) => {
  const { mutate } = deps;

  app.post(
    "/leases/templates",
    {
      schema: {
        summary: "Make a template",
        description: "Of the tenant, or, by a platform admin, of the platform for everybody.",
        body: NewTemplate,
        response: { 201: Template },
      },
      config: { permission: "template:create", idempotent: true, errors },
    },
    (request, reply) =>
      mutate(request, reply, 201, (tx) =>
        createTemplate(tx, deps, request.body, request.principal.platformAdmin),
      ),
  );

  app.patch(
    "/leases/templates/:id",
    {
      schema: {
        summary: "Change a template",
        description: "Leases that were made of it stay as they are.",
        params: ById,
        body: TemplateChanges,
        response: { 200: Template },
      },
      config: { permission: "template:update", ifMatch: true, errors },
    },
    (request, reply) =>
      mutate(request, reply, 200, (tx) => {
        const { platformAdmin: isPlatformAdmin } = request.principal;
        const change = { id: request.params.id, version: expectedVersion(request) };
        return changeTemplate(tx, deps, { ...change, isPlatformAdmin }, request.body);
      }),
  );

  app.delete(
    "/leases/templates/:id",
    {
      schema: { summary: "Delete a template", params: ById, response: { 204: NoContent } },
      config: { permission: "template:delete", errors: [leasesErrors.platform_template] },
    },
    (request, reply) =>
      mutate(request, reply, 204, (tx) => {
        const { platformAdmin: isPlatformAdmin } = request.principal;
        const version = optionalVersion(request);
        return removeTemplate(tx, { id: request.params.id, version, isPlatformAdmin });
      }),
  );
};
