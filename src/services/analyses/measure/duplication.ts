import type { Clone } from "./types.ts";

interface Tokens {
  file: string;
  hashes: Uint32Array;
  lines: Uint32Array;
}

export interface Duplication {
  clones: Clone[];
  /** Lines that are found elsewhere as well, each counted once. */
  lines: number;
  /** Whether all code was compared; false when there was more than fits. */
  isComplete: boolean;
}

export interface CloneFinder {
  add(file: string, code: readonly string[]): void;
  find(): Duplication;
}

/** As SonarSource's CPD: a hundred tokens, over ten lines at least. */
const cloneTokens = 100;
const cloneLines = 10;
const blockTokens = 50;
const tokensAtMost = 5_000_000;
const clonesAtMost = 1_000;
/** Longer lines are made by programs. */
const lineCharsAtMost = 1_000;
const base = 0x01000193;

const token = /[A-Za-z_$][\w$]*|\d[\w.]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s\w]/g;

/**
 * Finds code that stands twice: texts as tokens, whose strings and numbers count as equal. Blocks
 * of fifty tokens are remembered, and a rolling hash (Karp and Rabin, "Efficient randomized
 * pattern-matching algorithms", 1987) looks for them at every token, as rsync does (Tridgell 1999):
 * memory grows with a fiftieth of the tokens, and no clone of a hundred tokens is missed.
 */
export function createCloneFinder(): CloneFinder {
  const files: Tokens[] = [];
  let total = 0;
  let isComplete = true;
  return {
    add(file, code) {
      const tokens = tokensOf(file, code);
      if (total + tokens.hashes.length > tokensAtMost) {
        isComplete = false;
        return;
      }
      total += tokens.hashes.length;
      if (tokens.hashes.length >= cloneTokens) files.push(tokens);
    },
    find: () => ({ ...findClones(files), isComplete }),
  };
}

function tokensOf(file: string, code: readonly string[]): Tokens {
  const hashes: number[] = [];
  const lines: number[] = [];
  code.forEach((line, at) => {
    if (line.length > lineCharsAtMost) return;
    if (/^\s*(import|from|use|using|package|require|#include)\b/.test(line)) return;
    for (const match of line.matchAll(token)) {
      hashes.push(hashOf(match[0]));
      lines.push(at + 1);
    }
  });
  return { file, hashes: Uint32Array.from(hashes), lines: Uint32Array.from(lines) };
}

function hashOf(text: string): number {
  const first = text.charCodeAt(0);
  if (first === 34 || first === 39) return 1;
  if (first >= 48 && first <= 57) return 2;
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), base);
  }
  return hash >>> 0;
}

interface Place {
  file: number;
  at: number;
}

function findClones(files: readonly Tokens[]): Omit<Duplication, "isComplete"> {
  const blocks = new Map<number, Place>();
  const clones: Clone[] = [];
  const duplicated = files.map(() => new Set<number>());
  let power = 1;
  for (let at = 1; at < blockTokens; at += 1) power = Math.imul(power, base);
  files.forEach((tokens, file) => {
    const { hashes } = tokens;
    let hash = 0;
    for (let at = 0; at < hashes.length; at += 1) {
      if (at >= blockTokens) {
        hash = (hash - Math.imul(hashes[at - blockTokens] as number, power)) | 0;
      }
      hash = (Math.imul(hash, base) + (hashes[at] as number)) | 0;
      const start = at - blockTokens + 1;
      if (start < 0) continue;
      const other = blocks.get(hash);
      const isOther = other && !(other.file === file && other.at + blockTokens > start);
      const clone = isOther ? extend(files, other, { file, at: start }) : null;
      if (clone) {
        mark(duplicated, clone, files);
        if (clones.length < clonesAtMost) clones.push(described(files, clone));
        // The clone is told; the hash begins anew behind it.
        at = clone.here.at + clone.length - 1;
        hash = 0;
        for (let back = Math.max(0, at - blockTokens + 1); back <= at; back += 1) {
          hash = (Math.imul(hash, base) + (hashes[back] as number)) | 0;
        }
      } else if (start % blockTokens === 0 && !other) blocks.set(hash, { file, at: start });
    }
  });
  return { clones, lines: duplicated.reduce((sum, each) => sum + each.size, 0) };
}

interface Match {
  there: Place;
  here: Place;
  length: number;
}

/** The longest equal run around two blocks; null when they only share a hash, or it is short. */
function extend(files: readonly Tokens[], there: Place, here: Place): Match | null {
  const a = (files[there.file] as Tokens).hashes;
  const b = (files[here.file] as Tokens).hashes;
  const isSame = there.file === here.file;
  let before = 0;
  while (
    there.at - before > 0 &&
    here.at - before > 0 &&
    (!isSame || there.at < here.at - before - blockTokens) &&
    a[there.at - before - 1] === b[here.at - before - 1]
  ) {
    before += 1;
  }
  let after = 0;
  while (
    there.at + after < a.length &&
    here.at + after < b.length &&
    (!isSame || there.at + after < here.at - before) &&
    a[there.at + after] === b[here.at + after]
  ) {
    after += 1;
  }
  const length = before + after;
  if (after < blockTokens || length < cloneTokens) return null;
  const match = {
    there: { file: there.file, at: there.at - before },
    here: { file: here.file, at: here.at - before },
    length,
  };
  const [from, to] = linesOf(files, match.here, length);
  return to - from + 1 >= cloneLines ? match : null;
}

function linesOf(files: readonly Tokens[], { file, at }: Place, length: number): [number, number] {
  const { lines } = files[file] as Tokens;
  return [lines[at] as number, lines[at + length - 1] as number];
}

function mark(duplicated: readonly Set<number>[], match: Match, files: readonly Tokens[]): void {
  const { lines } = files[match.here.file] as Tokens;
  const end = match.here.at + match.length;
  for (let at = match.here.at; at < end; at += 1) {
    duplicated[match.here.file]?.add(lines[at] as number);
  }
}

function described(files: readonly Tokens[], { there, here, length }: Match): Clone {
  const [line, endLine] = linesOf(files, here, length);
  const [otherLine, otherEndLine] = linesOf(files, there, length);
  return {
    file: (files[here.file] as Tokens).file,
    line,
    endLine,
    otherFile: (files[there.file] as Tokens).file,
    otherLine,
    otherEndLine,
    tokens: length,
  };
}
