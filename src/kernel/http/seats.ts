/** Counts what is open at once: in this process, and for each tenant. */
export interface Seats {
  /** Takes a seat; answers how to give it back, or null where all are taken. */
  take(tenantId: string): (() => void) | null;
  taken(): number;
}

/** `perTenantMax` keeps one tenant from taking every seat of the process. */
export function createSeats(limits: { max: number; perTenantMax: number }): Seats {
  const perTenant = new Map<string, number>();
  let taken = 0;
  return {
    taken: () => taken,
    take(tenantId) {
      const own = perTenant.get(tenantId) ?? 0;
      if (taken >= limits.max || own >= limits.perTenantMax) return null;
      taken += 1;
      perTenant.set(tenantId, own + 1);
      let given = false;
      return () => {
        if (given) return;
        given = true;
        taken -= 1;
        const left = (perTenant.get(tenantId) ?? 1) - 1;
        if (left > 0) perTenant.set(tenantId, left);
        else perTenant.delete(tenantId);
      };
    },
  };
}
