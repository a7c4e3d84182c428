import type { Db } from "../db/types.ts";
import type { Isolation, TenantRef } from "../tenancy/types.ts";

/** What the database says of a signed-in person in a tenant, in one row. */
export interface StandingRow {
  email: string;
  platformAdmin: boolean;
  isolation: Isolation;
  /** Null when the person is no active member. */
  role: string | null;
  /** Of a custom role. */
  permissions: string[] | null;
}

/** One flight per token and 4 s; tokens in between are answered from memory. */
const sessionStandingText = `
  select u.email, u.platform_admin as "platformAdmin", t.isolation, m.role, r.permissions
    from platform.session s
    join platform.app_user u on u.id = s.user_id and u.active
    join platform.tenant t on t.id = $3 and t.active and t.deleted_at is null
    left join platform.membership m
      on m.tenant_id = t.id and m.user_id = u.id and m.active
    left join platform.role r on r.tenant_id = m.tenant_id and r.name = m.role
   where s.id = $1 and s.user_id = $2 and s.revoked_at is null and s.expires_at > $4::timestamptz
     and (m.role is not null or u.platform_admin)`;

/** Null when the session, the user, the membership or the tenant is no longer active. */
export async function readSessionStanding(
  db: Db,
  { sessionId, userId, tenantId, now }: Record<"sessionId" | "userId" | "tenantId" | "now", string>,
): Promise<StandingRow | null> {
  const { rows } = await db.query<StandingRow>(context(tenantId), sessionStandingText, [
    sessionId,
    userId,
    tenantId,
    now,
  ]);
  return rows[0] ?? null;
}

export interface ApiKeyStandingRow extends StandingRow {
  keyId: string;
  keyName: string;
  keyPermissions: string[];
  createdBy: string;
  expiresAt: string | null;
}

/** `last_used_at` moves once a minute, so that a busy key costs one write a minute. */
const apiKeyStandingText = `
  with used as (
    update platform.api_key set last_used_at = $3::timestamptz
     where tenant_id = $1 and key_hash = $2
       and (last_used_at is null or last_used_at < $3::timestamptz - interval '1 minute')
       and (expires_at is null or expires_at > $3::timestamptz))
  select k.id as "keyId", k.name as "keyName", k.permissions as "keyPermissions",
         k.created_by as "createdBy", k.expires_at as "expiresAt",
         u.email, u.platform_admin as "platformAdmin", t.isolation, m.role, r.permissions
    from platform.api_key k
    join platform.app_user u on u.id = k.created_by and u.active
    join platform.tenant t on t.id = k.tenant_id and t.active and t.deleted_at is null
    left join platform.membership m
      on m.tenant_id = k.tenant_id and m.user_id = u.id and m.active
    left join platform.role r on r.tenant_id = m.tenant_id and r.name = m.role
   where k.tenant_id = $1 and k.key_hash = $2
     and (k.expires_at is null or k.expires_at > $3::timestamptz)
     and (m.role is not null or u.platform_admin)`;

/** Null when the key is unknown or expired, or whoever made it is no longer active there. */
export async function readApiKeyStanding(
  db: Db,
  { tenantId, hash, now }: { tenantId: string; hash: Buffer; now: string },
): Promise<ApiKeyStandingRow | null> {
  const { rows } = await db.query<ApiKeyStandingRow>(context(tenantId), apiKeyStandingText, [
    tenantId,
    hash,
    now,
  ]);
  return rows[0] ?? null;
}

/** Kernel tables are the same for shared and dedicated tenants, so either isolation will do. */
function context(tenantId: string): TenantRef {
  return { id: tenantId, isolation: "shared" };
}
