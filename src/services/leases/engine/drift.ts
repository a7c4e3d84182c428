import { audit } from "#kernel/audit/audit.ts";
import { isoOf } from "#kernel/clock.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { isCurrent, mismatchOf, orphanOf } from "../rules/drift.ts";
import type { Lease } from "../rules/lease.ts";
import type { Container, KeptImage, Runtime } from "../runtimes/types.ts";
import { ensureDue } from "../store/due.ts";
import { getLease, getLeases, listAlive, noteSeen } from "../store/leases.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";
import { readQuotaDrift, recountQuota, wholeTenant } from "../store/quota.ts";
import { getWarm, getWarmIds } from "../store/warm.ts";
import type { DriftReport, FoundDrift } from "../types.ts";
import { removeStrayImage, strayImages } from "./drift-images.ts";
import { compareWarm } from "./drift-warm.ts";
import { observeLease } from "./observe.ts";
import { observeWarm } from "./warm-work.ts";
import { onBehalf, type Works } from "./works.ts";

const leasesAtOnce = 500;

interface Listed {
  readonly runtime: Runtime;
  readonly containers: readonly Container[];
  readonly kept: readonly KeptImage[];
}

/** Everything of the installation's, from every engine that answers. */
async function listAll(works: Works): Promise<{ listed: Listed[]; unreachable: string[] }> {
  const { fleet, leases, log } = works;
  const { runtime, dockerHost: _, kubeconfig: __ } = leases;
  // So that the installation's own engine is among those that are looked at.
  await fleet.look({ runtime, dockerHost: null, kubeconfig: null });
  const listed: Listed[] = [];
  const unreachable: string[] = [];
  // At once: one that hangs keeps nobody else's containers from being looked at.
  const looking = fleet.opened().map(async ({ runtime: one, place }) => {
    try {
      const kept = (await one.keptImages?.()) ?? [];
      listed.push({ runtime: one, containers: await one.list(), kept });
    } catch (error) {
      log.info({ err: error, runtime: one.name, place }, "containers could not be listed");
      unreachable.push(place === "" ? one.name : `${one.name} of a tenant's own`);
    }
  });
  await Promise.all(looking);
  return { listed, unreachable };
}

/**
 * Compares, tenant by tenant, what is stored with what is there. Containers are listed before rows
 * are read: a lease's row is there before its container is made, so none is taken for a stray.
 */
export async function findDrift(works: Works, signal: AbortSignal): Promise<DriftReport> {
  const listedAtMs = await nowOf(works);
  const { listed, unreachable } = await listAll(works);
  const containers = listed.flatMap((one) =>
    one.containers.map((container) => ({ container, runtime: one.runtime })),
  );
  const byLease = new Map<string, Container>();
  for (const { container } of containers) {
    const { leaseId, generation } = container.identity;
    byLease.set(`${leaseId} ${generation}`, container);
  }
  const heard = new Set(listed.map(({ runtime }) => runtime));
  const items: FoundDrift[] = [];
  let count = 0;
  for await (const tenant of works.tenants.each()) {
    signal.throwIfAborted();
    count += await compareTenant(works, tenant, { byLease, heard, items, listedAtMs });
  }
  items.push(...(await strays(works, containers, signal)));
  for (const one of listed) items.push(...(await strayImages(works, one, signal)));
  const nowMs = await nowOf(works);
  return {
    checkedAt: isoOf(nowMs),
    containers: containers.length,
    leases: count,
    items,
    unreachable,
  };
}

async function nowOf({ db, clock }: Works): Promise<number> {
  const [moment] = await db.inPlatform((tx) => tx.batch([selectNow(clock)]));
  return nowMsIn(moment);
}

interface Comparison {
  readonly byLease: ReadonlyMap<string, Container>;
  /** The runtimes that answered: of the others nothing is known. */
  readonly heard: ReadonlySet<Runtime>;
  readonly items: FoundDrift[];
  /** Not later than any container was looked at. */
  readonly listedAtMs: number;
}

async function compareTenant(
  works: Works,
  tenant: TenantRef,
  { byLease, heard, items, listedAtMs }: Comparison,
): Promise<number> {
  const { db, fleet } = works;
  let count = 0;
  for (let afterId: string | null = null; ; ) {
    const alive: Lease[] = await listAlive(db, tenant, { afterId, limit: leasesAtOnce });
    if (alive.length === 0) break;
    const nowMs = await keepPointers(works, tenant, alive);
    const seen: string[] = [];
    for (const lease of alive) {
      const runtime = fleet.at(lease);
      if (!heard.has(runtime)) continue;
      const container = byLease.get(`${lease.id} ${lease.generation}`) ?? null;
      const drift = mismatchOf(lease, container, nowMs);
      if (drift) items.push({ ...drift, tenantId: tenant.id, runtime });
      else if (container && isAlive(container)) seen.push(lease.id);
    }
    if (seen.length > 0) await noteSeen(db, tenant, seen, listedAtMs);
    count += alive.length;
    if (alive.length < leasesAtOnce) break;
    afterId = alive.at(-1)?.id ?? null;
  }
  items.push(...(await miscounts(works, tenant)));
  items.push(...(await compareWarm(works, tenant, { byLease, heard })));
  return count;
}

const isAlive = ({ state }: Container): boolean => state === "running" || state === "paused";

/**
 * Whatever lives is looked at by the sweep, whoever may have lost its pointer; and so is what it
 * costs, since the tenant may have been given a budget meanwhile.
 */
