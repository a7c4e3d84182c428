import { UsageError } from "./errors.ts";
import type { Invocation, OptionSpec } from "./types.ts";

/** A whole number, as text of an option. */
export function integer(text: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new UsageError("It must be a whole number.");
  }
  return value;
}

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** Seconds, or a time such as 90s, 30m, 2h or 1d, as seconds. */
export function duration(text: string): number {
  const [, count, unit = "s"] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  if (count === undefined) throw new UsageError("It must be seconds, or a time such as 30m or 2h.");
  return Number(count) * (secondsOf[unit] as number);
}

/** A number from 0 to 1. */
export function share(text: string): number {
  const value = Number(text);
  if (text === "" || !(value >= 0 && value <= 1)) throw new UsageError("It must be from 0 to 1.");
  return value;
}

/** yes or no, as text of an option. */
export function yesOrNo(text: string): boolean {
  if (/^(yes|true|on|1)$/i.test(text)) return true;
  if (/^(no|false|off|0)$/i.test(text)) return false;
  throw new UsageError("It must be yes or no.");
}

/** A moment or, for its beginning in UTC, a day. */
export function moment(text: string): string {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text;
}

/** Several values by commas; none for an empty text. */
export function list(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Where a command needs a password: never an option's value, which every process could read. */
export const passwordStdin: OptionSpec = {
  flags: "--password-stdin",
  summary: "read the password from standard input",
};

/** The options of every list: pages, and all of them. */
export const pageOptions: readonly OptionSpec[] = [
  { flags: "--limit <count>", summary: "items on a page, 1 to 100", parse: integer },
  { flags: "--cursor <cursor>", summary: "continue where the page before ended" },
  { flags: "--all", summary: "every page" },
];

/** The query of a list: its page and those of its own filters that were given. */
export function listQuery(
  options: Invocation["options"],
  filters: readonly string[] = [],
): Record<string, string | number | boolean> {
  const names = ["limit", "cursor", ...filters];
  return given(options, names) as Record<string, string | number | boolean>;
}

/** Those members that were given as options; a body for a change holds nothing else. */
export function given(
  options: Invocation["options"],
  names: readonly string[],
): Record<string, unknown> {
  return Object.fromEntries(
    names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  );
}

/** An option's text; undefined when it was not given. */
export function textOf(options: Invocation["options"], name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}
