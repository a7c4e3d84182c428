import { HistoryError } from "../rules/history.ts";

/** A keyword or a symbol of EDN, such as :ok; without the colon. */
export class EdnWord {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** Anything that EDN can say, as JSON would; maps by the text of their keys. */
export type Edn = null | boolean | number | string | EdnWord | readonly Edn[] | EdnMap;
export interface EdnMap {
  readonly [key: string]: Edn;
}

const depthAtMost = 32;
const closers: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}", "#{": "}" };
const blank = /[\s,]/;
const wordEnd = /[\s,()[\]{}";]/;
const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };

/** A text that ends in the middle of a form: more of it may come. */
export const unfinished = Symbol("unfinished");
/** A form that is left out: a comment, or what stands behind #_. */
const nothing = Symbol("nothing");

/** A place in a text; forms are read from it one after the other. */
export interface EdnCursor {
  readonly text: string;
  at: number;
  /** The line of the place, from 1 in the whole that the text is a piece of. */
  line: number;
}

function fail({ line }: EdnCursor, reason: string): never {
  throw new HistoryError(line, `it is no EDN: ${reason}`);
}

/** Steps over blanks and comments; the character that stands there, or "" at the end. */
export function peekEdn(cursor: EdnCursor): string {
  const { text } = cursor;
  for (; cursor.at < text.length; cursor.at += 1) {
    const char = text[cursor.at]!;
    if (char === "\n") cursor.line += 1;
    else if (char === ";") {
      const end = text.indexOf("\n", cursor.at);
      if (end < 0) return "";
      cursor.at = end - 1;
    } else if (!blank.test(char)) return char;
  }
  return "";
}

/** The next form; `unfinished` when the text ends before it or in it. Throws HistoryError. */
export function readEdn(cursor: EdnCursor): Edn | typeof unfinished {
  let found = readForm(cursor, 0);
  while (found === nothing) found = readForm(cursor, 0);
  return found;
}

function readForm(cursor: EdnCursor, depth: number): Edn | typeof unfinished | typeof nothing {
  if (depth > depthAtMost) return fail(cursor, `more than ${depthAtMost} levels deep`);
  const char = peekEdn(cursor);
  if (char === "") return unfinished;
  if (char === '"') return readString(cursor);
  if (char === "(" || char === "[") return readList(cursor, char, depth);
  if (char === "{") return readMap(cursor, depth);
  if (char === "#") return readDispatch(cursor, depth);
  if (")]}".includes(char)) return fail(cursor, `${char} closes nothing`);
  return readWord(cursor);
}

function readList(cursor: EdnCursor, open: string, depth: number): Edn[] | typeof unfinished {
  cursor.at += open.length;
  const items: Edn[] = [];
  for (;;) {
    const char = peekEdn(cursor);
    if (char === "") return unfinished;
    if (char === closers[open]) {
      cursor.at += 1;
      return items;
    }
    const item = readForm(cursor, depth + 1);
    if (item === unfinished) return unfinished;
    if (item !== nothing) items.push(item);
  }
}

function readMap(cursor: EdnCursor, depth: number): EdnMap | typeof unfinished {
  const items = readList(cursor, "{", depth);
  if (items === unfinished) return unfinished;
  if (items.length % 2 === 1) return fail(cursor, "a map has a key without a value");
  const found: Record<string, Edn> = Object.create(null);
  for (let one = 0; one < items.length; one += 2) {
    const key = items[one]!;
    found[key instanceof EdnWord ? key.name : JSON.stringify(key)] = items[one + 1]!;
  }
  return found;
}

/** Sets, tagged forms (the tag is dropped), #_ and ##Inf. */
function readDispatch(cursor: EdnCursor, depth: number) {
  const mark = cursor.text[cursor.at + 1];
  if (mark === undefined) return unfinished;
  if (mark === "{") return readList(cursor, "#{", depth);
  cursor.at += mark === "_" || mark === "#" ? 2 : 1;
  if (mark === "#") return readWord(cursor);
  if (mark !== "_" && readWord(cursor) === unfinished) return unfinished;
  let inner = readForm(cursor, depth + 1);
  while (inner === nothing) inner = readForm(cursor, depth + 1);
  return inner === unfinished || mark !== "_" ? inner : nothing;
}

function readString(cursor: EdnCursor): string | typeof unfinished {
  const { text } = cursor;
  let from = cursor.at + 1;
  let found = "";
  for (let to = from; to < text.length; to += 1) {
    const char = text[to]!;
    if (char === '"') {
      cursor.at = to + 1;
      return found + text.slice(from, to);
    }
    if (char === "\n") cursor.line += 1;
    if (char !== "\\") continue;
    const escaped = text[to + 1];
    if (escaped === undefined) return unfinished;
    found += text.slice(from, to) + (escapes[escaped] ?? escaped);
    to += 1;
    from = to + 1;
  }
  return unfinished;
}

function readWord(cursor: EdnCursor): Edn | typeof unfinished {
  const { text, at } = cursor;
  let to = at;
  while (to < text.length && !wordEnd.test(text[to]!)) to += 1;
  // A word may go on in the text that is to come.
  if (to === text.length) return unfinished;
  if (to === at) return fail(cursor, `${JSON.stringify(text[at])} begins nothing`);
  cursor.at = to;
  return meaning(text.slice(at, to));
}

function meaning(word: string): Edn {
  if (word === "nil") return null;
  if (word === "true" || word === "false") return word === "true";
  if (/^[+-]?\d/.test(word)) {
    const number = Number(word.replace(/[NM]$/, ""));
    return Number.isNaN(number) ? new EdnWord(word) : number;
  }
  return new EdnWord(word.startsWith(":") ? word.slice(1) : word);
}
