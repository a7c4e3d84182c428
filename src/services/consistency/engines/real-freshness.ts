import { isNewer } from "../engine/protocol.ts";
import type { Version } from "../rules/history.ts";

/** What is known of how far the newest copy of a store had got, and when. */
export interface Freshness {
  /**
   * All that was acknowledged before `askedMs` is no newer than `version`: it was read from where
   * the newest is, or given to a write, after that moment.
   */
  note(askedMs: number, version: Version): void;
  /** How long ago at most something was acknowledged that `seen` misses; null if unknown. */
  stalenessMs(seen: Version, nowMs: number): number | null;
  newest(): Version | null;
}

interface Sample {
  readonly askedMs: number;
  readonly version: Version;
}

const samplesAtMost = 2_048;
/** Closer moments tell little more. */
const apartMs = 1;

/** An empty one. */
export function createFreshness(): Freshness {
  const samples: Sample[] = [];
  return {
    note(askedMs, version) {
      const last = samples.at(-1);
      if (last) {
        if (isNewer(last.version, version) || askedMs < last.askedMs) return;
        const isSame = last.version.term === version.term && last.version.seq === version.seq;
        // Of two with the same version the later says more, of two at once the earlier.
        if (isSame) samples.pop();
        else if (askedMs - last.askedMs < apartMs) return;
      }
      samples.push({ askedMs, version });
      if (samples.length > samplesAtMost) samples.splice(0, samplesAtMost >> 1);
    },
    stalenessMs(seen, nowMs) {
      const known = samples.findLast(({ version }) => !isNewer(version, seen));
      return known ? Math.max(0, nowMs - known.askedMs) : null;
    },
    newest: () => samples.at(-1)?.version ?? null,
  };
}

/**
 * How many versions `seen` lacks of `newest` at most; null where their terms differ, since nobody
 * knows here how many of the earlier term were taken over.
 */
export function lagOf(seen: Version, newest: Version | null): number | null {
  if (newest === null) return null;
  if (!isNewer(newest, seen)) return 0;
  return newest.term === seen.term ? newest.seq - seen.seq : null;
}
