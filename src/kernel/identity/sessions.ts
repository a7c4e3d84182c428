import { timingSafeEqual } from "node:crypto";
import { audit } from "../audit/audit.ts";
import { type Clock, isoNow, isoOf } from "../clock.ts";
import type { Db, PlatformTx, Tx } from "../db/types.ts";
import type { Problem } from "../errors.ts";
import { isUuid, type Random } from "../random.ts";
import * as tenants from "../tenancy/store.ts";
import type { TenantRow } from "../tenancy/store.ts";
import { current, type Expected } from "../versions.ts";
import { identityErrors } from "./errors.ts";
import { refreshTokenTtlMs, sessionTtlMs } from "./lifetimes.ts";
import { listOwnMemberships } from "./member-store.ts";
import { newRefreshToken, readRefreshToken } from "./opaque-tokens.ts";
import type { Revocations } from "./revocations.ts";
import * as store from "./session-store.ts";
import type { SessionMethod, SessionRow, SessionView } from "./session-store.ts";
import type { Tokens } from "./tokens.ts";
import type { Client, SignedIn } from "./types.ts";
import { findUser, lockUser, setLastTenant, type UserRow, userView } from "./user-store.ts";

/** A person's live sessions; signing in once more ends the oldest. */
const sessionsAtMost = 100;
const reuseKeyBytes = 32;

export interface SessionDeps {
  /** Of the platform's own tables. */
  db: Db;
  clock: Clock;
  random: Random;
  tokens: Pick<Tokens, "mint">;
  revocations: Revocations;
}

/** A tenant in which a person may act, and as what. */
export interface Standing {
  tenant: TenantRow;
  role: string;
}

/**
 * Where a person may act: `wanted` by slug or id, else where they were last, else the oldest
 * membership. A platform admin may act in every active tenant. Null when there is no such.
 */
export async function findStanding(
  tx: PlatformTx,
  user: UserRow,
  wanted?: string,
): Promise<Standing | null> {
  const memberships = await listOwnMemberships(tx, user.id);
  const isWanted = ({ tenant }: Standing) => tenant.slug === wanted || tenant.id === wanted;
  const own =
    wanted === undefined
      ? (memberships.find(({ tenant }) => tenant.id === user.lastTenant) ?? memberships[0])
      : memberships.find(isWanted);
  if (!user.platformAdmin) return own ?? null;
  const tenant = own?.tenant ?? (await findAnyTenant(tx, user, wanted));
  return tenant ? { tenant, role: "admin" } : null;
}

async function findAnyTenant(tx: PlatformTx, user: UserRow, wanted: string | undefined) {
  const key = wanted ?? user.lastTenant;
  if (key === null) return tenants.findFirstTenant(tx);
  const tenant = isUuid(key)
    ? await tenants.findTenant(tx, key)
    : await tenants.findTenantBySlug(tx, key);
  if (tenant?.active) return tenant;
  return wanted === undefined ? tenants.findFirstTenant(tx) : null;
}

function asUser(user: UserRow, client: Client) {
  const actor = { kind: "user" as const, id: user.id, userId: user.id, name: user.email };
  return { actor, requestId: client.requestId };
}

/** The transaction of a person who has just proved who they are, inside a tenant. */
export function enterAs(
  tx: PlatformTx,
  user: UserRow,
  tenant: TenantRow,
  client: Client,
): Promise<Tx> {
  return tx.enterTenant({ id: tenant.id, isolation: tenant.isolation }, asUser(user, client));
}

function refreshEndMs(nowMs: number, createdAtMs: number): number {
  return Math.min(nowMs + refreshTokenTtlMs, createdAtMs + sessionTtlMs);
}

/** Opens a session for a person who has proved who they are, and records the sign-in. */
export async function openSession(
  tx: PlatformTx,
  deps: SessionDeps,
  opening: { user: UserRow; standing: Standing; method: SessionMethod; client: Client },
): Promise<SignedIn> {
  const { user, standing, method, client } = opening;
  const nowMs = deps.clock.nowMs();
  const now = isoOf(nowMs);
  const id = deps.random.id();
  const reuseKey = deps.random.bytes(reuseKeyBytes);
  const { token, hash } = newRefreshToken(deps.random, id, 1, reuseKey);
  const expiresAtMs = refreshEndMs(nowMs, nowMs);
  const { userAgent, address } = shorten(client);
  await store.insertSession(tx, {
    id,
    userId: user.id,
    tenantId: standing.tenant.id,
    method,
    refreshHash: hash,
    reuseKey,
    userAgent,
    address,
    now,
    expiresAt: isoOf(expiresAtMs),
  });
  const ended = await store.revokeOldestSessions(tx, {
    userId: user.id,
    keep: sessionsAtMost,
    now,
  });
  await setLastTenant(tx, user.id, standing.tenant.id);
  const inTenant = await enterAs(tx, user, standing.tenant, client);
  audit(inTenant, {
    action: "auth.login",
    resource: { type: "session", id },
    after: { userId: user.id, method, role: standing.role, userAgent, address },
  });
  tx.afterCommit(() => {
    for (const sessionId of ended) deps.revocations.announce({ sessionId });
  });
  return answer(deps, { user, standing, sessionId: id, refreshToken: token, expiresAtMs });
}

