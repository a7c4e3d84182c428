import type { Clock } from "#kernel/clock.ts";
import type { Hub } from "../types.ts";

/** How often who waits looks by itself: another process may have done it. */
const lookEveryMs = 250;

/**
 * Reads something until it is as it should be, or until so many seconds have passed; answers with
 * it as it was read last. Holds no connection meanwhile.
 */
export async function waitFor<Thing>(
  { clock, hub }: { clock: Clock; hub: Hub },
  wanted: {
    id: string;
    seconds: number;
    read: () => Promise<Thing>;
    isDone: (thing: Thing) => boolean;
  },
): Promise<Thing> {
  const { id, seconds, read, isDone } = wanted;
  const endMs = clock.monotonicMs() + seconds * 1_000;
  for (;;) {
    const over = new AbortController();
    // From before it is read, so that no change between is missed.
    const changed = hub.next(id, over.signal);
    const thing = await read();
    const leftMs = endMs - clock.monotonicMs();
    if (isDone(thing) || leftMs <= 0) {
      over.abort();
      return thing;
    }
    const asleep = clock.sleep(Math.min(lookEveryMs, leftMs), over.signal);
    // Rejects when the change came first, which is what the signal is for.
    await Promise.race([changed, asleep.catch(() => {})]);
    over.abort();
  }
}
