import { LRUCache } from "lru-cache";
import type { Clock } from "../clock.ts";
import type { Db } from "../db/types.ts";
import { isUuid } from "../random.ts";
import * as store from "./store.ts";
import type { KnownTenant, TenantRow } from "./store.ts";
import type { TenantRef } from "./types.ts";

const refTtlMs = 5_000;
const refsAtMost = 10_000;
const pageTenants = 500;

/** Finds tenants. Making and changing them is identity's, since it is audited. */
export interface Tenants {
  /** Null for an unknown, inactive or deleted tenant. Remembered for 5 s. */
  ref(id: string): Promise<TenantRef | null>;
  /** The same, and inactive ones too: their jobs are still to be done. */
  known(id: string): Promise<TenantRef | null>;
  bySlug(slug: string): Promise<TenantRow | null>;
  /** Every active tenant, 500 at a time, so that no caller holds a transaction over all of them. */
  each(): AsyncIterable<TenantRef>;
  /** Forgets what `ref` remembers of a tenant that has just changed. */
  forget(id: string): void;
}

/** Makes the one place that remembers tenants in a process. */
export function createTenants({ db, clock }: { db: Db; clock: Clock }): Tenants {
  const cache = new LRUCache<string, { known: KnownTenant | null; untilMs: number }>({
    max: refsAtMost,
  });
  const find = async (id: string): Promise<KnownTenant | null> => {
    const cached = cache.get(id);
    const nowMs = clock.monotonicMs();
    if (cached && nowMs < cached.untilMs) return cached.known;
    if (!isUuid(id)) return null;
    const known = await store.readKnownTenant(db, id);
    cache.set(id, { known, untilMs: nowMs + refTtlMs });
    return known;
  };
  return {
    async ref(id) {
      const known = await find(id);
      return known?.active ? known.ref : null;
    },
    known: async (id) => (await find(id))?.ref ?? null,
    bySlug: (slug) => db.inPlatform((tx) => store.findTenantBySlug(tx, slug)),
    async *each() {
      let afterId: string | null = null;
      for (;;) {
        const page: TenantRef[] = await db.inPlatform((tx) =>
          store.listTenantRefs(tx, { afterId, limit: pageTenants }),
        );
        yield* page;
        if (page.length < pageTenants) return;
        afterId = page.at(-1)?.id ?? null;
      }
    },
    forget: (id) => {
      cache.delete(id);
    },
  };
}
