import type { Operation } from "../rules/history.ts";

/** How much of a store's history is kept in memory. */
export interface RecordingLimits {
  readonly operations: number;
  readonly chars: number;
}

export const recordingLimits: RecordingLimits = { operations: 200_000, chars: 32 * 2 ** 20 };

/** The operations of a store since it was opened, the oldest of which are dropped. */
export interface Recording {
  add(operation: Operation): void;
  /** From now on the key's history is not whole, so that nothing can be said of it. */
  spoil(key: string): void;
  has(key: string): boolean;
  readonly kept: number;
  readonly dropped: number;
  /** Keys of which the kept operations are not the whole history. */
  readonly spoiledKeys: number;
  /** The kept operations as they are now, as lines of NDJSON. */
  lines(options: { whole: boolean }): string[];
  /** Keys whose history is whole. */
  wholeKeys(): string[];
}

/** Half of an array may be holes before it is cut. */
const holesMost = 4_096;

/** Makes an empty one. Lines are kept, not objects: they take less, and are what is sent. */
export function createRecording(limits: RecordingLimits = recordingLimits): Recording {
  let lines: string[] = [];
  let keys: string[] = [];
  let first = 0;
  let chars = 0;
  let dropped = 0;
  const seen = new Set<string>();
  const spoiled = new Set<string>();

  function dropOldest(): void {
    chars -= lines[first]!.length;
    spoiled.add(keys[first]!);
    lines[first] = "";
    first += 1;
    dropped += 1;
    if (first < holesMost || first * 2 < lines.length) return;
    lines = lines.slice(first);
    keys = keys.slice(first);
    first = 0;
  }

  return {
    add(operation) {
      const line = JSON.stringify(operation);
      lines.push(line);
      keys.push(operation.key);
      seen.add(operation.key);
      chars += line.length;
      while (lines.length - first > limits.operations || chars > limits.chars) dropOldest();
    },
    spoil: (key) => void spoiled.add(key),
    has: (key) => seen.has(key),
    get kept() {
      return lines.length - first;
    },
    get dropped() {
      return dropped;
    },
    get spoiledKeys() {
      return spoiled.size;
    },
    lines: ({ whole }) =>
      lines.slice(first).filter((_, at) => !whole || !spoiled.has(keys[first + at]!)),
    wholeKeys: () => [...seen].filter((key) => !spoiled.has(key)),
  };
}
