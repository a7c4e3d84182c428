import type { TenantRef } from "./tenancy/types.ts";

/** One tenant's corner of the cache: no key of another tenant's can be named from here. */
export interface CacheArea<V> {
  get(key: string): V | undefined;
  set(key: string, value: V, ttlMs: number): void;
  delete(key: string): boolean;
  /** Forgets this area of this tenant. */
  clear(): void;
  /** Forgets keys that begin with `prefix`; how many. */
  invalidate(prefix: string): number;
  /** The cached value or what `load` answers; callers at the same time share one `load`. */
  fetch(key: string, ttlMs: number, load: () => Promise<V>): Promise<V>;
}

/** A bounded memory of this process; nothing in it is the truth. */
export interface Cache {
  for<V>(tenant: TenantRef | "platform", area: string): CacheArea<V>;
  stats(): { entries: number; estimatedBytes: number; hits: number; misses: number };
}
