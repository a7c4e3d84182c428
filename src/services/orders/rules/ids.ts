import { isoOf } from "#kernel/clock.ts";
import { requestErrors } from "#kernel/errors.ts";

// Orders and ledger entries have UUIDs of version 7 made at their createdAt, so that a range of
// time is a range of ids and needs no index of its own.

const timeHexChars = 12;

/** When a UUIDv7 was made, as ISO-8601 in UTC. */
export function createdAtOf(id: string): string {
  const hex = id.replaceAll("-", "").slice(0, timeHexChars);
  return isoOf(Number.parseInt(hex, 16));
}

/**
 * The smallest id of a moment: what was made before it sorts before. Throws `invalid` for a moment
 * that no clock shows, such as a leap second; `path` says where it was asked for.
 */
export function firstIdOf(moment: string, path: string): string {
  // An id tells milliseconds: what was made in that of the moment was made before its microseconds.
  const isLater = /\.\d{3}\d*[1-9]/.test(moment);
  const epochMs = Math.max(0, epochMsOf(moment, path) + (isLater ? 1 : 0));
  const hex = epochMs.toString(16).padStart(timeHexChars, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}

/** The same moment as PostgreSQL takes it, whatever its zone. */
export function utcOf(moment: string, path: string): string {
  return isoOf(epochMsOf(moment, path));
}

function epochMsOf(moment: string, path: string): number {
  const epochMs = Date.parse(moment);
  if (Number.isFinite(epochMs)) return epochMs;
  throw requestErrors.invalid({
    detail: `"${moment}" is not a moment that a clock shows.`,
    errors: [{ path, message: "is not a moment" }],
  });
}
