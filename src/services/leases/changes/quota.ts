import type { QueryResult, Statement, Tx } from "#kernel/db/types.ts";
import { Problem } from "#kernel/errors.ts";
import type { Gauges } from "../engine/metrics.ts";
import type { Limits, QuotaLimits } from "../rules/config.ts";
import type { Lease } from "../rules/lease.ts";
import {
  assertQuota,
  monthStartMs,
  type QuotaUse,
  type Reckoned,
  shareOf,
  sharesLess,
  snapshotShare,
} from "../rules/quota.ts";
import { byWorth, givingWay, type StoredWarm, warmShare } from "../rules/warm.ts";
import { selectStarts, takeShare, wholeTenant } from "../store/quota.ts";
import { selectSpent } from "../store/usage.ts";
import { selectWarm } from "../store/warm.ts";
import { retire } from "./warm.ts";

/** Where refusals are counted. */
interface Counting {
  readonly gauges: Pick<Gauges, "refusals">;
}

/** Throws `quota_exceeded`, which undoes what was taken, and counts that it did. */
function check({ gauges }: Counting, reckoned: readonly Reckoned[]): void {
  try {
    assertQuota(reckoned);
  } catch (error) {
    const { scope, limit } = (error as Problem).options.extensions ?? {};
    gauges.refusals.inc({ scope: String(scope), limit: String(limit) });
    throw error;
  }
}

/** Whether anybody's spending is limited. */
export const hasBudget = ({ quota, userQuota }: Pick<Limits, "quota" | "userQuota">): boolean =>
  quota.spendMinor !== null || userQuota.spendMinor !== null;

/** What travels with the taking, and what the tenant has taken for the lease before. */
export interface Taking {
  readonly writing: readonly Statement[];
  /** Of the container that it is given, if it is given one that was kept ready. */
  readonly taken: QuotaUse | null;
}

/**
 * Takes a lease's share of the tenant's and its owner's quota, and writes it, in one flight. The
 * counts are what holds: whoever comes at the same moment waits for the tenant's row. Containers
 * that are only kept ready give way. Throws `quota_exceeded`, which undoes it all.
 */
export async function takeQuota(
  tx: Tx,
  counting: Counting,
  lease: Lease,
  { limits, writing, taken }: Taking & { limits: Limits },
): Promise<void> {
  const { quota, userQuota } = limits;
  const share = shareOf(lease);
  const tenantShare = taken === null ? share : sharesLess(share, taken);
  const { ownerId, createdAtMs: nowMs } = lease;
  const counts = quota.startsPerMinute !== null || userQuota.startsPerMinute !== null;
  const spends = hasBudget(limits);
  const answers = await tx.batch([
    takeShare(tx, wholeTenant, tenantShare),
    takeShare(tx, ownerId, share),
    ...(counts ? [selectStarts(ownerId, nowMs)] : []),
    ...(spends ? [selectSpent(ownerId, monthStartMs(nowMs), nowMs)] : []),
    ...writing,
  ]);
  const starts = counts ? answers[2]?.rows[0] : undefined;
  const spent = spends ? answers[counts ? 3 : 2]?.rows[0] : undefined;
  const startsOf = (whose: string) => (starts ? Number(starts[whose]) + 1 : null);
  const spentOf = (whose: string) => (spent ? BigInt(spent[whose] as string) : null);
  check(counting, [
    {
      scope: "tenant",
      limits: quota,
      use: await withRoom(tx, useIn(answers[0]), quota, nowMs),
      share: tenantShare,
      starts: startsOf("tenant"),
      spentMicros: spentOf("tenantMicros"),
    },
    {
      scope: "user",
      limits: userQuota,
      use: useIn(answers[1]),
      share,
      starts: startsOf("owner"),
      spentMicros: spentOf("ownerMicros"),
    },
  ]);
}

const useIn = (answer: QueryResult<unknown> | undefined): QuotaUse => answer?.rows[0] as QuotaUse;

/** What the tenant has, after so much of what is only kept ready has gone as is in the way. */
async function withRoom(
  tx: Tx,
  use: QuotaUse,
  limits: QuotaLimits,
  nowMs: number,
): Promise<QuotaUse> {
  if (givingWay([], use, limits) !== null) return use;
  const [read] = await tx.batch([selectWarm()]);
  const rows = read?.rows as unknown as StoredWarm[];
  const kept = rows.filter(({ state }) => state !== "removing");
  const going = givingWay(kept.sort(byWorth).toReversed(), use, limits);
  const gone = await retire(
    tx,
    (going ?? []).map(({ id }) => id),
    nowMs,
  );
  return gone.reduce((sum, { spec }) => sharesLess(sum, warmShare(spec)), use);
}

/** Throws `quota_exceeded`, which undoes it. */
export async function takeSnapshotShare(
  tx: Tx,
  counting: Counting,
  { ownerId }: Pick<Lease, "ownerId">,
  { quota, userQuota }: Pick<Limits, "quota" | "userQuota">,
): Promise<void> {
  const [whole, own] = await tx.batch([
    takeShare(tx, wholeTenant, snapshotShare),
    takeShare(tx, ownerId, snapshotShare),
  ]);
  const reckoned = { share: snapshotShare, starts: null, spentMicros: null };
  check(counting, [
    { ...reckoned, scope: "tenant", limits: quota, use: useIn(whole) },
    { ...reckoned, scope: "user", limits: userQuota, use: useIn(own) },
  ]);
}
