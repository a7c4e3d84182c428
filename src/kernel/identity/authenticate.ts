import type { IncomingHttpHeaders } from "node:http";
import { LRUCache } from "lru-cache";
import { type Clock, isoNow, isoOf } from "../clock.ts";
import type { Db } from "../db/types.ts";
import * as store from "./credential-store.ts";
import { identityErrors } from "./errors.ts";
import { readTenantToken } from "./opaque-tokens.ts";
import type { Revocations, Revoked } from "./revocations.ts";
import { type AccessClaims, type Tokens, unauthorized } from "./tokens.ts";
import type { PermissionSet, Principal, Roles } from "./types.ts";

/** A cached credential is believed for so long; then the database is asked again, in one flight. */
const freshMs = 4_000;
const cachedAtMost = 10_000;
const underWayAtMost = 1_000;

/** Finds out who makes a request. */
export interface Authenticator {
  /**
   * Null without credentials; throws a 401 with WWW-Authenticate for bad ones. Known credentials
   * are answered at once from memory. What has ended anywhere is refused within 5 s, what has ended
   * through this process at once.
   */
  authenticate(headers: IncomingHttpHeaders): Principal | null | Promise<Principal>;
  /** Entries in memory, for metrics. */
  size(): number;
  stop(): void;
}

export interface AuthenticatorDeps {
  /** Of the platform's own tables. */
  db: Db;
  clock: Clock;
  tokens: Pick<Tokens, "verify">;
  roles: Roles;
  revocations: Revocations;
}

interface Known {
  readonly principal: Principal;
  readonly claims: AccessClaims | null;
  readonly userId: string;
}

interface Entry extends Known {
  /** On the monotonic clock: neither a clock set back nor one set forward stretches it. */
  freshUntilMs: number;
}

const bearer = /^bearer +([^\s,]+)$/i;

/** Makes the one place where credentials become a principal. */
export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { clock, revocations } = deps;
  // Two of them, so that a key sent where a token belongs is not taken for one.
  const tokens = new LRUCache<string, Entry>({ max: cachedAtMost });
  const apiKeys = new LRUCache<string, Entry>({ max: cachedAtMost });
  const underWay = new Map<string, Promise<Principal>>();
  let revokedCount = 0;

  const stopListening = revocations.listen((revoked) => {
    revokedCount += 1;
    for (const cache of [tokens, apiKeys]) {
      const ended = [...cache.entries()].filter(([, entry]) => matches(revoked, entry));
      for (const [credential] of ended) cache.delete(credential);
    }
  });

  async function look(credential: string, asApiKey: boolean): Promise<Principal> {
    const startedMs = clock.monotonicMs();
    const revokedBefore = revokedCount;
    const cache = asApiKey ? apiKeys : tokens;
    const before = cache.peek(credential);
    cache.delete(credential);
    const known = asApiKey
      ? await checkApiKey(deps, credential)
      : await checkToken(deps, before?.claims ?? (await readToken(deps, credential)));
    const leftMs = known.principal.expiresAtMs - clock.nowMs();
    // Something was revoked while the database was asked: the answer holds, but is not kept.
    if (revokedCount === revokedBefore) {
      cache.set(credential, { ...known, freshUntilMs: startedMs + Math.min(freshMs, leftMs) });
    }
    return known.principal;
  }

  function lookOnce(credential: string, asApiKey: boolean): Promise<Principal> {
    const key = asApiKey ? `key ${credential}` : credential;
    const started = underWay.get(key);
    if (started) return started;
    const looking = look(credential, asApiKey);
    if (underWay.size >= underWayAtMost) return looking;
    underWay.set(key, looking);
    const done = () => underWay.delete(key);
    looking.then(done, done);
    return looking;
  }

  return {
    authenticate(headers) {
      const { authorization } = headers;
      const apiKey = headers["x-api-key"];
      const credential = authorization ?? apiKey;
      if (credential === undefined) return null;
      if (authorization !== undefined && apiKey !== undefined) {
        throw identityErrors.ambiguous_credentials();
      }
      if (typeof credential !== "string") throw unauthorized("invalid_api_key");
      const entry = (authorization === undefined ? apiKeys : tokens).get(credential);
      if (entry && clock.monotonicMs() < entry.freshUntilMs) return entry.principal;
      return lookOnce(credential, authorization === undefined);
    },
    size: () => tokens.size + apiKeys.size,
    stop: stopListening,
  };
}

function matches(revoked: Revoked, { principal, userId }: Entry): boolean {
  const { actor, tenant, sessionId } = principal;
  return (
    (revoked.userId === undefined || revoked.userId === userId) &&
    (revoked.tenantId === undefined || revoked.tenantId === tenant.id) &&
    (revoked.sessionId === undefined || revoked.sessionId === sessionId) &&
    (revoked.apiKeyId === undefined || (actor.kind === "api_key" && revoked.apiKeyId === actor.id))
  );
}

async function readToken(deps: AuthenticatorDeps, header: string): Promise<AccessClaims> {
  const token = bearer.exec(header)?.[1];
  if (!token) throw unauthorized("invalid_token");
  return deps.tokens.verify(token);
}

async function checkToken(deps: AuthenticatorDeps, claims: AccessClaims): Promise<Known> {
  const { sessionId, userId, tenantId, expiresAtMs } = claims;
  const nowMs = deps.clock.nowMs();
  if (nowMs >= expiresAtMs) throw unauthorized("expired_token");
  const now = isoOf(nowMs);
  const row = await store.readSessionStanding(deps.db, { sessionId, userId, tenantId, now });
  if (!row) throw unauthorized("invalid_token");
  const { role, permissions } = standing(deps.roles, row);
  const principal = {
    actor: { kind: "user" as const, id: userId, userId, name: row.email },
    tenant: { id: tenantId, isolation: row.isolation },
    role,
    permissions,
    sessionId,
    expiresAtMs,
    platformAdmin: row.platformAdmin,
  };
  return { principal, claims, userId };
}

async function checkApiKey(deps: AuthenticatorDeps, key: string): Promise<Known> {
  const read = readTenantToken("plm_", key);
  if (!read) throw unauthorized("invalid_api_key");
  const now = isoNow(deps.clock);
  const row = await store.readApiKeyStanding(deps.db, { ...read, now });
  if (!row) throw unauthorized("invalid_api_key");
  // A key never outgrows whoever made it: when they lose a permission, so does the key.
  const makers = standing(deps.roles, row).permissions;
  const permissions = deps.roles.intersect(makers, deps.roles.read(row.keyPermissions));
  const userId = row.createdBy;
  const principal = {
    actor: { kind: "api_key" as const, id: row.keyId, userId, name: row.keyName },
    tenant: { id: read.tenantId, isolation: row.isolation },
    role: "api_key",
    permissions,
    expiresAtMs: row.expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(row.expiresAt),
    platformAdmin: false,
  };
  return { principal, claims: null, userId };
}

/** What a person may do in a tenant: as platform admin everything, else what the role says. */
export function standing(
  roles: Roles,
  row: Pick<store.StandingRow, "platformAdmin" | "role" | "permissions">,
): { role: string; permissions: PermissionSet } {
  const role = row.platformAdmin ? "admin" : (row.role ?? "");
  return { role, permissions: roles.resolve(role, row.permissions) };
}
