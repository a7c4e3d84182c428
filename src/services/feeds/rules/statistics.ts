/** The value in the middle; of an even number, the mean of the two. NaN for nothing. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** The value below which a share of the values lies, interpolated. NaN for nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  const high = sorted[Math.ceil(place)] ?? Number.NaN;
  return low + (high - low) * (place - Math.floor(place));
}

const mean = (values: readonly number[]) => sum(values) / values.length;

/**
 * How far a value lies from the median of others, in robust standard deviations (Iglewicz and
 * Hoaglin's modified z: 0.6745 (x - median) / MAD). Where more than half of the others are equal
 * the MAD is 0 and the mean deviation stands in; where all are equal there is no scale, and null.
 */
export function robustZ(value: number, others: readonly number[]): number | null {
  const middle = median(others);
  const deviations = others.map((other) => Math.abs(other - middle));
  const mad = median(deviations);
  if (mad > 0) return (0.6745 * (value - middle)) / mad;
  const meanDeviation = mean(deviations);
  return meanDeviation > 0 ? (value - middle) / (1.253314 * meanDeviation) : null;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/**
 * The population stability index of two histograms over the same bins: 0 for equal shares. An empty
 * bin counts as half a value of the smaller histogram, since the logarithm of nothing is none; so
 * that a bin that is empty in both adds nothing. NaN where one of them holds nothing.
 */
export function stabilityIndex(before: readonly number[], now: readonly number[]): number {
  const [totalBefore, totalNow] = [sum(before), sum(now)];
  const least = 0.5 / Math.min(totalBefore, totalNow);
  const parts = before.map((count, bin) => {
    const a = Math.max(count / totalBefore, least);
    const b = Math.max((now[bin] ?? 0) / totalNow, least);
    return (b - a) * Math.log(b / a);
  });
  return sum(parts);
}

/** Bounds of the bins of returns, in percent: what falls below the first one is bin 0. */
export const returnBounds = [-20, -10, -5, -2, -0.5, 0.5, 2, 5, 10, 20] as const;

/** How many returns, in percent, fall into each bin. */
export function returnHistogram(returnsPct: readonly number[]): number[] {
  const bins = Array.from({ length: returnBounds.length + 1 }, () => 0);
  for (const value of returnsPct) {
    const at = returnBounds.findIndex((bound) => value < bound);
    const bin = at === -1 ? returnBounds.length : at;
    bins[bin] = (bins[bin] as number) + 1;
  }
  return bins;
}
