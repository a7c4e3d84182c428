const ctrlP = 0x10;
const ctrlQ = 0x11;
const keptBytesMost = 65_536;

/** Finds Ctrl-P Ctrl-Q in what is typed; a Ctrl-P that turns out to be none is passed on late. */
export function createDetachKeys(): (bytes: Buffer) => { bytes: Buffer; isDetach: boolean } {
  let isBegun = false;
  return (bytes) => {
    const passed: number[] = [];
    for (const byte of bytes) {
      if (isBegun && byte === ctrlQ) return { bytes: Buffer.from(passed), isDetach: true };
      if (isBegun) passed.push(ctrlP);
      isBegun = byte === ctrlP;
      if (!isBegun) passed.push(byte);
    }
    return { bytes: Buffer.from(passed), isDetach: false };
  };
}

/** What was typed of late, so that what a broken connection lost can be typed again. */
export interface Typed {
  /** False where there is no room for it. */
  push(bytes: Buffer): boolean;
  /** What the server lacks, of whose bytes `arrived` have come; the rest is forgotten. */
  missing(arrived: number): Buffer;
}

/** Keeps 64 KiB. While nobody takes it no more can be typed; what was sent gives way. */
export function createTyped(): Typed {
  let kept: Buffer = Buffer.alloc(0);
  /** How many came before what is kept; not known until the server has said so once. */
  let before: number | null = null;
  return {
    push(bytes) {
      const all = Buffer.concat([kept, bytes]);
      const surplus = Math.max(0, all.length - keptBytesMost);
      if (before === null && surplus > 0) return false;
      kept = Buffer.from(all.subarray(surplus));
      if (before !== null) before += surplus;
      return true;
    },
    missing(arrived) {
      before ??= arrived;
      kept = Buffer.from(kept.subarray(Math.min(kept.length, Math.max(0, arrived - before))));
      before = Math.max(before, arrived);
      return kept;
    },
  };
}