async function keepPointers(
  { db, clock }: Works,
  tenant: TenantRef,
  alive: readonly Lease[],
): Promise<number> {
  const ids = alive.map(({ id }) => id);
  const [, moment] = await db.inTenant(tenant, (tx) =>
    tx.batch([
      ensureDue(tx, "lease", ids, clock),
      selectNow(clock),
      ensureDue(tx, "budget", [tenant.id], clock),
    ]),
  );
  return nowMsIn(moment);
}

async function miscounts({ db }: Works, tenant: TenantRef): Promise<FoundDrift[]> {
  const found = await readQuotaDrift(db, tenant);
  return found.map(({ ownerId, counted, stored }) => ({
    kind: "quota_mismatch",
    tenantId: tenant.id,
    leaseId: null,
    containerId: null,
    containerName: null,
    detail: `${whose(ownerId)} has ${counted} and is counted as ${stored}.`,
    runtime: null,
  }));
}

const whose = (ownerId: string): string =>
  ownerId === wholeTenant ? "The tenant" : `Owner ${ownerId}`;

interface Placed {
  readonly container: Container;
  readonly runtime: Runtime;
}

/** Containers without a lease that they belong to. */
async function strays(
  works: Works,
  containers: readonly Placed[],
  signal: AbortSignal,
): Promise<FoundDrift[]> {
  const byTenant = Map.groupBy(containers, ({ container }) => container.identity.tenantId);
  const found: FoundDrift[] = [];
  for (const [tenantId, placed] of byTenant) {
    signal.throwIfAborted();
    const tenant = await works.tenants.known(tenantId);
    const known = new Map<string, Lease>();
    const ready = new Set<string>();
    if (tenant) {
      const ids = [...new Set(placed.map(({ container }) => container.identity.leaseId))];
      // Before leases: what is kept ready may become one in between, and never the reverse.
      for (const id of await getWarmIds(works.db, tenant, ids)) ready.add(id);
      const read = await getLeases(works.db, tenant, { ids, clock: works.clock });
      for (const { lease } of read) known.set(lease.id, lease);
    }
    const nowMs = await nowOf(works);
    for (const { container, runtime } of placed) {
      if (ready.has(container.identity.leaseId)) continue;
      const drift = orphanOf(container, known.get(container.identity.leaseId) ?? null, nowMs);
      if (drift) found.push({ ...drift, tenantId, runtime });
    }
  }
  return found;
}

/** Repairs one difference, if it is still there. */
export async function repairDrift(works: Works, drift: FoundDrift): Promise<void> {
  const { kind, tenantId, leaseId } = drift;
  works.gauges.drift.inc({ kind });
  const tenant = await works.tenants.known(tenantId);
  if (kind === "orphan_container") return removeStray(works, tenant, drift);
  if (kind === "orphan_image") return removeStrayImage(works, drift);
  if (tenant === null) return;
  if (kind === "quota_mismatch") return recount(works, tenant, drift);
  if (kind === "warm_mismatch") return observeWarm(works, tenant, leaseId as string);
  await observeLease(works, tenant, leaseId as string);
}

async function recount({ db }: Works, tenant: TenantRef, { detail }: FoundDrift) {
  await db.inTenant(
    tenant,
    async (tx) => {
      await recountQuota(tx);
      const resource = { type: "lease_quota", id: tenant.id };
      audit(tx, { action: "lease.recount", resource, after: { detail } });
    },
    onBehalf,
  );
}

/** Looks once more, since somebody may have made it theirs meanwhile, and removes it by its id. */
async function removeStray(
  works: Works,
  tenant: TenantRef | null,
  { runtime, containerId, containerName, detail }: FoundDrift,
): Promise<void> {
  if (!runtime || containerId === null) return;
  const container = await runtime.inspect(containerId);
  if (!container) return;
  const { db, clock } = works;
  const { leaseId } = container.identity;
  if (tenant && (await getWarm(db, tenant, leaseId))) return;
  const read = tenant && (await getLease(db, tenant, { id: leaseId, ownerId: null, clock }));
  const lease = read?.lease ?? null;
  if (lease && lease.endedAtMs === null && isCurrent(container, lease)) return;
  await runtime.remove(container.id);
  works.log.warn({ container: containerName, lease: leaseId, detail }, "removed a stray container");
  if (!tenant) return;
  await db.inTenant(
    tenant,
    async (tx) => {
      const resource = { type: "lease", id: leaseId };
      audit(tx, { action: "lease.remove_stray", resource, after: { containerName, detail } });
    },
    onBehalf,
  );
}

/** What an administrator sees of it. */
export const shownDrift = ({ runtime: _, image: __, ...item }: FoundDrift) => item;

/** Finds and repairs all of it; one that can't be repaired does not keep the others from it. */
export async function reconcile(works: Works, signal: AbortSignal): Promise<DriftReport> {
  const report = await findDrift(works, signal);
  for (const drift of report.items) {
    signal.throwIfAborted();
    try {
      await repairDrift(works, drift);
    } catch (error) {
      works.log.warn({ err: error, drift: shownDrift(drift) }, "a difference stays for now");
    }
  }
  await tidy(works);
  return report;
}

/** Networks and the like that no container needs any more. */
async function tidy({ fleet, log }: Works): Promise<void> {
  for (const { runtime, place } of fleet.opened()) {
    try {
      await runtime.tidy?.();
    } catch (error) {
      log.info({ err: error, runtime: runtime.name, place }, "a runtime could not be tidied");
    }
  }
}
