/** What a source may ask of its host. */
export interface RateBudget {
  readonly requestsPerMinute: number;
  /** A plan's quota, a calendar month in UTC. */
  readonly perMonth?: number;
}

/** A token bucket as a row: shared by all workers that use the same credential. */
export interface Bucket {
  readonly tokens: number;
  readonly updatedAtMs: number;
  /** Of the month that `updatedAtMs` lies in. */
  readonly usedInMonth: number;
}

export type Taken =
  | { readonly isTaken: true; readonly bucket: Bucket }
  | {
      readonly isTaken: false;
      readonly bucket: Bucket;
      /** When to ask again; null where the cost is more than the bucket ever holds. */
      readonly waitMs: number | null;
      readonly reason: "minute" | "month" | "cost";
    };

const minuteMs = 60_000;
/** A tenth of a minute's requests may be made at once: a host counts shorter windows too. */
const burstShare = 0.1;

/** CoinGecko's free plan by its most careful description; documents disagree up to 100. */
export const coingeckoBudget: RateBudget = { requestsPerMinute: 25 };
export const coinpaprikaBudget: RateBudget = { requestsPerMinute: 60, perMonth: 20_000 };

/** How many tokens a bucket holds at most; a request costs one or more. */
export const capacityOf = ({ requestsPerMinute }: RateBudget): number =>
  Math.max(1, Math.ceil(requestsPerMinute * burstShare));

/** A bucket that nobody has taken from. */
export const fullBucket = (budget: RateBudget, nowMs: number): Bucket => ({
  tokens: capacityOf(budget),
  updatedAtMs: nowMs,
  usedInMonth: 0,
});

/** The first moment of the month in which, or after which, a moment lies. */
function monthStartMs(ms: number, monthsLater = 0): number {
  const date = new Date(ms);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + monthsLater);
}

/** The bucket as it is now, filled by the time that has passed. A clock put back adds nothing. */
export function refill(bucket: Bucket, budget: RateBudget, nowMs: number): Bucket {
  const atMs = Math.max(nowMs, bucket.updatedAtMs);
  const gained = ((atMs - bucket.updatedAtMs) * budget.requestsPerMinute) / minuteMs;
  const isSameMonth = monthStartMs(atMs) === monthStartMs(bucket.updatedAtMs);
  return {
    tokens: Math.min(capacityOf(budget), bucket.tokens + gained),
    updatedAtMs: atMs,
    usedInMonth: isSameMonth ? bucket.usedInMonth : 0,
  };
}

/** Takes a request's cost, or says how long to wait for it. Nothing is taken in part. */
export function take(bucket: Bucket, budget: RateBudget, cost: number, nowMs: number): Taken {
  const filled = refill(bucket, budget, nowMs);
  const { perMonth = Number.POSITIVE_INFINITY } = budget;
  if (cost > capacityOf(budget) || cost > perMonth) {
    return { isTaken: false, bucket: filled, waitMs: null, reason: "cost" };
  }
  if (filled.usedInMonth + cost > perMonth) {
    const waitMs = monthStartMs(filled.updatedAtMs, 1) - nowMs;
    return { isTaken: false, bucket: filled, waitMs, reason: "month" };
  }
  // A token that lacks only what a double can't hold is there.
  if (filled.tokens + 1e-9 < cost) {
    const missing = cost - filled.tokens;
    const waitMs = Math.ceil((missing * minuteMs) / budget.requestsPerMinute);
    return { isTaken: false, bucket: filled, waitMs, reason: "minute" };
  }
  const tokens = Math.max(0, filled.tokens - cost);
  const usedInMonth = filled.usedInMonth + cost;
  return { isTaken: true, bucket: { ...filled, tokens, usedInMonth } };
}

/** After a 429 the bucket is empty, whatever was counted: somebody else uses the credential too. */
export const drained = (bucket: Bucket): Bucket => ({ ...bucket, tokens: 0 });
