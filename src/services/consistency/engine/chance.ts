/** Chance that a seed decides. */
export interface Chance {
  /** From 0 up to, not including, 1. */
  float(): number;
  /** From `from` up to, not including, `to`. */
  between(from: number, to: number): number;
  /** A whole number from 0 below `count`. */
  below(count: number): number;
  /** True in `ratio` of all cases. */
  isHit(ratio: number): boolean;
}

/** The same numbers for the same seed (mulberry32); never for a secret. */
export function createChance(seed: number): Chance {
  let state = seed >>> 0;
  const float = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    float,
    between: (from, to) => from + float() * (to - from),
    below: (count) => Math.floor(float() * count),
    isHit: (ratio) => float() < ratio,
  };
}
