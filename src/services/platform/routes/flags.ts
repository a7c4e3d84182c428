import { audit } from "#kernel/audit/audit.ts";
import type { Tx } from "#kernel/db/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import type { FlagStatus, Flags as KernelFlags } from "#kernel/flags.ts";
import { flagErrors } from "#kernel/flags-store.ts";
import { NoContent } from "#kernel/http/schemas.ts";
import type { Routes } from "#kernel/service.ts";
import { ByFlag, ByFlagAndTenant, Flag, FlagChange, Flags } from "../schemas/flags.ts";

const tags = ["administration"];
const unknown = (name: string): FlagStatus => ({ name, on: false, source: "default", tenants: [] });

/** What the flag will be once the transaction has committed. */
function afterChange(before: FlagStatus, on: boolean, tenantId?: string): FlagStatus {
  if (tenantId === undefined) return { ...before, on, source: "override" };
  const others = before.tenants.filter((one) => one.tenantId !== tenantId);
  return { ...before, tenants: [...others, { tenantId, on }] };
}

async function change(tx: Tx, flags: KernelFlags, name: string, on: boolean, tenantId?: string) {
  const before = flags.get(name) ?? unknown(name);
  await flags.set(tx, name, on, tenantId);
  const after = afterChange(before, on, tenantId);
  audit(tx, { action: "flag.update", resource: { type: "flag", id: name }, before, after });
  return after;
}

async function remove(tx: Tx, flags: KernelFlags, name: string, tenantId?: string) {
  const before = flags.get(name);
  const has = tenantId
    ? before?.tenants.some((one) => one.tenantId === tenantId)
    : before?.source === "override";
  if (!before || !has) throw requestErrors.not_found();
  await flags.set(tx, name, null, tenantId);
  audit(tx, {
    action: "flag.delete",
    resource: { type: "flag", id: name },
    before: tenantId ? { ...before, tenantId } : before,
  });
}

/** Switches have no version: whoever sets one says what it is to be, whatever it was. */
export const flagRoutes: Routes = (app, deps) => {
  readFlags(app, deps);
  changeFlags(app, deps);
};

const readFlags: Routes = (app, { flags }) => {
  app.get(
    "/admin/flags",
    {
      schema: { summary: "List flags", tags, response: { 200: Flags } },
      config: { permission: "flag:read" },
    },
    async () => ({ items: flags.list() }),
  );

  app.get(
    "/admin/flags/:name",
    {
      schema: { summary: "Get a flag", tags, params: ByFlag, response: { 200: Flag } },
      config: { permission: "flag:read" },
    },
    async ({ params }) => {
      const flag = flags.get(params.name);
      if (!flag) throw requestErrors.not_found();
      return flag;
    },
  );
};

const changeFlags: Routes = (app, { flags, mutate }) => {
  app.put(
    "/admin/flags/:name",
    {
      schema: {
        summary: "Switch a flag for all tenants",
        tags,
        params: ByFlag,
        body: FlagChange,
        response: { 200: Flag },
      },
      config: { permission: "flag:update", errors: [flagErrors.too_many] },
    },
    (request, reply) =>
      mutate(request, reply, 200, (tx) => change(tx, flags, request.params.name, request.body.on)),
  );

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
    (request, reply) => mutate(request, reply, 204, (tx) => remove(tx, flags, request.params.name)),
  );

  app.put(
    "/admin/flags/:name/tenants/:tenantId",
    {
      schema: {
        summary: "Switch a flag for one tenant",
        tags,
        params: ByFlagAndTenant,
        body: FlagChange,
        response: { 200: Flag },
      },
      config: {
        permission: "flag:update",
        errors: [flagErrors.too_many, flagErrors.no_such_tenant],
      },
    },
    (request, reply) =>
      mutate(request, reply, 200, (tx) =>
        change(tx, flags, request.params.name, request.body.on, request.params.tenantId),
      ),
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
    (request, reply) =>
      mutate(request, reply, 204, (tx) =>
        remove(tx, flags, request.params.name, request.params.tenantId),
      ),
  );
};
