import { leasesErrors } from "../errors.ts";
import type { QuotaLimits } from "./config.ts";
import { lastsMs, microsOf, minorOf } from "./money.ts";

/** What is taken of a quota: by the tenant as a whole, or by one of its users. */
export interface QuotaUse {
  readonly leases: number;
  readonly cpuMillis: number;
  readonly memoryMb: number;
  readonly diskMb: number;
  readonly snapshots: number;
}

/** What a lease takes of it, while it lives. */
export const shareOf = (lease: { cpuMillis: number; memoryMb: number; diskMb: number | null }) => ({
  leases: 1,
  cpuMillis: lease.cpuMillis,
  memoryMb: lease.memoryMb,
  diskMb: lease.diskMb ?? 0,
  snapshots: 0,
});

/** What a snapshot takes of it. */
export const snapshotShare: QuotaUse = {
  leases: 0,
  cpuMillis: 0,
  memoryMb: 0,
  diskMb: 0,
  snapshots: 1,
};

export const nothing: QuotaUse = { leases: 0, cpuMillis: 0, memoryMb: 0, diskMb: 0, snapshots: 0 };

/** Several shares as one. */
export const sharesSum = (shares: readonly QuotaUse[]): QuotaUse =>
  shares.reduce(
    (sum, share) => ({
      leases: sum.leases + share.leases,
      cpuMillis: sum.cpuMillis + share.cpuMillis,
      memoryMb: sum.memoryMb + share.memoryMb,
      diskMb: sum.diskMb + share.diskMb,
      snapshots: sum.snapshots + share.snapshots,
    }),
    nothing,
  );

/** What is left of a share without another one. */
export const sharesLess = (share: QuotaUse, less: QuotaUse): QuotaUse => ({
  leases: share.leases - less.leases,
  cpuMillis: share.cpuMillis - less.cpuMillis,
  memoryMb: share.memoryMb - less.memoryMb,
  diskMb: share.diskMb - less.diskMb,
  snapshots: share.snapshots - less.snapshots,
});

export type QuotaName = keyof QuotaLimits;

/** Whose quota it is. */
export type QuotaScope = "tenant" | "user";

/** One quota as it would be if what is asked for were given. */
export interface Reckoned {
  readonly scope: QuotaScope;
  readonly limits: QuotaLimits;
  /** With what is asked for. */
  readonly use: QuotaUse;
  readonly share: QuotaUse;
  /** Begun within the last minute, with this one; null where that is not asked for. */
  readonly starts: number | null;
  /** Of this month so far. */
  readonly spentMicros: bigint | null;
}

const units: Readonly<Record<QuotaName, string>> = {
  leases: "leases",
  cpuMillis: "m of CPU",
  memoryMb: "MiB of memory",
  diskMb: "MiB of disk",
  snapshots: "snapshots",
  startsPerMinute: "starts a minute",
  spendMinor: "minor units a month",
};

/** Throws `quota_exceeded`, naming the limit and its use, where one would not hold. */
export function assertQuota(reckoned: readonly Reckoned[]): void {
  for (const one of reckoned) {
    const { scope, limits, use, share, starts, spentMicros } = one;
    for (const name of ["leases", "cpuMillis", "memoryMb", "diskMb", "snapshots"] as const) {
      const limit = limits[name];
      if (limit === null || share[name] === 0 || use[name] <= limit) continue;
      throw exceeded(scope, name, limit, use[name] - share[name], share[name]);
    }
    const most = limits.startsPerMinute;
    if (starts !== null && most !== null && starts > most) {
      throw exceeded(scope, "startsPerMinute", most, starts - 1, 1);
    }
    const budget = limits.spendMinor;
    if (spentMicros !== null && budget !== null && isSpent(budget, spentMicros)) {
      throw exceeded(scope, "spendMinor", budget, minorOf(spentMicros), 0);
    }
  }
}

/** Whether nothing is left of a budget. */
export const isSpent = (budgetMinor: number, spentMicros: bigint): boolean =>
  spentMicros >= microsOf(budgetMinor);

/**
 * When a budget is, or was, spent to its end at the rate of now; null: never at this rate. Of one
 * that is overspent already, it lies in the past.
 */
export function spentUpMs(
  budgetMinor: number,
  { spentMicros, rate }: { spentMicros: bigint; rate: bigint },
  nowMs: number,
): number | null {
  const left = microsOf(budgetMinor) - spentMicros;
  const away = lastsMs(left < 0n ? -left : left, rate);
  if (away === null) return null;
  return left < 0n ? nowMs - away : nowMs + away;
}

function exceeded(
  scope: QuotaScope,
  limit: QuotaName,
  allowed: number,
  used: number,
  wanted: number,
) {
  const whose = scope === "tenant" ? "The tenant" : "The user";
  const more = wanted > 0 ? `; ${wanted} more would be too many` : "";
  return leasesErrors.quota_exceeded({
    detail: `${whose} may have ${allowed} ${units[limit]} and has ${used}${more}.`,
    extensions: { limit, scope, allowed, used, wanted },
    ...(limit === "startsPerMinute" && { headers: { "retry-after": "60" } }),
  });
}

/** The first moment of the month, in UTC. */
export function monthStartMs(nowMs: number): number {
  const now = new Date(nowMs);
  return Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1);
}
