import type { Language } from "./languages.ts";
import type { FileText, LineCounts } from "./types.ts";

type Span = readonly [start: number, end: number];

interface Scanned {
  comments: Span[];
  strings: Span[];
}

/** Reads a file's lines apart: what is code, comment and string, by a scanner per language. */
export function readLines(text: string, language: Language | null): FileText {
  const { comments, strings } = language ? scan(text, language) : { comments: [], strings: [] };
  const code = blanked(text, comments);
  const split = (each: string) => each.split("\n").map((line) => line.replace(/\r$/, ""));
  return {
    raw: split(text),
    code: split(code),
    bare: split(strings.length === 0 ? code : blanked(code, strings)),
  };
}

/** A line with anything of code is code; else one with anything is comment; else it is blank. */
export function countLines({ raw, code }: FileText): LineCounts {
  const counts = { code: 0, comment: 0, blank: 0 };
  const last = raw.length > 1 && raw.at(-1) === "" ? raw.length - 1 : raw.length;
  for (let at = 0; at < last; at += 1) {
    if ((code[at] ?? "").trim() !== "") counts.code += 1;
    else if ((raw[at] ?? "").trim() !== "") counts.comment += 1;
    else counts.blank += 1;
  }
  if (raw.length === 1 && raw[0] === "") counts.blank = 0;
  return counts;
}

/** The same text with blanks in the spans; line breaks stay. */
function blanked(text: string, spans: readonly Span[]): string {
  if (spans.length === 0) return text;
  const parts: string[] = [];
  let from = 0;
  for (const [start, end] of spans) {
    parts.push(text.slice(from, start), text.slice(start, end).replace(/[^\n]/g, " "));
    from = end;
  }
  parts.push(text.slice(from));
  return parts.join("");
}

function scan(text: string, language: Language): Scanned {
  const found: Scanned = { comments: [], strings: [] };
  const starts = startsOf(language);
  let at = 0;
  while (at < text.length) {
    starts.lastIndex = at;
    const match = starts.exec(text);
    if (!match) break;
    const mark = match[0];
    at = match.index;
    at = step(text, at, mark, language, found);
  }
  return found;
}

/** Where the scanner goes on after the mark at `at`. */
function step(text: string, at: number, mark: string, language: Language, found: Scanned): number {
  if (language.multilineQuotes?.includes(mark)) {
    const isDocstring = mark.length === 3 && language.name === "Python" && isFirst(text, at);
    const end = closing(text, at + mark.length, mark);
    (isDocstring ? found.comments : found.strings).push(
      isDocstring ? [at, end] : [at + mark.length, Math.max(at + mark.length, end - mark.length)],
    );
    return end;
  }
  const block = language.blockComments.find(([open]) => open === mark);
  if (block) {
    const close = text.indexOf(block[1], at + mark.length);
    const end = close === -1 ? text.length : close + block[1].length;
    found.comments.push([at, end]);
    return end;
  }
  if (language.lineComments.includes(mark)) {
    if (mark === "#" && !isBlank(text[at - 1])) return at + 1;
    const end = lineEnd(text, at);
    found.comments.push([at, end]);
    return end;
  }
  if (mark === "/") {
    const end = regexEnd(text, at);
    // What a regular expression looks for is no code; its slashes stay.
    if (end > at + 2) found.comments.push([at + 1, end - 1]);
    return end;
  }
  if (mark === "'" && language.name === "Rust") return at + 1;
  const end = quoteEnd(text, at, mark);
  found.strings.push([at + 1, Math.max(at + 1, end - 1)]);
  return end;
}

const expressions = new Map<string, RegExp>();

/** One expression for everything that may begin a comment, string or regular expression. */
function startsOf(language: Language): RegExp {
  const known = expressions.get(language.name);
  if (known) return known;
  const marks = [
    ...(language.multilineQuotes ?? []),
    ...language.blockComments.map(([open]) => open),
    ...language.lineComments,
    ...language.quotes,
    ...(language.hasRegexLiterals ? ["/"] : []),
  ];
  const escaped = marks.map((mark) => mark.replace(/[/\-\\^$*+?.()|[\]{}]/g, "\\$&"));
  const made = new RegExp(escaped.length === 0 ? "(?!)" : escaped.join("|"), "g");
  expressions.set(language.name, made);
  return made;
}

const isBlank = (char: string | undefined): boolean => char === undefined || /[\s;({[,]/.test(char);

function isFirst(text: string, at: number): boolean {
  let before = at - 1;
  while (text[before] === " " || text[before] === "\t") before -= 1;
  return before < 0 || text[before] === "\n";
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end;
}

/** After a string on one line; one that the line's end cuts ends there. */
function quoteEnd(text: string, at: number, quote: string): number {
  let next = at + 1;
  for (; next < text.length && text[next] !== "\n"; next += 1) {
    if (text[next] === quote) return next + 1;
    if (text[next] === "\\" && text[next + 1] !== "\n") next += 1;
  }
  return Math.min(next, text.length);
}

/** After a string over several lines; templates may hold code that holds templates. */
function closing(text: string, from: number, quote: string): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const char = text[at];
    if (char === "\\") at += 1;
    else if (quote === "`" && char === "$" && text[at + 1] === "{") depth += 1;
    else if (depth > 0 && char === "}") depth -= 1;
    else if (depth === 0 && text.startsWith(quote, at)) return at + quote.length;
  }
  return text.length;
}

const beforeRegex = /(?:^|[(,=:[!&|?{};+\n]|\breturn|=>)\s*$/;

/** What goes on for longer divides; a hostile line is not searched to its end for each slash. */
const regexCharsAtMost = 1_000;

/** After a regular expression's literal, or after the slash when it divides. */
function regexEnd(text: string, at: number): number {
  if (!beforeRegex.test(text.slice(Math.max(0, at - 20), at))) return at + 1;
  const limit = Math.min(text.length, at + regexCharsAtMost);
  let isInClass = false;
  for (let next = at + 1; next < limit && text[next] !== "\n"; next += 1) {
    const char = text[next];
    if (char === "\\") next += 1;
    else if (char === "[") isInClass = true;
    else if (char === "]") isInClass = false;
    else if (char === "/" && !isInClass) return next + 1;
  }
  return at + 1;
}
