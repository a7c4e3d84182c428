import type { EngineAnswer } from "../engines/types.ts";
import { requestErrors } from "#kernel/errors.ts";
import type { Receipt } from "../schemas/keys.ts";
import type { LevelName, Version } from "./history.ts";

/** The entity tag of a version of a key. */
export const keyTag = ({ term, seq }: Version): string => `"${term}-${seq}"`;

const tagPattern = /^"(\d{1,16})-(\d{1,16})"$/;

/**
 * The version that If-Match names: `"none"` where If-None-Match is `*`, null without either. Throws
 * `malformed` (400) and `version_conflict` (412).
 */
export function expectedKeyVersion(headers: {
  readonly "if-match"?: string | undefined;
  readonly "if-none-match"?: string | undefined;
}): Version | "none" | null {
  const tag = headers["if-match"]?.trim();
  if (tag === undefined) return headers["if-none-match"]?.trim() === "*" ? "none" : null;
  const [, term, seq] = tagPattern.exec(tag) ?? [];
  const version = { term: Number(term), seq: Number(seq) };
  if (Number.isSafeInteger(version.term) && Number.isSafeInteger(version.seq)) return version;
  // A tag that was never one of ours names no version that there ever was.
  if (/^"[^"]*"$/.test(tag)) throw requestErrors.version_conflict();
  throw requestErrors.malformed({
    detail: `If-Match is ${tag.slice(0, 60)}; it must be the ETag of the key, such as "1-17".`,
  });
}

const controls = /[\u0000-\u001f\u007f]/;

/** Throws `invalid` (422) for a key that has control characters. */
export function assertKey(key: string): void {
  if (!controls.test(key)) return;
  throw requestErrors.invalid({
    detail: "The key has control characters; leave them out.",
    errors: [{ path: "path/key", message: "must have no control characters" }],
  });
}

/** Throws `invalid` (422) for null, which a store can't tell from nothing. */
export function assertValue(value: unknown): void {
  if (value !== null && value !== undefined) return;
  throw requestErrors.invalid({
    detail: "The value is null; DELETE the key instead.",
    errors: [{ path: "/value", message: "must not be null" }],
  });
}

/** What an answer is worth, as its caller gets it. */
export function receiptOf(
  level: LevelName,
  answer: EngineAnswer,
  sessionToken: string | null,
): Receipt {
  const { achieved, replica, version, acknowledgements, stalenessMs, stalenessVersions } = answer;
  return {
    level,
    achieved,
    replica,
    version: version && { term: version.term, seq: version.seq },
    acknowledgements,
    stalenessMs,
    stalenessVersions,
    sessionToken,
  };
}

/** Whether an answer claims what it has not achieved: an engine must never lower a level. */
export const isLowered = (level: LevelName, { status, achieved }: EngineAnswer): boolean =>
  status === "ok" && achieved !== level;