function shorten(client: Client) {
  return { userAgent: client.userAgent.slice(0, 300), address: client.address.slice(0, 100) };
}

async function answer(
  deps: SessionDeps,
  session: {
    user: UserRow;
    standing: Standing;
    sessionId: string;
    refreshToken: string;
    expiresAtMs: number;
  },
): Promise<SignedIn> {
  const { user, standing, sessionId, refreshToken } = session;
  const { token, expiresInSeconds } = await deps.tokens.mint({
    userId: user.id,
    tenantId: standing.tenant.id,
    sessionId,
    role: standing.role,
  });
  const leftMs = session.expiresAtMs - deps.clock.nowMs();
  return {
    user: userView(user),
    tenant: standing.tenant,
    role: standing.role,
    accessToken: token,
    expiresInSeconds,
    refreshToken,
    refreshExpiresInSeconds: Math.floor(leftMs / 1000),
  };
}

/**
 * Exchanges a refresh token for a new one and an access token. A token that was exchanged before is
 * a stolen one, the thief's or the victim's: the session ends for both, and the audit says so.
 * Throws ERR_IDENTITY_INVALID_REFRESH_TOKEN for it as for any other bad one.
 */
export async function refreshSession(
  deps: SessionDeps,
  { refreshToken, client }: { refreshToken: string; client: Client },
): Promise<SignedIn> {
  const read = readRefreshToken(refreshToken);
  if (!read) throw identityErrors.invalid_refresh_token();
  const outcome = await deps.db.inPlatform(async (tx): Promise<SignedIn | Problem> => {
    const now = isoNow(deps.clock);
    const session = await store.lockSession(tx, read.sessionId, now);
    if (!session?.live) return identityErrors.invalid_refresh_token();
    if (!timingSafeEqual(session.refreshHash, read.hash)) {
      if (read.issuedUnder(session.reuseKey)) await endStolenSession(tx, deps, session, client);
      return identityErrors.invalid_refresh_token();
    }
    const user = await findUser(tx, session.userId);
    const standing = user?.active && (await findStanding(tx, user, session.tenantId));
    if (!standing) return identityErrors.invalid_refresh_token();
    return rotate(tx, deps, { session, user, standing, client });
  });
  if ("accessToken" in outcome) return outcome;
  throw outcome;
}

async function endStolenSession(
  tx: PlatformTx,
  deps: SessionDeps,
  session: SessionRow,
  client: Client,
): Promise<void> {
  const { id, userId, tenantId } = session;
  const because = "refresh token reused";
  await store.revokeSession(tx, { id, userId, because, now: isoNow(deps.clock) });
  const [user, tenant] = [await findUser(tx, userId), await tenants.findTenant(tx, tenantId)];
  if (user && tenant) {
    audit(await enterAs(tx, user, tenant, client), {
      action: "auth.refresh_reused",
      resource: { type: "session", id },
      after: { userId, revoked: true, ...shorten(client) },
    });
  }
  tx.afterCommit(() => deps.revocations.announce({ sessionId: id }));
}

async function rotate(
  tx: PlatformTx,
  deps: SessionDeps,
  change: { session: SessionRow; user: UserRow; standing: Standing; client: Client },
): Promise<SignedIn> {
  const { session, user, standing, client } = change;
  const nowMs = deps.clock.nowMs();
  const generation = session.generation + 1;
  const { token, hash } = newRefreshToken(deps.random, session.id, generation, session.reuseKey);
  const expiresAtMs = refreshEndMs(nowMs, session.createdAtMs);
  await store.rotateSession(tx, {
    id: session.id,
    tenantId: standing.tenant.id,
    refreshHash: hash,
    generation,
    ...shorten(client),
    now: isoOf(nowMs),
    expiresAt: isoOf(expiresAtMs),
  });
  return answer(deps, {
    user,
    standing,
    sessionId: session.id,
    refreshToken: token,
    expiresAtMs,
  });
}

