import { audit } from "#kernel/audit/audit.ts";
import { isoOf } from "#kernel/clock.ts";
import type { Tx } from "#kernel/db/types.ts";
import { leasesErrors } from "../errors.ts";
import { type Caller, ownerLimit } from "../rules/callers.ts";
import { baseOfSnapshot, baseOfTemplate } from "../rules/bases.ts";
import type { Limits } from "../rules/config.ts";
import { endsAtMs } from "../rules/deadlines.ts";
import type { Lease, LeaseTerms } from "../rules/lease.ts";
import { startSeconds } from "../rules/moves.ts";
import { agree, assertEnvironment, type Base, type WantedLease } from "../rules/request.ts";
import type { StoredSnapshot } from "../rules/snapshots.ts";
import { type StoredWarm, warmShare } from "../rules/warm.ts";
import type { NewLease, RestoredLease } from "../schemas/leases.ts";
import { setDue, setDueBy } from "../store/due.ts";
import { insertLease } from "../store/leases.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";
import { lockSnapshot } from "../store/snapshots.ts";
import { findTemplate } from "../store/templates.ts";
import type { Chosen, LeasesDeps } from "../types.ts";
import { leaseResource, tellLease } from "./apply.ts";
import { readLimits } from "./limits.ts";
import { hasBudget, takeQuota } from "./quota.ts";
import { claimWarm, refill } from "./warm.ts";

/** A lease that was just asked for, as of a moment. */
export interface Made {
  readonly lease: Lease;
  readonly nowMs: number;
}

/**
 * Asks for a lease: it is pending, and what it takes of the quota is taken. Throws what `agree`
 * throws, `unknown_template`, `template_retired`, `bad_environment`, `not_supported`, `no_runtime`
 * and `quota_exceeded`.
 */
export async function createLease(tx: Tx, deps: LeasesDeps, wanted: NewLease): Promise<Made> {
  const limits = await readLimits(tx, deps);
  const { template } = wanted;
  const found = template === undefined ? null : await findBase(tx, template, limits);
  const { base, isPooled } = found ?? { base: null, isPooled: false };
  const chosen = await deps.fleet.choose(limits);
  return make(tx, deps, { wanted, base, isPooled, limits, chosen });
}

/**
 * Asks for a lease that begins with what a snapshot holds. Throws the kernel's `not_found`,
 * `snapshot_not_ready`, `snapshot_elsewhere`, and what `createLease` throws.
 */
export async function restoreLease(
  tx: Tx,
  deps: LeasesDeps,
  snapshotId: string,
  wanted: RestoredLease,
  caller: Caller,
): Promise<Made | null> {
  const owner = ownerLimit(caller, "snapshot:restore");
  const [locked] = await tx.batch([lockSnapshot(snapshotId, owner)]);
  const snapshot = locked?.rows[0] as StoredSnapshot | undefined;
  if (!snapshot) return null;
  const base = baseOfSnapshot(snapshot);
  const limits = await readLimits(tx, deps);
  const chosen = await deps.fleet.choose(limits);
  const { name } = chosen.runtime;
  if (name !== snapshot.runtime || chosen.place !== snapshot.runtimePlace) {
    const there = name === snapshot.runtime ? `another ${name}` : snapshot.runtime;
    throw leasesErrors.snapshot_elsewhere({
      detail: `It was taken on ${there}, and new leases are made on ${name}.`,
    });
  }
  return make(tx, deps, { wanted, base, isPooled: false, limits, chosen });
}

async function findBase(
  tx: Tx,
  nameOrId: string,
  limits: Limits,
): Promise<{ base: Base; isPooled: boolean }> {
  const template = await findTemplate(tx, nameOrId);
  const errors = (message: string) => [{ path: "/template", message }];
  if (!template) {
    throw leasesErrors.unknown_template({
      detail: `There is no template "${nameOrId}".`,
      errors: errors("is the name or id of no template"),
    });
  }
  if (!template.active) {
    throw leasesErrors.template_retired({
      detail: `The template "${template.name}" is retired; name another one.`,
      errors: errors("is retired"),
    });
  }
  const isPooled = template.warmSize > 0 && (template.scope === "tenant" || limits.isPlatformWarm);
  return { base: baseOfTemplate(template, limits), isPooled };
}

/** Whoever is asked makes the container; when that has not begun by then, anybody does. */
const nudgeGraceMs = 1_000;

interface Making {
  readonly wanted: WantedLease;
  readonly base: Base | null;
  /** Whether some containers of it are kept ready. */
  readonly isPooled: boolean;
  readonly limits: Limits;
  readonly chosen: Chosen;
}

