import type { Chance } from "./chance.ts";
import type { Scheduler } from "./scheduler.ts";

/** What a write does to what a disk holds. */
type Change<Image> = (image: Image) => void;

/** A disk that keeps only what was synced when its replica crashes. */
export interface Disk<Image> {
  /** Only what was synced. */
  readonly image: Image;
  /** Writes a change, then calls back; changes are synced in the order in which they came. */
  write(change: Change<Image>, synced: () => void): void;
  /** Forgets what was not synced yet, and calls nobody back. */
  crash(): void;
  setSyncMs(fromMs: number, toMs: number): void;
}

/**
 * A disk whose syncs take between `fromMs` and `toMs`; what comes meanwhile shares the next one.
 */
export function createDisk<Image>(
  { after }: Pick<Scheduler, "after">,
  chance: Chance,
  image: Image,
  usualMs: readonly [fromMs: number, toMs: number],
): Disk<Image> {
  let [fromMs, toMs] = usualMs;
  let crashes = 0;
  let isSyncing = false;
  let waiting: { change: Change<Image>; synced: () => void }[] = [];
  function sync(): void {
    const crash = crashes;
    const batch = waiting;
    waiting = [];
    isSyncing = true;
    after(chance.between(fromMs, toMs), () => {
      if (crash !== crashes) return;
      isSyncing = false;
      for (const { change } of batch) change(image);
      for (const { synced } of batch) if (crash === crashes) synced();
      if (waiting.length > 0 && !isSyncing) sync();
    });
  }
  return {
    image,
    write(change, synced) {
      waiting.push({ change, synced });
      if (!isSyncing) sync();
    },
    crash() {
      crashes += 1;
      waiting = [];
      isSyncing = false;
    },
    setSyncMs(from, to) {
      fromMs = from;
      toMs = to;
    },
  };
}
