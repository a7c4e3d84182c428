/**
 * The gate through which every log line leaves: it works on the finished JSON text, so that nothing
 * gets around it, be it in the bindings of a child logger, a message, an error or a nested object.
 */

export const redacted = "[redacted]";

/** Parts of names whose values are secrets, of whatever type but a number or a boolean. */
const secretNames = [
  "passw|passphrase|secret|token|authori[sz]ation|cookie|credential|signature",
  "api[-_]?key|private[-_]?key|master[-_]?key|recovery[-_]?code",
].join("|");
/** Whole names whose values are secret or personal, numbers too. */
const personalNames = [
  "e-?mail|email[-_]?address|phone|phone[-_]?number|totp|otp|iban|card[-_]?number",
  "first[-_]?name|last[-_]?name|full[-_]?name|customer[-_]?name",
  "street|post(?:al)?[-_]?code|birth[-_]?date",
].join("|");

/** A stem of each name: most lines hold none, and this look is three times as fast as `anyName`. */
const nameHint = new RegExp(
  "pass|secret|token|authori|cookie|key|credential|signature|code|mail|phone|otp|name|street|" +
    "iban|number|birth",
  "i",
);
const anyName = new RegExp(`${secretNames}|${personalNames}`, "gi");
const secretName = new RegExp(secretNames, "i");
const personalName = new RegExp(`^(?:${personalNames})$`, "i");

/** Shapes that give a secret away wherever they stand. */
const secretShape = new RegExp(
  [
    "(?<![\\w-])eyJ[\\w-]{8,2048}\\.[\\w-]{1,8192}\\.[\\w-]*", // JSON Web Token
    "plm_[\\w-]{16,}", // our API keys
    "\\b(?:sk|pk|rk|ghp|gho|ghu|ghs|github_pat|glpat|xox[abprs]|whsec)[-_][\\w-]{16,}",
    "\\b(?:[Bb]earer|[Bb]asic) [\\w+/.~=-]{6,}",
    '-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?="))',
  ].join("|"),
  "g",
);
/** One character of each of those, for a cheap look before the expensive one. */
const secretShapeHint =
  /eyJ|plm_|sk[-_]|pk[-_]|rk[-_]|gh[pous]_|github_pat|glpat|xox|whsec|earer |asic |PRIVATE KEY/;
const urlCredentials = /:\/\/[^\s/@"\\]{1,512}@/g;

const maxNameCharacters = 64;
const quote = 34;
const backslash = 92;

function backslashesBefore(line: string, at: number): number {
  let count = 0;
  while (line.charCodeAt(at - 1 - count) === backslash) count += 1;
  return count;
}

/**
 * Where a JSON string ends that began with a quote behind `level` backslashes: 0 in the line
 * itself, 1 in JSON text inside a string, 3 in JSON inside that. Answers the place of the closing
 * quote's first backslash; stops where the enclosing string ends.
 */
function endOfString(line: string, start: number, level: number): number {
  for (let at = line.indexOf('"', start); at !== -1; at = line.indexOf('"', at + 1)) {
    const slashes = Math.min(backslashesBefore(line, at), at - start);
    if (slashes % (2 * (level + 1)) === level) return at - level;
    if (slashes % 2 === 0) return at - slashes;
  }
  return line.length;
}

/** Where an object or array ends that began at `start`. */
function endOfNested(line: string, start: number, level: number): number {
  let depth = 0;
  for (let at = start; at < line.length; at += 1) {
    const character = line.charCodeAt(at);
    if (character === quote) {
      const slashes = backslashesBefore(line, at);
      if (slashes < level) return at - slashes;
      at = endOfString(line, at + 1, level) + level;
    } else if (character === 0x7b || character === 0x5b) depth += 1;
    else if (character === 0x7d || character === 0x5d) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return line.length;
}

interface Value {
  start: number;
  end: number;
  level: number;
}

/** Letters, digits, _, -, . and $; the place before the line's start is none of them. */
function isNamePart(character: number): boolean {
  const lower = character | 0x20;
  if (lower >= 0x61 && lower <= 0x7a) return true;
  return (character >= 0x30 && character <= 0x39) || [0x5f, 0x2d, 0x2e, 0x24].includes(character);
}

/**
 * The value whose name holds what was found at `at`, if it is a name and its value is to be hidden.
 */
function valueToHide(line: string, at: number): Value | null {
  let from = at;
  while (at - from < maxNameCharacters && isNamePart(line.charCodeAt(from - 1))) from -= 1;
  let to = at;
  while (to - at < maxNameCharacters && isNamePart(line.charCodeAt(to))) to += 1;
  if (line.charCodeAt(from - 1) !== quote) return null;
  const level = backslashesBefore(line, from - 1);
  const colon = to + level + 1;
  if (line.charCodeAt(colon - 1) !== quote || line[colon] !== ":") return null;
  let start = colon + 1;
  while (line[start] === " ") start += 1;
  const name = line.slice(from, to);
  const isPersonal = personalName.test(name);
  if (!isPersonal && !secretName.test(name)) return null;
  const opening = start + level;
  if (line.charCodeAt(opening) === quote && backslashesBefore(line, opening) === level) {
    return { start, end: endOfString(line, opening + 1, level) + level + 1, level };
  }
  if (line[start] === "{" || line[start] === "[") {
    return { start, end: endOfNested(line, start, level), level };
  }
  if (!isPersonal || line.startsWith("null", start)) return null;
  let end = start;
  while (/[\w.+-]/.test(line[end] ?? "")) end += 1;
  return { start, end, level };
}

function hideNamed(line: string): string {
  if (!nameHint.test(line)) return line;
  anyName.lastIndex = 0;
  let out = "";
  let copied = 0;
  for (let found = anyName.exec(line); found; found = anyName.exec(line)) {
    const value = valueToHide(line, found.index);
    if (!value) continue;
    const marks = `${"\\".repeat(value.level)}"`;
    out += `${line.slice(copied, value.start)}${marks}${redacted}${marks}`;
    copied = Math.min(value.end, line.length);
    anyName.lastIndex = copied;
  }
  return copied === 0 ? line : out + line.slice(copied);
}

/**
 * Written by hand because a pattern that looks for the @ from the left costs the square of the
 * length.
 */
function hideEmails(line: string): string {
  let out = "";
  let copied = 0;
  for (let at = line.indexOf("@"); at !== -1; at = line.indexOf("@", at + 1)) {
    let from = at;
    while (from > copied && /[\w.+%-]/.test(line[from - 1] as string)) from -= 1;
    let to = at + 1;
    while (/[\w.-]/.test(line[to] ?? "")) to += 1;
    const domain = line.slice(at + 1, to);
    if (from === at || !/^[\w-]+(\.[\w-]+)+/.test(domain)) continue;
    out += `${line.slice(copied, from)}[email]`;
    copied = to;
    at = to - 1;
  }
  return copied === 0 ? line : out + line.slice(copied);
}

/** The same line of JSON with secrets and personal data hidden. */
export function redactLine(line: string): string {
  let out = hideNamed(line);
  if (secretShapeHint.test(out)) out = out.replace(secretShape, redacted);
  if (out.includes("@")) {
    out = hideEmails(out.replace(urlCredentials, `://${redacted}@`));
  }
  return out;
}
