import type { Random } from "#kernel/random.ts";

/** Longer waits are not believed. */
export const retryAfterMsMax = 86_400_000;
const firstWaitMs = 1_000;
const longestWaitMs = 60_000;

const dayName = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const monthName = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
const timeOfDay = String.raw`\d{2}:\d{2}:\d{2}`;
const httpDate = new RegExp(String.raw`^${dayName}, \d{2} ${monthName} \d{4} ${timeOfDay} GMT$`);

/**
 * What `Retry-After` says in milliseconds: seconds, or a date (RFC 9110, 10.2.3). A date that has
 * passed is 0. Null for no header, or one that is neither.
 */
export function retryAfterMs(header: string | undefined, nowMs: number): number | null {
  const text = header?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text) * 1_000, retryAfterMsMax);
  if (!httpDate.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : Math.min(Math.max(0, ms - nowMs), retryAfterMsMax);
}

/**
 * How long to wait before an attempt is repeated, of which `attempt` (from 1) have failed: by
 * chance in the upper half of a limit that doubles, so that many who failed together do not come
 * back together. What the host asked for is a lower bound; up to a tenth is added to it.
 */
export function backoffMs(
  attempt: number,
  { random, askedMs = null }: { random: Pick<Random, "float">; askedMs?: number | null },
): number {
  const chance = random.float();
  if (askedMs !== null) return Math.ceil(askedMs + chance * Math.max(firstWaitMs, askedMs / 10));
  const limitMs = Math.min(longestWaitMs, firstWaitMs * 2 ** (attempt - 1));
  return Math.ceil(limitMs / 2 + (chance * limitMs) / 2);
}
