/** Room for steps, in which an engine of containers is waited for. */
export interface Slots<Wanted> {
  /** Takes one, to be given back; false: there is none now, and `onRoom` tells when there is. */
  take(wanted: Wanted): boolean;
  give(wanted: Wanted): void;
  /** Whether it waits for one. */
  isWaiting(wanted: Wanted): boolean;
  /** Forgets who waits. */
  close(): void;
}

export interface SlotsOptions<Wanted> {
  readonly most: number;
  /** Of these, so that whose engine hangs keeps nobody else waiting. */
  readonly perTenantMost: number;
  readonly waitingMost: number;
  keyOf(wanted: Wanted): string;
  tenantOf(wanted: Wanted): string;
  /** There is room for one that waited: the longest waiting whose tenant has not too many. */
  onRoom(wanted: Wanted): void;
}

/**
 * A bounded number of slots. Who gets none is remembered in order; what is beyond that is left to
 * the sweep.
 */
export function createSlots<Wanted>(options: SlotsOptions<Wanted>): Slots<Wanted> {
  const { most, perTenantMost, waitingMost, keyOf, tenantOf, onRoom } = options;
  const waiting = new Map<string, Wanted>();
  const byTenant = new Map<string, number>();
  let taken = 0;

  const isFree = (wanted: Wanted): boolean =>
    taken < most && (byTenant.get(tenantOf(wanted)) ?? 0) < perTenantMost;

  const count = (wanted: Wanted, change: number): void => {
    const tenant = tenantOf(wanted);
    const now = (byTenant.get(tenant) ?? 0) + change;
    if (now > 0) byTenant.set(tenant, now);
    else byTenant.delete(tenant);
    taken += change;
  };

  return {
    take(wanted) {
      if (isFree(wanted)) {
        count(wanted, 1);
        return true;
      }
      if (waiting.size < waitingMost) waiting.set(keyOf(wanted), wanted);
      return false;
    },
    give(wanted) {
      count(wanted, -1);
      for (const [key, one] of waiting) {
        if (!isFree(one)) continue;
        waiting.delete(key);
        return onRoom(one);
      }
    },
    isWaiting: (wanted) => waiting.has(keyOf(wanted)),
    close: () => waiting.clear(),
  };
}

/** Runs `work`, which may take a slot, and gives it back. */
export async function withSlot<Wanted, T>(
  slots: Slots<Wanted>,
  wanted: Wanted,
  work: (takeSlot: () => boolean) => Promise<T>,
): Promise<T> {
  let isTaken = false;
  const takeSlot = () => {
    isTaken ||= slots.take(wanted);
    return isTaken;
  };
  try {
    return await work(takeSlot);
  } finally {
    if (isTaken) slots.give(wanted);
  }
}
