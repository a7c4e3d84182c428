import { audit, listAudit } from "../audit/audit.ts";
import { type Clock, isoOf } from "../clock.ts";
import type { Tx } from "../db/types.ts";
import type { Random } from "../random.ts";
import { current, type Expected } from "../versions.ts";
import * as store from "./api-key-store.ts";
import type { ApiKeyRow } from "./api-key-store.ts";
import { identityErrors } from "./errors.ts";
import { apiKeyTtlAtMostMs } from "./lifetimes.ts";
import { newTenantToken } from "./opaque-tokens.ts";
import type { Revocations } from "./revocations.ts";
import type { Principal, Roles, Scope } from "./types.ts";

const keysPerTenantAtMost = 200;

/** A key as it is shown for good: with its last four characters and nothing else of it. */
export type ApiKeyView = ApiKeyRow;

/** Whose keys a caller may see and revoke: all of the tenant's, or the ones they made. */
function makerOf(principal: Principal, scope: Scope): string | null {
  return scope === "all" ? null : principal.actor.userId;
}

export interface NewApiKey {
  name: string;
  /** Such as `order:read` or `order:confirm:own`; at most what the maker has. */
  permissions: readonly string[];
  /** ISO-8601; absent or null for a key that does not expire. */
  expiresAt?: string | null | undefined;
}

/**
 * Makes an API key for the transaction's tenant. The key itself is in the answer and nowhere else;
 * its hash is kept. It acts for the person who made it and never beyond what they may do at the
 * time. Throws ERR_IDENTITY_USERS_ONLY when a key tries to make a key.
 */
export async function createApiKey(
  tx: Tx,
  deps: { clock: Clock; random: Random; roles: Roles },
  { principal, input }: { principal: Principal; input: NewApiKey },
): Promise<ApiKeyView & { key: string }> {
  if (principal.actor.kind !== "user") throw identityErrors.users_only();
  const granted = deps.roles.parse(input.permissions);
  deps.roles.assertWithin(principal.permissions, granted);
  const nowMs = deps.clock.nowMs();
  const expiresAt = expiryOf(input.expiresAt ?? null, nowMs);
  if ((await store.countApiKeys(tx)) >= keysPerTenantAtMost) throw identityErrors.too_many_keys();
  const { token, hash } = newTenantToken(deps.random, "plm_", tx.tenant.id);
  const row = await store.insertApiKey(tx, {
    id: deps.random.id(),
    name: input.name,
    keyHash: hash,
    lastFour: token.slice(-4),
    permissions: deps.roles.format(granted),
    createdBy: principal.actor.id,
    createdAt: isoOf(nowMs),
    expiresAt,
  });
  audit(tx, {
    action: "api_key.create",
    resource: { type: "api_key", id: row.id },
    after: row,
  });
  return { ...row, key: token };
}

function expiryOf(expiresAt: string | null, nowMs: number): string | null {
  if (expiresAt === null) return null;
  const expiresAtMs = Date.parse(expiresAt);
  if (!(expiresAtMs > nowMs) || expiresAtMs > nowMs + apiKeyTtlAtMostMs) {
    const message = "must be in the future and within five years";
    throw identityErrors.invalid_expiry({ errors: [{ path: "/expiresAt", message }] });
  }
  return isoOf(expiresAtMs);
}

/** Newest first; expired ones too, until they are revoked. */
export function listApiKeys(
  tx: Tx,
  page: {
    principal: Principal;
    scope: Scope;
    limit: number;
    after: [createdAt: string, id: string] | null;
  },
): Promise<ApiKeyView[]> {
  const { limit, after } = page;
  return store.listApiKeys(tx, { createdBy: makerOf(page.principal, page.scope), limit, after });
}

/** Null when there is no key that the caller may see. */
export function findApiKey(
  tx: Tx,
  { principal, scope, id }: { principal: Principal; scope: Scope; id: string },
): Promise<ApiKeyView | null> {
  return store.findApiKey(tx, { id, createdBy: makerOf(principal, scope) });
}

/**
 * Whether the caller may see a key's past: their own keys' for those who see only those, also once
 * the key is gone. Its first record says who made it.
 */
export async function maySeeApiKeyPast(
  tx: Tx,
  { principal, scope, id }: { principal: Principal; scope: Scope; id: string },
): Promise<boolean> {
  const maker = makerOf(principal, scope);
  if (maker === null || (await store.findApiKey(tx, { id, createdBy: maker }))) return true;
  const made = { resourceType: "api_key", resourceId: id, action: "api_key.create" };
  const [record] = await listAudit(tx, made, { limit: 1 });
  return record?.actor.userId === maker;
}

/** Ends a key for good. Throws ERR_REQUEST_NOT_FOUND when there is none that the caller may see. */
export async function revokeApiKey(
  tx: Tx,
  deps: { revocations: Revocations },
  which: { principal: Principal; scope: Scope; id: string; version: Expected },
): Promise<void> {
  const createdBy = makerOf(which.principal, which.scope);
  const found = await store.lockApiKey(tx, { id: which.id, createdBy });
  const before = current(found, which.version);
  const { id } = before;
  await store.deleteApiKey(tx, id);
  audit(tx, { action: "api_key.revoke", resource: { type: "api_key", id }, before });
  tx.afterCommit(() => deps.revocations.announce({ apiKeyId: id }));
}
