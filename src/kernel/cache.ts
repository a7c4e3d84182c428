import { LRUCache } from "lru-cache";
import type { Clock } from "./clock.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import type { TenantRef } from "./tenancy/types.ts";

/** One tenant's corner of the cache: no key of another tenant's can be named from here. */
export interface CacheArea<V> {
  get(key: string): V | undefined;
  set(key: string, value: V, ttlMs: number): void;
  delete(key: string): boolean;
  /** Forgets this area of this tenant. */
  clear(): void;
  /** Forgets keys that begin with `prefix`; how many. Costs the number of keys in this area. */
  invalidate(prefix: string): number;
  /**
   * The cached value or what `load` answers; callers at the same time share one `load`. What was
   * forgotten while it loaded is not kept. A rejection is not kept, nor is `undefined`.
   */
  fetch(key: string, ttlMs: number, load: () => Promise<V>): Promise<V>;
}

/** A bounded memory of this process; nothing in it is the truth. */
export interface Cache {
  for<V>(tenant: TenantRef | "platform", area: string): CacheArea<V>;
  stats(): { entries: number; estimatedBytes: number; hits: number; misses: number };
}

export interface CacheOptions {
  clock: Clock;
  metrics: Metrics;
  maxEntries: number;
  /** Of keys and values, by `estimateBytes`. */
  maxBytes: number;
}

interface Entry {
  value: unknown;
  expiresAtMs: number;
  corner: Corner;
  key: string;
}

/** What is kept of one area of one tenant, so that forgetting it needn't look at everything. */
interface Corner {
  name: string;
  keys: Set<string>;
  loading: Map<string, Promise<unknown>>;
  counts: Counts;
}

interface Counts {
  hits: number;
  misses: number;
}

const maxEstimatedNodes = 10_000;
const bytesPerEntry = 200;

/** Memory of plain data, roughly: two bytes a character, eight a number, 16 a member. */
export function estimateBytes(value: unknown): number {
  let bytes = 0;
  let nodes = 0;
  const pending: unknown[] = [value];
  while (pending.length > 0 && nodes < maxEstimatedNodes) {
    const one = pending.pop();
    nodes += 1;
    if (typeof one === "string") bytes += 16 + one.length * 2;
    else if (ArrayBuffer.isView(one)) bytes += 64 + one.byteLength;
    else if (one instanceof Map) pending.push(...one.keys(), ...one.values());
    else if (one instanceof Set || Array.isArray(one)) {
      bytes += 32;
      for (const item of one) pending.push(item);
    } else if (typeof one === "object" && one !== null) {
      bytes += 32;
      for (const key in one) {
        bytes += 16;
        pending.push((one as Record<string, unknown>)[key]);
      }
    } else bytes += 8;
  }
  const unseen = pending.length;
  return unseen === 0 ? bytes : Math.ceil((bytes * (nodes + unseen)) / nodes);
}

function countInMetrics(
  metrics: Metrics,
  lru: LRUCache<string, Entry>,
  counts: Map<string, Counts>,
) {
  const told = new Map<string, Counts>();
  // The gauge comes first: reading it brings the counters, which are read after it, up to date.
  metrics.gauge("cache_entries", "Entries of the in-process cache", [], (gauge) => {
    gauge.set(lru.size);
    for (const [area, { hits, misses }] of counts) {
      const before = told.get(area) ?? { hits: 0, misses: 0 };
      requests.inc({ area, result: "hit" }, hits - before.hits);
      requests.inc({ area, result: "miss" }, misses - before.misses);
      told.set(area, { hits, misses });
    }
  });
  const requests = metrics.counter("cache_requests_total", "Cache look-ups", ["area", "result"]);
  metrics.gauge("cache_bytes", "Estimated memory of the in-process cache", [], (gauge) =>
    gauge.set(lru.calculatedSize),
  );
  return metrics.counter("cache_evictions_total", "Entries that made room for others");
}

