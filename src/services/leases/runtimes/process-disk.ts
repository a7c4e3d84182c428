import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** A look must not take for ever: who has more files than this has more than may be. */
const entriesAtMost = 500_000;

/**
 * What a folder takes on the disk; what can't be read counts for nothing. Infinity where there are
 * too many files to be counted.
 */
export function diskBytesOf(folder: string): number {
  const waiting = [folder];
  let bytes = 0;
  let entries = 0;
  while (waiting.length > 0) {
    if (entries >= entriesAtMost) return Number.POSITIVE_INFINITY;
    const next = waiting.pop() as string;
    try {
      const stat = lstatSync(next);
      bytes += stat.blocks * 512;
      if (stat.isDirectory()) waiting.push(...readdirSync(next).map((name) => join(next, name)));
    } catch {
      // Gone since it was listed, or closed by its owner to all, us included.
    }
    entries += 1;
  }
  return bytes;
}
