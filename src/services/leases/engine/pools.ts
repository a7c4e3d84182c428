import type { Tx } from "#kernel/db/types.ts";
import { Problem } from "#kernel/errors.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { readLimits } from "../changes/limits.ts";
import { retire } from "../changes/warm.ts";
import type { Limits } from "../rules/config.ts";
import { type Place, planPools, type Pool, poolsOf } from "../rules/pools.ts";
import { type QuotaUse, sharesLess, sharesSum } from "../rules/quota.ts";
import { countFitting, newWarm, type StoredWarm, warmShare } from "../rules/warm.ts";
import { setDue } from "../store/due.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";
import { lockQuota, takeShare, wholeTenant } from "../store/quota.ts";
import { listPooled } from "../store/templates.ts";
import { insertWarm, selectWarm } from "../store/warm.ts";
import { withSlot } from "./slots.ts";
import { onBehalf, type Works } from "./works.ts";

const noEngineMs = 30_000;

/**
 * Decides what is to be made and what is to go, so that of each template as many containers are
 * ready as it says. Whoever plans for a tenant has its quota's row, as whoever leases has.
 */
export function workOnPools(works: Works, tenant: TenantRef): Promise<void> {
  const wanted = { tenantId: tenant.id, kind: "pools", id: tenant.id } as const;
  return withSlot(works.slots, wanted, async (takeSlot) => {
    // Its engine is asked, which may take its time.
    if (takeSlot()) await plan(works, tenant);
  });
}

async function plan(works: Works, tenant: TenantRef): Promise<void> {
  const { db, clock, tenants } = works;
  const isActive = (await tenants.ref(tenant.id)) !== null;
  const place = await placeFor(works, tenant);
  await db.inTenant(
    tenant,
    async (tx) => {
      const [quota, moment, read] = await tx.batch([lockQuota(tx), selectNow(clock), selectWarm()]);
      const nowMs = nowMsIn(moment);
      const rows = read?.rows as unknown as StoredWarm[];
      const limits = await readLimits(tx, works);
      if (place === null && isActive) {
        await tx.batch([setDue(tx, "pools", tenant.id, nowMs + noEngineMs)]);
        return;
      }
      const templates = isActive ? await templatesFor(tx, limits) : [];
      const pools = place && poolsOf(templates, { limits, config: works.leases }, place);
      const todo = planPools(pools ?? [], rows, { nowMs, limits });
      const gone = await retire(tx, todo.drop, nowMs);
      const given = sharesSum(gone.map(({ spec }) => warmShare(spec)));
      const use = sharesLess(quota?.rows[0] as unknown as QuotaUse, given);
      const shares = todo.make.map(({ spec }) => warmShare(spec));
      const fitting = countFitting(shares, use, limits.quota);
      await make(works, tx, { pools: todo.make.slice(0, fitting), nowMs });
      await tx.batch([setDue(tx, "pools", tenant.id, todo.lookAtMs)]);
    },
    onBehalf,
  );
}

/** Where new containers come from; null: no engine answers, so that nothing is concluded. */
async function placeFor(works: Works, tenant: TenantRef): Promise<Place | null> {
  const limits = await works.db.inTenant(tenant, (tx) => readLimits(tx, works));
  try {
    const { runtime, place } = await works.fleet.choose(limits);
    return { runtime: runtime.name, runtimePlace: place };
  } catch (error) {
    if (error instanceof Problem) return null;
    throw error;
  }
}

async function templatesFor(tx: Tx, { isPlatformWarm }: Limits) {
  const own = await listPooled(tx, "tenant");
  return isPlatformWarm ? [...own, ...(await listPooled(tx, "platform"))] : own;
}

async function make(
  { random }: Works,
  tx: Tx,
  { pools, nowMs }: { pools: readonly Pool[]; nowMs: number },
): Promise<void> {
  if (pools.length === 0) return;
  const made = pools.map(({ templateId, spec }) =>
    newWarm({ id: random.id(), templateId, spec }, nowMs),
  );
  await tx.batch([
    takeShare(tx, wholeTenant, sharesSum(made.map(({ spec }) => warmShare(spec)))),
    ...made.flatMap((warm) => [insertWarm(tx.tenant, warm), setDue(tx, "warm", warm.id, nowMs)]),
  ]);
}
