import { runtimeErrors } from "./errors.ts";

/** A cursor into a log as `momentOf` has it; "" for null. Refuses what is no moment. */
export function cursorOf(after: string | null): string {
  const cursor = after === null ? "" : momentOf(after);
  if (after === null || cursor !== "") return cursor;
  throw runtimeErrors.refused({ detail: `"${after}" is not a line's moment.` });
}

/**
 * A moment of RFC 3339 in UTC with all nine digits of nanoseconds, so that moments compare as texts
 * do. `nanoseconds` replaces what the text says below the second. An invalid text is no moment, and
 * comes before all.
 */
export function momentOf(text: string, nanoseconds?: number): string {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return "";
  const written = /\.(\d{1,9})/.exec(text)?.[1] ?? "";
  const digits =
    nanoseconds === undefined ? written.padEnd(9, "0") : String(nanoseconds).padStart(9, "0");
  return `${new Date(ms).toISOString().slice(0, 19)}.${digits}Z`;
}