/**
 * Takes a session to another tenant, by slug or id: one of the person's own, or any active one for
 * a platform admin. The refresh token changes with it. Throws ERR_IDENTITY_NO_TENANT otherwise, the
 * same for a tenant that does not exist.
 */
export async function switchTenant(
  deps: SessionDeps,
  change: { userId: string; sessionId: string; tenant: string; client: Client },
): Promise<SignedIn> {
  return deps.db.inPlatform(async (tx) => {
    // The user before the session, as everybody locks them who needs both.
    const user = await lockUser(tx, change.userId);
    const session = await store.lockSession(tx, change.sessionId, isoNow(deps.clock));
    if (!session?.live || session.userId !== user?.id) {
      throw identityErrors.invalid_refresh_token();
    }
    const standing = await findStanding(tx, user, change.tenant);
    if (!standing) throw identityErrors.no_tenant();
    await setLastTenant(tx, user.id, standing.tenant.id);
    const inTenant = await enterAs(tx, user, standing.tenant, change.client);
    audit(inTenant, {
      action: "auth.switch_tenant",
      resource: { type: "session", id: session.id },
      before: { tenantId: session.tenantId },
      after: { tenantId: standing.tenant.id, role: standing.role },
    });
    return rotate(tx, deps, { session, user, standing, client: change.client });
  });
}

/** One's own live sessions, newest first. */
export function listSessions(
  tx: Tx,
  deps: Pick<SessionDeps, "clock">,
  page: { userId: string; limit: number; after: [createdAt: string, id: string] | null },
): Promise<SessionView[]> {
  return store.listSessions(tx, { ...page, now: isoNow(deps.clock) });
}

/** One of one's own live sessions; null when there is no such. */
export function findOwnSession(
  tx: Tx,
  deps: Pick<SessionDeps, "clock">,
  which: { userId: string; id: string },
): Promise<SessionView | null> {
  return store.findSession(tx, { ...which, now: isoNow(deps.clock) });
}

/**
 * Takes one of one's own sessions back if it is still at `version` (null for any). Throws
 * ERR_REQUEST_NOT_FOUND when there is no such live session.
 */
export async function revokeOwnSession(
  tx: Tx,
  deps: Pick<SessionDeps, "clock" | "revocations">,
  { userId, id, version }: { userId: string; id: string; version: Expected },
): Promise<void> {
  const found = await store.lockOwnSession(tx, { id, userId, now: isoNow(deps.clock) });
  const { id: sessionId } = current(found, version);
  await endSession(tx, deps, { userId, sessionId, because: "revoked" });
}

/** Ends one of one's own sessions; null when there is no such live session. */
export async function endSession(
  tx: Tx,
  deps: Pick<SessionDeps, "clock" | "revocations">,
  which: { userId: string; sessionId: string; because: "logout" | "revoked" },
): Promise<SessionView | null> {
  const { userId, sessionId, because } = which;
  const now = isoNow(deps.clock);
  const ended = await store.revokeSession(tx, { id: sessionId, userId, because, now });
  if (!ended) return null;
  audit(tx, {
    action: because === "logout" ? "auth.logout" : "session.revoke",
    resource: { type: "session", id: sessionId },
    before: ended,
  });
  tx.afterCommit(() => deps.revocations.announce({ sessionId }));
  return ended;
}

/**
 * Signs out with the refresh token alone, since the access token has often expired by then. A bad
 * token is no error: there is nothing left to end.
 */
export async function logout(
  deps: SessionDeps,
  { refreshToken, client }: { refreshToken: string; client: Client },
): Promise<void> {
  const read = readRefreshToken(refreshToken);
  if (!read) return;
  await deps.db.inPlatform(async (tx) => {
    const now = isoNow(deps.clock);
    const session = await store.lockSession(tx, read.sessionId, now);
    if (!session?.live || !timingSafeEqual(session.refreshHash, read.hash)) return;
    const user = await findUser(tx, session.userId);
    const tenant = await tenants.findTenant(tx, session.tenantId);
    if (!user || !tenant) return;
    const inTenant = await enterAs(tx, user, tenant, client);
    const which = { userId: user.id, sessionId: session.id, because: "logout" as const };
    await endSession(inTenant, deps, which);
  });
}