/** The process's cache, least recently used out first. */
export function createCache({ clock, metrics, maxEntries, maxBytes }: CacheOptions): Cache {
  const corners = new Map<string, Corner>();
  const countsByArea = new Map<string, Counts>();
  const lru = new LRUCache<string, Entry>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: (entry, key) => bytesPerEntry + key.length * 2 + estimateBytes(entry.value),
    disposeAfter({ corner, key }, _, reason) {
      if (reason === "set") return;
      if (reason === "evict") evictions.inc();
      corner.keys.delete(key);
      drop(corner);
    },
  });
  const evictions = countInMetrics(metrics, lru, countsByArea);

  const drop = (corner: Corner) => {
    if (corner.keys.size > 0 || corner.loading.size > 0) return;
    if (corners.get(corner.name) === corner) corners.delete(corner.name);
  };

  const countsOf = (area: string): Counts => {
    let counts = countsByArea.get(area);
    if (!counts) {
      if (!/^[a-z][a-z0-9._-]{0,62}$/.test(area)) throw new Error(`"${area}" is no cache area`);
      counts = { hits: 0, misses: 0 };
      countsByArea.set(area, counts);
    }
    return counts;
  };

  const cornerOf = (name: string, area: string): Corner => {
    let corner = corners.get(name);
    if (!corner) {
      corner = { name, keys: new Set(), loading: new Map(), counts: countsOf(area) };
      corners.set(name, corner);
    }
    return corner;
  };

  return {
    for: <V>(tenant: TenantRef | "platform", area: string) => {
      countsOf(area);
      const name = `${tenant === "platform" ? tenant : tenant.id}\u0000${area}\u0000`;
      const find = () => cornerOf(name, area);
      return cornerArea<V>({ name, find, corners, lru, clock, drop, counts: countsOf(area) });
    },
    stats() {
      let [hits, misses] = [0, 0];
      for (const counts of countsByArea.values()) {
        hits += counts.hits;
        misses += counts.misses;
      }
      return { entries: lru.size, estimatedBytes: lru.calculatedSize, hits, misses };
    },
  };
}

interface CornerAccess {
  name: string;
  find: () => Corner;
  corners: Map<string, Corner>;
  lru: LRUCache<string, Entry>;
  clock: Clock;
  drop: (corner: Corner) => void;
  counts: Counts;
}

function cornerArea<V>(access: CornerAccess): CacheArea<V> {
  const { name, find, corners, lru, clock, drop, counts } = access;

  const get = (key: string): V | undefined => {
    const entry = lru.get(name + key);
    if (entry && entry.expiresAtMs > clock.monotonicMs()) {
      counts.hits += 1;
      return entry.value as V;
    }
    if (entry) lru.delete(name + key);
    counts.misses += 1;
    return undefined;
  };

  const set = (key: string, value: V, ttlMs: number): void => {
    if (value === undefined || !(ttlMs > 0)) return void lru.delete(name + key);
    const corner = find();
    corner.loading.delete(key);
    corner.keys.add(key);
    const expiresAtMs = clock.monotonicMs() + ttlMs;
    lru.set(name + key, { value, expiresAtMs, corner, key });
    if (!lru.has(name + key)) corner.keys.delete(key);
    drop(corner);
  };

  const invalidate = (prefix: string): number => {
    const corner = corners.get(name);
    if (!corner) return 0;
    for (const key of corner.loading.keys()) {
      if (key.startsWith(prefix)) corner.loading.delete(key);
    }
    const keys = [...corner.keys].filter((key) => key.startsWith(prefix));
    for (const key of keys) lru.delete(name + key);
    drop(corner);
    return keys.length;
  };

  return {
    get,
    set,
    delete(key) {
      corners.get(name)?.loading.delete(key);
      return lru.delete(name + key);
    },
    clear: () => void invalidate(""),
    invalidate,
    async fetch(key, ttlMs, load) {
      const cached = get(key);
      if (cached !== undefined) return cached;
      const corner = find();
      const underWay = corner.loading.get(key);
      if (underWay) return underWay as Promise<V>;
      const loading = Promise.resolve().then(load);
      corner.loading.set(key, loading);
      try {
        const value = await loading;
        if (corner.loading.get(key) === loading) set(key, value, ttlMs);
        return value;
      } finally {
        if (corner.loading.get(key) === loading) corner.loading.delete(key);
        drop(corner);
      }
    },
  };
}
