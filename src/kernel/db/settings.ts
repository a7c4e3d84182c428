import { isUuid } from "../random.ts";
import type { TenantRef } from "../tenancy/types.ts";
import type { FlightStatement } from "./flight.ts";
import { dedicatedSchema } from "./migration-files.ts";

const SERVICE = /^[a-z][a-z]{1,30}$/;
/** PostgreSQL cuts longer names off, which could make two tenants' schemas one. */
const NAME_BYTES_MAX = 63;

/**
 * Tenant and search path for the rest of a transaction (`true` = local to it). A statement of its
 * own: inside a CTE of the query it would be evaluated too late, which showed other tenants' rows.
 */
const settingsText = `select
  set_config('app.tenant_id', $1, true), set_config('search_path', $2, true)`;
const tenantSettingText = "select set_config('app.tenant_id', $1, true)";

/** Sets tenant and search path; the first statement of every flight. */
export function settings(path: string, tenantId: string): FlightStatement {
  return { path: "", text: settingsText, values: [tenantId, path], silent: true };
}

/** Changes the tenant alone, in the middle of a transaction over platform tables. */
export function tenantSetting(tenantId: string): FlightStatement {
  return { path: "", text: tenantSettingText, values: [tenantId], silent: true };
}

/** Throws for a tenant whose id is no lower-case UUID, which only a programming error can make. */
export function assertTenant(tenant: TenantRef): void {
  if (!isUuid(tenant.id)) throw new TypeError("A tenant's id must be a lower-case UUID");
}

/** Makes a service's search path of a tenant; the platform's tables are the same for all. */
export function searchPaths(service: string): (tenant: TenantRef) => string {
  if (!SERVICE.test(service)) {
    throw new TypeError(`Service name "${service}" must be 2 to 31 lower-case letters`);
  }
  const shared = `"${service}"`;
  return (tenant) => {
    assertTenant(tenant);
    if (service === "platform" || tenant.isolation === "shared") return shared;
    const schema = dedicatedSchema(service, tenant.id);
    if (schema.length > NAME_BYTES_MAX) throw new TypeError(`Schema name ${schema} is too long`);
    return `"${schema}"`;
  };
}
