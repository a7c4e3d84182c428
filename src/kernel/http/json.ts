import { requestErrors } from "../errors.ts";

export interface JsonLimits {
  depthMax: number;
  stringCharsMax: number;
}

const QUOTE = 34;
const COMMA = 44;
const LOWER_U = 117;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const PATH_KEY_CHARS_MAX = 64;

/** One object or array that the scan is inside of. */
interface Level {
  /** Member names so far; null in an array. */
  names: Set<string> | null;
  /** Whether the next string in an object is a name. */
  expectsName: boolean;
  name: string;
  index: number;
}

interface Scan {
  readonly text: string;
  readonly limits: JsonLimits;
  readonly levels: Level[];
  /** The first fault that syntax alone doesn't show. */
  fault: { path: string; message: string } | null;
}

/**
 * Parses JSON that a stranger has sent. Throws `malformed` (400) for bad syntax, `too_deep` (400),
 * and `invalid` (422, with the path) for what JSON.parse lets through although readers disagree on
 * it or a store can't hold it: a member named twice, `__proto__`, NUL, half a surrogate pair, and
 * strings beyond the limit.
 */
export function parseJson(text: string, limits: JsonLimits): unknown {
  const fault = inspect(text, limits);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw requestErrors.malformed({ detail: "The body is not valid JSON.", cause });
  }
  if (fault) throw requestErrors.invalid({ errors: [fault] });
  return value;
}

/** Walks strings and brackets only, so it neither minds nor notices other faults of syntax. */
function inspect(text: string, limits: JsonLimits): Scan["fault"] {
  const scan: Scan = { text, limits, levels: [], fault: null };
  const { levels } = scan;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = readString(scan, at);
        break;
      case OPEN_BRACE:
        descend(scan, new Set());
        break;
      case OPEN_BRACKET:
        descend(scan, null);
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        levels.pop();
        break;
      case COMMA: {
        const level = levels[levels.length - 1];
        if (!level) break;
        level.index += 1;
        level.expectsName = level.names !== null;
      }
    }
  }
  return scan.fault;
}

function descend(scan: Scan, names: Set<string> | null): void {
  const { levels, limits } = scan;
  if (levels.length === limits.depthMax) {
    throw requestErrors.too_deep({
      detail: `The body may be nested ${limits.depthMax} levels deep, not deeper.`,
    });
  }
  levels.push({ names, expectsName: names !== null, name: "", index: 0 });
}

/** Reads the string that opens at `at`; where it closes. */
function readString(scan: Scan, at: number): number {
  const { text } = scan;
  let end = at + 1;
  let escaped = false;
  for (; end < text.length; end += 1) {
    const unit = text.charCodeAt(end);
    if (unit === QUOTE) break;
    if (unit !== BACKSLASH) continue;
    end += 1;
    if (text.charCodeAt(end) === LOWER_U) escaped = true;
  }
  const level = scan.levels[scan.levels.length - 1];
  const isName = level?.expectsName === true;
  const quoted = isName || escaped ? text.slice(at, end + 1) : "";
  if (isName) {
    level.name = decoded(quoted);
    level.expectsName = false;
    checkName(scan, level);
  }
  if (scan.fault === null) checkString(scan, end - at - 1, escaped ? decoded(quoted) : "");
  return end;
}

function checkName(scan: Scan, level: Level): void {
  const { name, names } = level;
  const parent = scan.levels[scan.levels.length - 2];
  const poisons = name === "__proto__" || (name === "prototype" && parent?.name === "constructor");
  if (poisons) return report(scan, "must not be named so");
  if (names?.has(name)) return report(scan, "must not be there twice");
  names?.add(name);
}

function checkString(scan: Scan, chars: number, text: string): void {
  const { stringCharsMax } = scan.limits;
  if (chars > stringCharsMax) report(scan, `must not be longer than ${stringCharsMax} characters`);
  else if (text.includes("\0")) report(scan, "must not contain a NUL character");
  else if (!text.isWellFormed()) report(scan, "must not contain half of a surrogate pair");
}

function report(scan: Scan, message: string): void {
  scan.fault ??= { path: pathOf(scan.levels), message };
}

function pathOf(levels: readonly Level[]): string {
  const steps = levels.map(({ names, name, index }) => (names ? pointerStep(name) : index));
  return steps.map((step) => `/${step}`).join("");
}

/** One step of a JSON Pointer (RFC 6901), shortened where a stranger made it long. */
export function pointerStep(name: string): string {
  const short = name.slice(0, PATH_KEY_CHARS_MAX).toWellFormed();
  return short.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** What a quoted string says; itself where it is malformed, which JSON.parse will say too. */
function decoded(quoted: string): string {
  const inner = quoted.slice(1, -1);
  if (!inner.includes("\\")) return inner;
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return inner;
  }
}
