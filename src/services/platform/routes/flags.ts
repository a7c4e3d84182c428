import { auditPlatform } from "#kernel/audit/platform.ts";
import type { Tx } from "#kernel/db/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import type { FlagStatus, Flags as KernelFlags } from "#kernel/flags.ts";
import { flagErrors } from "#kernel/flags-store.ts";
import { pageOfAll } from "#kernel/http/cursor.ts";
import {
  assertExpected,
  expectedVersionOrNone,
  optionalVersion,
  sendFound,
} from "#kernel/http/etag.ts";
import { history, historySchema, pastOf } from "#kernel/http/history.ts";
import { NoContent, ShortListQuery } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { current, type Expected } from "#kernel/versions.ts";
import { thePlatform } from "#kernel/tenancy/types.ts";
import { ByFlag, ByFlagAndTenant, Flag, FlagChange, Flags } from "../schemas/flags.ts";

const tags = ["administration"];
const versions =
  "A flag's version changes with any of its overrides. `If-None-Match: *` makes a flag that " +
  "nobody has named yet, `If-Match` changes one that is there.";

/** Switches for everybody or for one tenant, for platform admins. */
export const flagRoutes: Routes = (app, deps) => {
  readFlags(app, deps);
  changeFlags(app, deps);
  clearFlags(app, deps);
};

const readFlags: Routes = (app, { db, flags }) => {
  app.get(
    "/admin/flags",
    {
      schema: {
        summary: "List flags by name",
        tags,
        querystring: ShortListQuery,
        response: { 200: Flags },
      },
      config: { permission: "flag:read" },
    },
    async ({ query }) => {
      await flags.load();
      return pageOfAll(flags.list(), query, { key: ({ name }) => name });
    },
  );

  app.get(
    "/admin/flags/:name",
    {
      schema: { summary: "Get a flag", tags, params: ByFlag, response: { 200: Flag } },
      config: { permission: "flag:read" },
    },
    async (request, reply) => {
      // Another process may have changed it a moment ago, and the ETag has to be good.
      await flags.load();
      return sendFound(request, reply, flags.get(request.params.name));
    },
  );

  app.get(
    "/admin/flags/:name/history",
    {
      schema: { ...historySchema("flag"), tags, params: ByFlag },
      config: { permission: "flag:read" },
    },
    async ({ params: { name }, query }) => {
      await flags.load();
      const see = flags.get(name) ? pastOf : history;
      return see(db, thePlatform, "flag", name, query);
    },
  );
};

interface Change {
  name: string;
  on: boolean;
  tenantId?: string;
  /** The version that is changed, or that there must be none. */
  expected: Expected | "none";
}

async function change(
  tx: Tx,
  flags: KernelFlags,
  { name, on, tenantId, expected }: Change,
): Promise<FlagStatus> {
  const before = await flags.lock(tx, name);
  assertExpected(before, expected);
  const after = (await flags.set(tx, name, on, tenantId)) as FlagStatus;
  const resource = { type: "flag", id: name };
  if (before) auditPlatform(tx, { action: "flag.update", resource, before, after });
  else auditPlatform(tx, { action: "flag.create", resource, after });
  return after;
}

const changeFlags: Routes = (app, { flags, mutate }) => {
  const response = { 200: Flag, 201: Flag };
  const config = { permission: "flag:update", ifMatch: true, ifNoneMatch: true } as const;

  app.put(
    "/admin/flags/:name",
    {
      schema: {
        summary: "Switch a flag for all tenants",
        description: versions,
        tags,
        params: ByFlag,
        body: FlagChange,
        response,
      },
      config: { ...config, errors: [flagErrors.too_many] },
    },
    (request, reply) => {
      const expected = expectedVersionOrNone(request);
      const { name } = request.params;
      const wanted = { name, on: request.body.on, expected };
      return mutate(request, reply, expected === "none" ? 201 : 200, (tx) =>
        change(tx, flags, wanted),
      );
    },
  );

  app.put(
    "/admin/flags/:name/tenants/:tenantId",
    {
      schema: {
        summary: "Switch a flag for one tenant",
        description: versions,
        tags,
        params: ByFlagAndTenant,
        body: FlagChange,
        response,
      },
      config: { ...config, errors: [flagErrors.too_many, flagErrors.no_such_tenant] },
    },
    (request, reply) => {
      const expected = expectedVersionOrNone(request);
      const { name, tenantId } = request.params;
      const wanted = { name, on: request.body.on, tenantId: tenantId.toLowerCase(), expected };
      return mutate(request, reply, expected === "none" ? 201 : 200, (tx) =>
        change(tx, flags, wanted),
      );
    },
  );
};

async function clear(
  tx: Tx,
  flags: KernelFlags,
  { name, tenantId, version }: { name: string; tenantId?: string; version: Expected },
): Promise<void> {
  const before = await flags.lock(tx, name);
  const isOverridden = tenantId
    ? before?.tenants.some((one) => one.tenantId === tenantId)
    : before?.source === "override";
  if (!before || !isOverridden) throw requestErrors.not_found();
  current(before, version);
  const after = await flags.set(tx, name, null, tenantId);
  const resource = { type: "flag", id: name };
  if (after) auditPlatform(tx, { action: "flag.update", resource, before, after });
  else auditPlatform(tx, { action: "flag.delete", resource, before });
}

const clearFlags: Routes = (app, { flags, mutate }) => {
  app.delete(
    "/admin/flags/:name",
    {
      schema: {
        summary: "Take a flag's override away",
        tags,
        params: ByFlag,
        response: { 204: NoContent },
      },
      config: { permission: "flag:update" },
    },
    (request, reply) => {
      const which = { name: request.params.name, version: optionalVersion(request) };
      return mutate(request, reply, 204, (tx) => clear(tx, flags, which));
    },
  );

  app.delete(
    "/admin/flags/:name/tenants/:tenantId",
    {
      schema: {
        summary: "Take a tenant's override of a flag away",
        tags,
        params: ByFlagAndTenant,
        response: { 204: NoContent },
      },
      config: { permission: "flag:update" },
    },
    (request, reply) => {
      const { name, tenantId } = request.params;
      const version = optionalVersion(request);
      const which = { name, tenantId: tenantId.toLowerCase(), version };
      return mutate(request, reply, 204, (tx) => clear(tx, flags, which));
    },
  );
};
