/** A queue in which keys take turns: whoever has much waiting does not pass those with little. */
export interface FairQueue<Item> {
  /** False where it is full: in all, or for this key. */
  add(key: string, item: Item): boolean;
  /** The first item of the key whose turn it is; undefined when nothing waits. */
  take(): Item | undefined;
  /** Takes an item out before its turn. */
  remove(key: string, item: Item): void;
  readonly size: number;
}

export interface FairQueueLimits {
  readonly itemsMax: number;
  /** One key's share of that, so that its burst leaves room for the others to wait. */
  readonly itemsPerKeyMax: number;
}

/** An empty queue; the order within a key is that of adding. */
export function createFairQueue<Item>(limits: FairQueueLimits): FairQueue<Item> {
  // The first key is the next one served; it then goes to the end of the circle.
  const circle = new Map<string, Set<Item>>();
  let size = 0;

  function leave(key: string, items: Set<Item>, item: Item): void {
    if (!items.delete(item)) return;
    size -= 1;
    if (items.size === 0) circle.delete(key);
  }

  return {
    add(key, item) {
      const items = circle.get(key) ?? new Set<Item>();
      if (size >= limits.itemsMax || items.size >= limits.itemsPerKeyMax) return false;
      circle.set(key, items);
      items.add(item);
      size += 1;
      return true;
    },
    take() {
      for (const [key, items] of circle) {
        for (const item of items) {
          leave(key, items, item);
          if (items.size > 0) {
            circle.delete(key);
            circle.set(key, items);
          }
          return item;
        }
      }
      return undefined;
    },
    remove(key, item) {
      const items = circle.get(key);
      if (items) leave(key, items, item);
    },
    get size() {
      return size;
    },
  };
}
