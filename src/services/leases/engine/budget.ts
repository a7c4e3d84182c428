import type { TenantRef } from "#kernel/tenancy/types.ts";
import { readLimits } from "../changes/limits.ts";
import type { Limits } from "../rules/config.ts";
import { isEnding } from "../rules/lifecycle.ts";
import { stop } from "../rules/moves.ts";
import { isSpent, monthStartMs, spentUpMs } from "../rules/quota.ts";
import { setDue } from "../store/due.ts";
import { listRunning } from "../store/leases.ts";
import { nowMsIn, selectNow } from "../store/moment.ts";
import { hasAlive } from "../store/leases.ts";
import { readSpending, type Spending } from "../store/usage.ts";
import { withLease, write } from "./settle.ts";
import type { Works } from "./works.ts";

/** What is spent is counted so often, or when it will be all there is. */
const lookEveryMs = 5_000;
const endedAtOnce = 1_000;

const limitFor = ({ ownerId }: Spending, { quota, userQuota }: Limits): number | null =>
  ownerId === null ? quota.spendMinor : userQuota.spendMinor;

/**
 * Ends what runs of a tenant, or of one of its users, whose budget of the month is spent, as of the
 * moment at which it was. Looks again as long as anything of the tenant lives.
 */
export async function workOnBudget(works: Works, tenant: TenantRef): Promise<void> {
  const { db, clock } = works;
  const { limits, nowMs, isAlive } = await db.inTenant(tenant, async (tx) => {
    const [moment, alive] = await tx.batch([selectNow(clock), hasAlive()]);
    const known = await readLimits(tx, works);
    return { limits: known, nowMs: nowMsIn(moment), isAlive: (alive?.rows.length ?? 0) > 0 };
  });
  const fromMs = monthStartMs(nowMs);
  let nextMs = nowMs + lookEveryMs;
  for (const spending of await readSpending(db, tenant, { fromMs, nowMs })) {
    const limit = limitFor(spending, limits);
    if (limit === null) continue;
    const { spentMicros, rate } = spending;
    const untilMs = spentUpMs(limit, { spentMicros, rate }, nowMs);
    if (!isSpent(limit, spentMicros)) {
      if (untilMs !== null) nextMs = Math.min(nextMs, untilMs);
      continue;
    }
    await endAll(works, tenant, spending, untilMs ?? nowMs);
  }
  const hasLimit = limits.quota.spendMinor !== null || limits.userQuota.spendMinor !== null;
  await db.inTenant(tenant, (tx) =>
    tx.batch([setDue(tx, "budget", tenant.id, isAlive && hasLimit ? nextMs : null)]),
  );
}

async function endAll(
  works: Works,
  tenant: TenantRef,
  { ownerId }: Spending,
  atMs: number,
): Promise<void> {
  const whose = ownerId === null ? "tenant's" : "user's";
  for (const id of await listRunning(works.db, tenant, ownerId, endedAtOnce)) {
    await withLease(works, tenant, id, async (held) => {
      if (!held || isEnding(held.lease) || held.lease.state !== "running") return;
      const message = `The ${whose} budget of the month is spent.`;
      const moved = stop(held.lease, { reason: "budget", atMs, message }, held.nowMs);
      await write(works, held, moved, { action: "lease.expire", event: "lease.stopping" });
    });
  }
}
