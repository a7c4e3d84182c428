import { LRUCache } from "lru-cache";
import type { Clock } from "../clock.ts";

/** How much may pass: `perMinute` in the long run, and up to `burst` at once. */
export interface Limit {
  readonly name: string;
  readonly perMinute: number;
  readonly burst: number;
}

/** What a bucket answered. */
export interface Verdict {
  readonly allowed: boolean;
  /** Requests that would pass right now. */
  readonly remaining: number;
  /** Until the bucket is full again. */
  readonly fullInMs: number;
  /** Until the next request would pass; 0 where one would. */
  readonly retryInMs: number;
}

/** Takes one request's worth out of the bucket of `key`. */
export interface Buckets {
  take(key: string, limit: Limit): Verdict | Promise<Verdict>;
}

/** Beyond this many of a kind, the bucket idle for longest is forgotten, that is: full again. */
const BUCKETS_MAX = 50_000;

type Bucket = { fullAtMs: number };

/**
 * Token buckets in the form of the generic cell rate algorithm (ITU-T I.371, annex A): a bucket is
 * the one moment at which it will be full, so taking is a comparison and an addition, no timer
 * refills anything and a changed limit takes effect at once. Each kind of limit has its own memory,
 * so that nobody who comes from many addresses makes a tenant's bucket be forgotten.
 */
export function localBuckets(clock: Clock, bucketsMax = BUCKETS_MAX): Buckets {
  const kinds = new Map<string, LRUCache<string, Bucket>>();
  return {
    take(key, limit) {
      const nowMs = clock.monotonicMs();
      let buckets = kinds.get(limit.name);
      if (!buckets) {
        buckets = new LRUCache<string, Bucket>({ max: bucketsMax });
        kinds.set(limit.name, buckets);
      }
      let bucket = buckets.get(key);
      if (!bucket) {
        bucket = { fullAtMs: nowMs };
        buckets.set(key, bucket);
      }
      const verdict = judge(limit, bucket.fullAtMs - nowMs);
      if (verdict.allowed) bucket.fullAtMs = nowMs + verdict.fullInMs;
      return verdict;
    },
  };
}

/**
 * `missingMs`: how long the bucket would take to fill up as it is; negative when it is long full.
 */
export function judge(limit: Limit, missingMs: number): Verdict {
  const tokenMs = 60_000 / limit.perMinute;
  const burstMs = tokenMs * limit.burst;
  const afterMs = Math.max(missingMs, 0) + tokenMs;
  // A thousandth of a token's forgiveness keeps rounding from refusing what is exactly due.
  const allowed = afterMs <= burstMs + tokenMs / 1_000;
  const fullInMs = allowed ? afterMs : Math.max(missingMs, 0);
  const remaining = Math.max(0, Math.floor((burstMs - fullInMs) / tokenMs + 0.001));
  return { allowed, remaining, fullInMs, retryInMs: allowed ? 0 : afterMs - burstMs };
}

/** `RateLimit-Policy` as draft-ietf-httpapi-ratelimit-headers has it. */
export function policyHeader({ name, perMinute }: Limit): string {
  return `"${name}";q=${perMinute};w=60`;
}

/** `RateLimit`: what is left, and after how many seconds all of it is there again. */
export function limitHeader({ name }: Limit, { remaining, fullInMs }: Verdict): string {
  return `"${name}";r=${remaining};t=${Math.ceil(fullInMs / 1_000)}`;
}

/** What stands for a client's address: all of an IPv6 customer's network (a /64) is one client. */
export function addressKey(address: string | undefined): string {
  if (address === undefined) return "unknown";
  if (!address.includes(":")) return address;
  if (address.startsWith("::ffff:") && address.includes(".")) return address.slice(7);
  return ipv6Network(address);
}

function ipv6Network(address: string): string {
  const [head = "", tail = ""] = (address.split("%", 1)[0] as string).split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail === "" ? [] : tail.split(":");
  const missing = address.includes("::") ? Math.max(0, 8 - groups.length - after.length) : 0;
  const all = [...groups, ...Array<string>(missing).fill("0"), ...after];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, "").toLowerCase())
    .join(":")}::/64`;
}