async function make(
  tx: Tx,
  deps: LeasesDeps,
  { wanted, base, isPooled, limits, chosen }: Making,
): Promise<Made> {
  const env = wanted.env ?? {};
  assertEnvironment(env);
  const [moment] = await tx.batch([selectNow(deps.clock)]);
  const nowMs = nowMsIn(moment);
  const agreed = {
    id: deps.random.id(),
    ownerId: tx.actor.userId ?? tx.actor.id,
    runtime: chosen.runtime.name,
    runtimePlace: chosen.place,
    nowMs,
  };
  const { terms, ttlSeconds } = agree(wanted, base, { limits, config: deps.leases }, agreed);
  assertSupported(terms, chosen);
  const warm = isPooled ? await claimWarm(tx, deps, terms) : null;
  const lease = newLease(terms, warm, { ttlSeconds, nowMs });
  const sealed = lease.envNames.length === 0 ? null : sealEnvironment(tx, deps, lease.id, env);
  const writing = [
    insertLease(tx.tenant, lease, sealed),
    setDue(tx, "lease", lease.id, nowMs + nudgeGraceMs),
    ...(hasBudget(limits) ? [setDueBy(tx, "budget", tx.tenant.id, nowMs)] : []),
    ...(warm ? refill(tx, warm, nowMs) : []),
  ];
  const taken = warm && warmShare(warm.spec);
  await takeQuota(tx, deps, lease, { limits, writing, taken });
  const { state, version, image, templateName: template, cpuMillis, memoryMb } = lease;
  audit(tx, {
    action: "lease.create",
    resource: leaseResource(lease),
    after: {
      state,
      version,
      image,
      template,
      cpuMillis,
      memoryMb,
      ttlSeconds,
      ownerId: lease.ownerId,
      hardExpiresAt: isoOf(lease.hardExpiresAtMs),
      ...(warm && { warm: true }),
    },
  });
  tellLease(tx, deps.config.publicUrl, "lease.created", lease, nowMs);
  if (warm) await deps.faults.at("leases.warm.claim");
  tx.afterCommit(() => deps.engine.nudge(tx.tenant.id, "lease", lease.id));
  return { lease, nowMs };
}

/** Throws `not_supported` for what the engine at hand has not got: nothing falls back unseen. */
function assertSupported(terms: LeaseTerms, { info }: Chosen): void {
  if (terms.ociRuntime !== null && !info.ociRuntimes.includes(terms.ociRuntime)) {
    const there = info.ociRuntimes.join(", ") || "none";
    throw leasesErrors.not_supported({
      detail: `The engine has no runtime "${terms.ociRuntime}"; what it has: ${there}.`,
    });
  }
  if (terms.snapshotOnEnd && !info.canSnapshot) {
    throw leasesErrors.not_supported({ detail: "The runtime can't take snapshots." });
  }
}

/** What a sealed environment is bound to: it opens for this lease of this tenant alone. */
export const environmentContext = (tenantId: string, leaseId: string): string =>
  `leases/env/${tenantId}/${leaseId}`;

function sealEnvironment(
  tx: Tx,
  { secrets }: Pick<LeasesDeps, "secrets">,
  leaseId: string,
  env: Readonly<Record<string, string>>,
): Buffer {
  return secrets.seal(Buffer.from(JSON.stringify(env)), environmentContext(tx.tenant.id, leaseId));
}

/** A lease that is given a container takes over its id, by which the container is known. */
function newLease(
  terms: LeaseTerms,
  warm: StoredWarm | null,
  { ttlSeconds, nowMs }: { ttlSeconds: number; nowMs: number },
): Lease {
  const expiresAtMs = Math.min(nowMs + ttlSeconds * 1_000, terms.hardExpiresAtMs);
  const lease: Lease = {
    ...terms,
    id: warm?.id ?? terms.id,
    state: "pending",
    desired: "running",
    generation: 1,
    version: 1,
    stepToken: null,
    stepUntilMs: null,
    attempts: 0,
    retryAtMs: null,
    deadlineMs: nowMs + startSeconds * 1_000,
    containerId: warm?.containerId ?? null,
    isolation: null,
    ttlSeconds,
    updatedAtMs: nowMs,
    startedAtMs: null,
    runningSinceMs: null,
    expiresAtMs,
    lastActivityAtMs: nowMs,
    pausedAtMs: null,
    pausedUntilMs: null,
    endsAtMs: expiresAtMs,
    warnedForMs: null,
    seenAtMs: null,
    endedAtMs: null,
    reason: null,
    exitCode: null,
    message: null,
    restarts: 0,
    preStopDone: false,
    snapshotId: null,
    costMicros: 0n,
  };
  return { ...lease, endsAtMs: endsAtMs(lease) };
}
